package recorder

import (
	"bytes"
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

// Pending is an object store together with what waits to be stored in it: it is
// for reading what recorders were given, wherever that is just now. What it is
// asked to store or delete goes to the store alone.
type Pending struct {
	blob.Store
	spill *Spill // nil for none

	mu      sync.Mutex
	running map[string]map[*Recorder]struct{} // by prefix
}

// NewPending returns a store with what waits for it in recorders that are given
// the Pending, and in a folder, which may be nil.
func NewPending(store blob.Store, spill *Spill) *Pending {
	return &Pending{Store: store, spill: spill, running: map[string]map[*Recorder]struct{}{}}
}

// Open opens an object, wherever it is.
func (p *Pending) Open(ctx context.Context, key string) (*blob.Object, error) {
	// What waits only ever moves on towards the store, so it is looked for in
	// that order.
	for _, r := range p.recorders(key) {
		if o := r.open(key); o != nil {
			return o, nil
		}
	}
	if p.spill != nil {
		if o := p.spill.open(key); o != nil {
			return o, nil
		}
	}
	return p.Store.Open(ctx, key)
}

// List lists the objects whose keys begin with prefix, wherever they are, in the
// order of their keys.
func (p *Pending) List(ctx context.Context, prefix string) ([]blob.Info, error) {
	all := map[string]blob.Info{}
	for _, r := range p.recorders("") {
		for _, info := range r.list(prefix) {
			all[info.Key] = info
		}
	}
	if p.spill != nil {
		for _, info := range p.spill.list(prefix) {
			all[info.Key] = info
		}
	}
	stored, err := p.Store.List(ctx, prefix)
	if err != nil || len(all) == 0 {
		return stored, err
	}
	for _, info := range stored {
		all[info.Key] = info
	}
	return slices.SortedFunc(maps.Values(all), func(a, b blob.Info) int { return strings.Compare(a.Key, b.Key) }), nil
}

// Waits says whether anything of a recording waits, or may yet: a recorder of it
// runs.
func (p *Pending) Waits(prefix string) bool {
	p.mu.Lock()
	running := len(p.running[prefix])
	p.mu.Unlock()
	return running > 0 || p.spill != nil && p.spill.waits(prefix)
}

// Waiting returns what is not stored yet of all recordings.
func (p *Pending) Waiting() Waiting {
	var sum Waiting
	for _, r := range p.recorders("") {
		w := r.Waiting()
		sum.Segments += w.Segments
		sum.Memory += w.Memory
		sum.Spilled += w.Spilled
	}
	if p.spill != nil {
		segments, bytes := p.spill.count()
		sum.Segments += segments
		sum.Spilled += bytes
	}
	return sum
}

func (p *Pending) add(r *Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.running[r.cfg.Prefix]
	if of == nil {
		of = map[*Recorder]struct{}{}
		p.running[r.cfg.Prefix] = of
	}
	of[r] = struct{}{}
}

func (p *Pending) remove(r *Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.running[r.cfg.Prefix]
	if delete(of, r); len(of) == 0 {
		delete(p.running, r.cfg.Prefix)
	}
}

// recorders returns those of the recording that a key belongs to; of an empty key
// all.
func (p *Pending) recorders(key string) []*Recorder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key != "" {
		return slices.Collect(maps.Keys(p.running[prefixOf(key)]))
	}
	var all []*Recorder
	for _, of := range p.running {
		all = slices.AppendSeq(all, maps.Keys(of))
	}
	return all
}

// prefixOf returns the recording's prefix of an object's key, without its rung
// and its name; of other keys something that is no prefix.
func prefixOf(key string) string {
	for range 2 {
		key = key[:max(strings.LastIndexByte(key, '/'), 0)]
	}
	return key
}

// open opens what waits in a recorder, nil when it does not.
func (r *Recorder) open(key string) *blob.Object {
	r.mu.Lock()
	var found object
	if i := slices.IndexFunc(r.queue, func(o *object) bool { return r.key(o) == key }); i >= 0 {
		found = *r.queue[i]
	}
	r.mu.Unlock()
	switch {
	case found.data != nil:
		return inMemory(key, found.data)
	case found.file != "":
		return openFile(spilled{file: found.file, key: key, size: found.size})
	}
	return nil // it is stored
}

// list lists what waits in a recorder.
func (r *Recorder) list(prefix string) []blob.Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	var infos []blob.Info
	for _, o := range r.queue {
		if key := r.key(o); (o.data != nil || o.file != "") && strings.HasPrefix(key, prefix) {
			infos = append(infos, blob.Info{Key: key, Size: o.size})
		}
	}
	return infos
}

func (r *Recorder) key(o *object) string { return join(r.cfg.Prefix, r.cfg.Rung, o.name) }

// open opens what was left in the folder, nil when it was not.
func (s *Spill) open(key string) *blob.Object {
	s.mu.Lock()
	i := slices.IndexFunc(s.left, func(o spilled) bool { return o.key == key })
	var o spilled
	if i >= 0 {
		o = s.left[i]
	}
	s.mu.Unlock()
	if i < 0 {
		return nil
	}
	return openFile(o)
}

func (s *Spill) list(prefix string) []blob.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	var infos []blob.Info
	for _, o := range s.left {
		if strings.HasPrefix(o.key, prefix) {
			infos = append(infos, blob.Info{Key: o.key, Size: o.size})
		}
	}
	return infos
}

// waits says whether anything of a recording is left to be stored.
func (s *Spill) waits(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.left, func(o spilled) bool { return strings.HasPrefix(o.key, prefix+"/") })
}

// count returns the segments that are left, and the bytes of all.
func (s *Spill) count() (segments int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.left {
		bytes += o.size
		if !isInit(o.key) {
			segments++
		}
	}
	return segments, bytes
}

// openFile opens a file of the folder; nil when it has just been stored, or
// cannot be read.
func openFile(o spilled) *blob.Object {
	file, err := os.Open(o.file)
	if err != nil {
		return nil
	}
	return &blob.Object{ReadSeekCloser: file, Info: blob.Info{Key: o.key, Size: o.size}}
}

// inMemory is an object whose bytes are in memory. They do not change.
func inMemory(key string, data [][]byte) *blob.Object {
	all := bytes.Join(data, nil)
	return &blob.Object{ReadSeekCloser: memoryReader{bytes.NewReader(all)}, Info: blob.Info{Key: key, Size: int64(len(all))}}
}

// memoryReader needs no closing.
type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }
