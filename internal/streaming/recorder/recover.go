package recorder

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

// Recovery is what Recover needs.
type Recovery struct {
	Store      blob.Store
	PutTimeout time.Duration // of a small object; DefaultPutTimeout if 0
	// OnStored hears of every segment, OnLost of every one whose file turns out to
	// be damaged, OnError of every failed attempt; each may be nil.
	OnStored func(prefix, rung string, s Segment)
	OnLost   func(prefix, rung string, s Segment)
	OnError  func(error)
	Log      *slog.Logger
}

// Recover stores what was left in the folder before it was called, and deletes
// it there. It tries again until all is stored or ctx is done, whose error it
// then returns. It leaves alone what belongs to recorders that run. The segments
// of a recording come in the order of playing; after a failure another recording
// has its turn, so that one which is not taken does not hold up all others.
func (s *Spill) Recover(ctx context.Context, r Recovery) error {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	names := newNames()
	for _, o := range s.takeDamaged() {
		tell(r.OnLost, names, o)
	}
	retry, failed := firstRetry, ""
	for {
		o, ok := s.next(failed)
		if !ok {
			return nil
		}
		stored, err := s.storeLeft(ctx, r, o)
		switch {
		case err != nil:
		case stored:
			retry = firstRetry
			tell(r.OnStored, names, o)
			continue
		default:
			tell(r.OnLost, names, o)
			continue
		}
		failed = prefixOf(o.key)
		r.Log.Warn("storing what an earlier recording left", "key", o.key, "waiting", s.Left(), "error", err)
		if r.OnError != nil {
			r.OnError(err)
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return ctx.Err()
		}
		retry = min(retry*2, lastRetry)
	}
}

// storeLeft stores an object and forgets it. One whose file cannot be read is
// forgotten too, which is no error: it would stand in the way of all others.
func (s *Spill) storeLeft(ctx context.Context, r Recovery, o spilled) (stored bool, err error) {
	err = putFile(ctx, r.Store, o, r.PutTimeout)
	var unreadable *readError
	if errors.As(err, &unreadable) {
		r.Log.Error("a segment of a recording is lost: its file cannot be read", "key", o.key, "error", err)
		s.done(o)
		return false, nil
	}
	if err == nil {
		s.done(o)
	}
	return err == nil, err
}

// tell tells of an object if it is a segment.
func tell(whom func(prefix, rung string, s Segment), names names, o spilled) {
	dir, name := path.Split(o.key)
	segment, ok := names.parse(name)
	if !ok || whom == nil {
		return
	}
	segment.Size = o.size
	prefix, rung := path.Split(strings.TrimSuffix(dir, "/"))
	whom(strings.TrimSuffix(prefix, "/"), rung, segment)
}

// putFile stores an object of the folder. Errors: *readError when the file is
// to blame.
func putFile(ctx context.Context, store blob.Store, o spilled, timeout time.Duration) error {
	file, err := os.Open(o.file)
	if err != nil {
		return &readError{err}
	}
	defer func() { _ = file.Close() }() // it was only read
	ctx, cancel := context.WithTimeout(ctx, putTimeout(timeout, o.size))
	defer cancel()
	source := &spillReader{file: file}
	err = store.Put(ctx, o.key, source, o.size)
	if err != nil && source.err != nil {
		return &readError{source.err}
	}
	return err
}

// spillReader remembers whether reading failed.
type spillReader struct {
	file *os.File
	err  error
}

func (r *spillReader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		r.err = err
	}
	return n, err
}

// readError says that a file in the folder cannot be read.
type readError struct{ err error }

func (e *readError) Error() string { return "reading a segment that waits: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }
