package recorder

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	putTimeout = 30 * time.Second
	// DefaultLimit is how many bytes wait for a store that does not take them.
	DefaultLimit = 128 << 20
)

// Config is what a Recorder needs.
type Config struct {
	Store  blob.Store
	Prefix string // of the recording
	Rung   string
	Epoch  int64
	Limit  int64 // bytes that may wait, DefaultLimit if 0
	// OnStored hears of every stored segment, in order; OnError of every failed
	// attempt, OnLost of every segment that was given up. They are called from
	// the recorder's goroutine.
	OnStored func(Segment)
	OnError  func(error)
	OnLost   func(Segment)
	Log      *slog.Logger
}

// Recorder stores one stream. What the store does not take is tried again;
// meanwhile segments wait in memory, up to a limit, beyond which the oldest are
// lost: counted, logged, and marked by a discontinuity.
type Recorder struct {
	cfg    Config
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{}

	mu       sync.Mutex
	queue    []object
	bytes    int64
	finished bool
	lost     bool // segments before the next one
	failures int
	summary  Summary
}

// Summary is what a recording came to.
type Summary struct {
	Segments int
	Ticks    int64 // duration of the stored segments in 1/90000 s
	Lost     int   // segments
}

// DurationMS returns the duration in ms.
func (s Summary) DurationMS() int64 { return s.Ticks / 90 }

// object is what waits to be stored.
type object struct {
	name    string
	data    [][]byte
	size    int64
	segment *Segment // nil for an init segment
}

// New starts a recorder. Its owner calls Finish.
func New(cfg Config) *Recorder {
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Recorder{cfg: cfg, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	return r
}

// Init stores an init segment. It does not block.
func (r *Recorder) Init(init int, data []byte) {
	r.push(object{name: InitName(r.cfg.Epoch, init), data: [][]byte{data}, size: int64(len(data))})
}

// Segment stores a segment. It does not block.
func (r *Recorder) Segment(s Segment, data [][]byte) {
	for _, d := range data {
		s.Size += int64(len(d))
	}
	r.push(object{data: data, size: s.Size, segment: &s})
}

func (r *Recorder) push(o object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return
	}
	r.queue = append(r.queue, o)
	r.bytes += o.size
	r.signal()
}

func (r *Recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Finish waits until all is stored, or until ctx is done, and returns what the
// recording came to.
func (r *Recorder) Finish(ctx context.Context) Summary {
	r.mu.Lock()
	r.finished = true
	r.signal()
	r.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
		r.cancel()
		<-r.done
	}
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.queue {
		r.lose(o)
	}
	r.queue = nil
	return r.summary
}

// run stores the queue in order, until it is finished and empty.
func (r *Recorder) run(ctx context.Context) {
	retry := firstRetry
	for {
		o, ok, over := r.front()
		switch {
		case over:
			return
		case !ok:
			select {
			case <-r.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		if err := r.put(ctx, o); err != nil {
			r.failed(err)
			select {
			case <-time.After(retry):
			case <-ctx.Done():
				return
			}
			retry = min(retry*2, lastRetry)
			continue
		}
		retry = firstRetry
		r.stored(o)
	}
}

// front returns the next object to store. A segment gets its name now, when it
// is known whether one before it was lost.
func (r *Recorder) front() (o object, ok, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.bytes > r.cfg.Limit && r.dropOldest() {
	}
	if len(r.queue) == 0 {
		return object{}, false, r.finished
	}
	first := &r.queue[0]
	if first.segment != nil {
		first.segment.Discontinuity = first.segment.Discontinuity || r.lost
		first.name = first.segment.Name()
	}
	return *first, true, false
}

// dropOldest gives up the oldest segment. The caller holds mu.
func (r *Recorder) dropOldest() bool {
	for i, o := range r.queue {
		if o.segment == nil {
			continue
		}
		r.queue = append(r.queue[:i:i], r.queue[i+1:]...)
		r.bytes -= o.size
		r.lost = true
		r.lose(o)
		return true
	}
	return false
}

// lose counts an object that was given up. The caller holds mu.
func (r *Recorder) lose(o object) {
	if o.segment == nil {
		return
	}
	r.summary.Lost++
	r.cfg.Log.Error("a segment of a recording is lost: the object store did not take it in time",
		"prefix", r.cfg.Prefix, "msn", o.segment.MSN, "bytes", o.size)
	if r.cfg.OnLost != nil {
		r.cfg.OnLost(*o.segment)
	}
}

func (r *Recorder) put(ctx context.Context, o object) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	readers := make([]io.Reader, len(o.data))
	for i, d := range o.data {
		readers[i] = bytes.NewReader(d)
	}
	return r.cfg.Store.Put(ctx, join(r.cfg.Prefix, r.cfg.Rung, o.name), io.MultiReader(readers...), o.size)
}

func (r *Recorder) failed(err error) {
	r.mu.Lock()
	r.failures++
	n, waiting := r.failures, r.bytes
	r.mu.Unlock()
	// The retries are at most four a second at first, then one in 5 s.
	r.cfg.Log.Warn("storing a recording", "prefix", r.cfg.Prefix, "attempt", n, "waiting_bytes", waiting, "error", err)
	if r.cfg.OnError != nil {
		r.cfg.OnError(err)
	}
}

func (r *Recorder) stored(o object) {
	r.mu.Lock()
	r.failures = 0
	if len(r.queue) > 0 { // front keeps the first: only the goroutine of run takes it out
		r.queue = r.queue[1:]
	}
	r.bytes -= o.size
	if o.segment != nil {
		r.lost = false
		r.summary.Segments++
		r.summary.Ticks += o.segment.Ticks
	}
	r.mu.Unlock()
	if o.segment != nil && r.cfg.OnStored != nil {
		r.cfg.OnStored(*o.segment)
	}
}
