package recorder

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
)

// Config is what a Recorder needs.
type Config struct {
	Store  blob.Store
	Prefix string // of the recording
	Rung   string
	// Budget is what may wait for the store, shared with the other rungs of the
	// broadcast; one of its own, with the default limits, if nil.
	Budget *Budget
	// Spill is where segments go that find no room in memory; nil for nowhere.
	Spill *Spill
	// Pending, if not nil, shows to readers what waits in the recorder.
	Pending *Pending
	// PutTimeout is how long the store may take for a small object,
	// DefaultPutTimeout if 0.
	PutTimeout time.Duration
	// OnStored hears of every stored segment, in order; OnError of every failed
	// attempt, OnLost of every segment that was given up. They are called from
	// the recorder's goroutine, and each may be nil.
	OnStored func(Segment)
	OnError  func(error)
	OnLost   func(Segment)
	Log      *slog.Logger
}

// Recorder stores one rung of a stream. What the store does not take is tried
// again; meanwhile segments wait in memory, then on disk. When there is no room
// either, the oldest is lost: told to OnLost, logged, and seen as a
// discontinuity in the playlists of the recording.
type Recorder struct {
	cfg    Config
	budget *Budget
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{}
	puts   puts // of the recorder's goroutine

	mu       sync.Mutex
	queue    []*object // in order; the first is not stored yet
	lost     []*object // not told yet
	trash    []string  // files not deleted yet
	finished bool
	summary  Summary
	waiting  Waiting
}

// Summary is what a recording came to.
type Summary struct {
	Segments int
	Ticks    int64 // duration of the stored segments in 1/90000 s
	Lost     int   // segments
	Left     int   // segments for Spill.Recover to store
}

// DurationMS returns the duration in ms.
func (s Summary) DurationMS() int64 { return s.Ticks / 90 }

// Waiting is what is not stored yet.
type Waiting struct {
	Segments int
	Memory   int64 // bytes
	Spilled  int64 // bytes on disk
}

// New starts a recorder. Its owner calls Finish.
func New(cfg Config) *Recorder {
	budget := cfg.Budget
	if budget == nil {
		budget = NewBudget(0, 0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Recorder{
		cfg: cfg, budget: budget, cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1), puts: newPuts(),
	}
	if cfg.Pending != nil {
		cfg.Pending.add(r)
	}
	go func() {
		defer close(r.done)
		r.run(ctx)
		if cfg.Pending != nil {
			cfg.Pending.remove(r)
		}
	}()
	return r
}

// Init stores an init segment, by its number in the epoch. It does not block.
// Segments that come after it are not stored before it.
func (r *Recorder) Init(epoch int64, init int, data []byte) {
	r.push(&object{name: InitName(epoch, init), data: [][]byte{data}, size: int64(len(data))})
}

// Segment stores a segment. It does not block. The data may not change any more.
func (r *Recorder) Segment(s Segment, data [][]byte) {
	s.Size = 0
	for _, d := range data {
		s.Size += int64(len(d))
	}
	r.push(&object{name: s.Name(), data: data, size: s.Size, segment: &s})
}

// Waiting returns what is not stored yet.
func (r *Recorder) Waiting() Waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// Drain waits until all is stored, or until ctx is done, and says whether it is.
// Nothing comes after it. What is not stored waits on, until Finish.
func (r *Recorder) Drain(ctx context.Context) bool {
	r.mu.Lock()
	r.finished = true
	r.signal()
	r.mu.Unlock()
	select {
	case <-r.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// Cramped says whether Finish would lose something although there is a Spill:
// the disk has no room for what waits in memory.
func (r *Recorder) Cramped() bool {
	waits := r.Waiting().Memory
	return r.cfg.Spill != nil && waits > 0 && !r.hasRoom(waits)
}

// Finish waits until all is stored, or until ctx is done, and returns what the
// recording came to. What is not stored then is left to Spill.Recover, and lost
// without a Spill.
func (r *Recorder) Finish(ctx context.Context) Summary {
	r.Drain(ctx)
	r.cancel()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.summary
}
