package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	// DefaultPutTimeout is how long a store may take for a small object. Of a large
	// one it must take slowest bytes per second at least.
	DefaultPutTimeout = 30 * time.Second
	slowest           = 128 << 10
	// How many objects are stored at the same time when there is more than one.
	catchUp = 2
)

func putTimeout(base time.Duration, size int64) time.Duration {
	if base == 0 {
		base = DefaultPutTimeout
	}
	return base + time.Duration(size)*time.Second/slowest
}

// puts is the recorder's goroutine's view of what is being stored.
type puts struct {
	results  chan result
	running  int
	workers  sync.WaitGroup
	failures int           // in a row
	wait     time.Duration // before the next attempt
	retry    <-chan time.Time
	spillAt  time.Time // not before: writing failed
}

// result is how storing an object ended.
type result struct {
	object *object
	err    error
}

func newPuts() puts {
	return puts{results: make(chan result, catchUp), wait: firstRetry}
}

// run stores the queue until it is finished and empty.
func (r *Recorder) run(ctx context.Context) {
	for {
		r.tell()
		r.spill()
		if r.over() {
			return
		}
		if r.puts.retry == nil {
			r.launch(ctx)
		}
		select {
		case <-r.wake:
		case done := <-r.puts.results:
			r.settle(done)
		case <-r.puts.retry:
			r.puts.retry = nil
		case <-ctx.Done():
			r.abandon()
			return
		}
	}
}

// over says whether there is nothing left to do.
func (r *Recorder) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finished && len(r.queue)+len(r.lost)+len(r.trash) == 0
}

// launch begins to store the first objects that wait: one when the last attempt
// failed, else a few. An init segment must be stored before what follows it.
func (r *Recorder) launch(ctx context.Context) {
	width := catchUp
	if r.puts.failures > 0 {
		width = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.queue {
		if r.puts.running >= width {
			return
		}
		if !o.stored && !o.storing {
			o.storing = true
			r.puts.running++
			copied := *o
			r.puts.workers.Go(func() { r.puts.results <- result{o, r.put(ctx, &copied)} })
		}
		if o.segment == nil && !o.stored {
			return
		}
	}
}

// put stores an object, from memory if it is there. It has a copy of its own.
func (r *Recorder) put(ctx context.Context, o *object) error {
	key := join(r.cfg.Prefix, r.cfg.Rung, o.name)
	if o.data == nil {
		return putFile(ctx, r.cfg.Store, spilled{file: o.file, key: key, size: o.size}, r.cfg.PutTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout(r.cfg.PutTimeout, o.size))
	defer cancel()
	readers := make([]io.Reader, len(o.data))
	for i, d := range o.data {
		readers[i] = bytes.NewReader(d)
	}
	return r.cfg.Store.Put(ctx, key, io.MultiReader(readers...), o.size)
}

// settle takes in how storing an object ended.
func (r *Recorder) settle(done result) {
	r.puts.running--
	o := done.object
	var unreadable *readError
	r.mu.Lock()
	o.storing = false
	switch {
	case done.err == nil:
		o.stored = true
		r.release(o)
	case errors.As(done.err, &unreadable):
		for i := range r.queue {
			if r.queue[i] == o {
				r.drop(i)
				break
			}
		}
	case o.file != "" && o.data != nil: // it was spilled meanwhile
		o.data = nil
		r.hold(-o.size)
	}
	waiting := r.waiting
	r.mu.Unlock()
	if done.err == nil {
		r.puts.failures, r.puts.wait = 0, firstRetry
		return
	}
	r.puts.failures++
	if r.puts.retry == nil {
		r.puts.retry = time.After(r.puts.wait)
		r.puts.wait = min(r.puts.wait*2, lastRetry)
	}
	r.cfg.Log.Warn("storing a recording", "prefix", r.cfg.Prefix, "rung", r.cfg.Rung, "attempt", r.puts.failures,
		"waiting_segments", waiting.Segments, "waiting_bytes", waiting.Memory, "spilled_bytes", waiting.Spilled, "error", done.err)
	if r.cfg.OnError != nil {
		r.cfg.OnError(done.err)
	}
}
