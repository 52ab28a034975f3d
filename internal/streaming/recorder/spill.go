package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

const (
	// Nothing is spilled when less of the disk would stay free: a tenth of it, between
	// these. Other parts of the program need that to end their work in order.
	minFree        = 1 << 30 // bytes
	maxFree        = 5 << 30 // bytes; of a large disk a tenth is more than they need
	minFreePart    = 10
	spillTemporary = ".spill-"
	// A file is named by the object's key with this for each "/", followed by it and
	// the object's size. It is in no key.
	spillSeparator = "~"
)

// Spill is the work folder for segments that the object store does not take.
// What an earlier process, or a recorder that was finished in a hurry, left in
// it is stored by Recover.
type Spill struct {
	dir  string
	log  *slog.Logger
	disk func(dir string) (free, total int64, err error)
	busy chan struct{} // held by Recover

	mu      sync.Mutex
	left    []spilled
	damaged []spilled // found so, and not told of yet
}

// spilled is an object in the folder.
type spilled struct {
	file string
	key  string
	size int64
}

// OpenSpill opens the folder, making it if need be, and finds what was left in
// it. A file that is not whole is discarded. No other process may use the folder.
func OpenSpill(dir string, log *slog.Logger) (*Spill, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder for segments that wait: %w", err)
	}
	s := &Spill{dir: dir, log: log, disk: diskSpace, busy: make(chan struct{}, 1)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for segments that wait: %w", err)
	}
	for _, entry := range entries {
		o, whole, err := s.inspect(entry)
		switch {
		case err != nil:
			return nil, err
		case whole:
			s.left = append(s.left, o)
		case strings.HasPrefix(entry.Name(), spillTemporary), o.key != "":
			log.Warn("a segment that waited for the object store was not written whole and is discarded", "file", entry.Name())
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return nil, err
			}
			if o.key != "" {
				s.damaged = append(s.damaged, o)
			}
		}
	}
	return s, nil
}

// inspect reads the name of a file. A name that is not ours has no key.
func (s *Spill) inspect(entry fs.DirEntry) (o spilled, whole bool, err error) {
	name := entry.Name()
	at := strings.LastIndex(name, spillSeparator)
	if at < 0 || !entry.Type().IsRegular() {
		return o, false, nil
	}
	key := strings.ReplaceAll(name[:at], spillSeparator, "/")
	size, err := strconv.ParseInt(name[at+1:], 10, 64)
	if err != nil || size < 0 || blob.CheckKey(key) != nil {
		return o, false, nil
	}
	info, err := entry.Info()
	if err != nil {
		return o, false, fmt.Errorf("looking for segments that wait: %w", err)
	}
	return spilled{file: filepath.Join(s.dir, name), key: key, size: size}, info.Size() == size, nil
}

// room returns how many bytes may be written with so much left of a budget.
func (s *Spill) room(budget int64) int64 {
	free, total, err := s.disk(s.dir)
	if err != nil {
		return max(budget, 0)
	}
	return max(min(budget, free-min(max(minFree, total/minFreePart), maxFree)), 0)
}

// write keeps an object and returns its file. It is whole and synced, or not
// there.
func (s *Spill) write(key string, size int64, data [][]byte) (string, error) {
	temp, err := os.CreateTemp(s.dir, spillTemporary+"*")
	if err != nil {
		return "", err
	}
	for _, d := range data {
		if _, err = temp.Write(d); err != nil {
			break
		}
	}
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	file := filepath.Join(s.dir, strings.ReplaceAll(key, "/", spillSeparator)+spillSeparator+strconv.FormatInt(size, 10))
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return file, s.sync()
}

func (s *Spill) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove deletes a file whose object is stored or given up.
func (s *Spill) remove(file string) {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("deleting a segment that waited for the object store", "error", err)
	}
}

// leave hands objects to Recover.
func (s *Spill) leave(objects []spilled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, objects...)
}

// Left counts the objects that Recover has to store.
func (s *Spill) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left)
}

// takeDamaged returns what was found damaged, once.
func (s *Spill) takeDamaged() []spilled {
	s.mu.Lock()
	defer s.mu.Unlock()
	damaged := s.damaged
	s.damaged = nil
	return damaged
}

// next returns the object that Recover stores next: the recordings in turn, that
// after the one which failed first; of a recording init segments before what
// they belong to, then segments in the order of playing.
func (s *Spill) next(failed string) (spilled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		return spilled{}, false
	}
	order := func(first bool) int {
		if first {
			return -1
		}
		return 1
	}
	return slices.MinFunc(s.left, func(a, b spilled) int {
		ap, bp := prefixOf(a.key), prefixOf(b.key)
		if ap != bp {
			if al, bl := ap > failed, bp > failed; al != bl {
				return order(al)
			}
			return strings.Compare(ap, bp)
		}
		if ai, bi := isInit(a.key), isInit(b.key); ai != bi {
			return order(ai)
		}
		return strings.Compare(a.key, b.key)
	}), true
}

// Forget discards what is left of a recording that is deleted.
func (s *Spill) Forget(prefix string) {
	s.mu.Lock()
	gone := slices.Clone(s.left)
	gone = slices.DeleteFunc(gone, func(o spilled) bool { return !strings.HasPrefix(o.key, prefix+"/") })
	s.mu.Unlock()
	for _, o := range gone {
		s.done(o)
	}
}

// done forgets an object.
func (s *Spill) done(o spilled) {
	s.remove(o.file)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = slices.DeleteFunc(s.left, func(l spilled) bool { return l.file == o.file })
}
