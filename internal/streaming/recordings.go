package streaming

import (
	"context"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// recordings stores all rungs of a broadcast.
type recordings struct {
	broadcast *broadcast
	budget    *recorder.Budget

	mu     sync.Mutex
	byRung map[string]*recorder.Recorder
	told   bool // that recording began
}

func newRecordings(b *broadcast) *recordings {
	return &recordings{broadcast: b, budget: recorder.NewBudget(0, 0), byRung: map[string]*recorder.Recorder{}}
}

func (r *recordings) of(rung string) *recorder.Recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.byRung[rung]
	if rec == nil {
		rec = r.open(rung)
		r.byRung[rung] = rec
	}
	return rec
}

func (r *recordings) open(rung string) *recorder.Recorder {
	b := r.broadcast
	s := b.service
	return recorder.New(recorder.Config{
		Store: s.needs.Objects, Prefix: recorder.Prefix(b.channel, b.id), Rung: rung,
		Budget: r.budget, Spill: s.spill, Pending: s.stored,
		OnStored: func(recorder.Segment) {
			s.metrics.segments.Inc()
			if rung == live.Source {
				r.begun()
			}
		},
		OnError: func(error) { s.metrics.storeErrors.Inc() },
		OnLost:  func(seg recorder.Segment) { s.lost(b.channel, b.id, rung, seg) },
		Log:     s.log,
	})
}

// begun says that recording began, once. It is called from the recorder's
// goroutine.
func (r *recordings) begun() {
	b := r.broadcast
	if r.told {
		return
	}
	r.told = true
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := b.service.markRecorded(ctx, b.id, b.channel); err != nil {
		// The end of the stream says it then.
		b.service.log.Error("noting that recording began", "stream", b.id, "error", err)
	}
}

// init stores an init segment.
func (r *recordings) init(rung string, epoch int64, version int, data []byte) {
	r.of(rung).Init(epoch, version, data)
	if rung != live.Source {
		return
	}
	r.broadcast.pictures.setInit(data)
	if version > maxInits {
		r.broadcast.end("the publisher changed its picture more often than is sane")
	}
}

// maxInits is far above what a browser does, which changes its resolution a few
// times an hour.
const maxInits = 1000

// segment stores a complete segment.
func (r *recordings) segment(rung string, seg *live.Segment) {
	r.of(rung).Segment(facts(seg), seg.Data())
	if rung == live.Source {
		r.broadcast.pictures.segment(seg)
	}
}

// facts is what a segment's key in the object store is made of.
func facts(seg *live.Segment) recorder.Segment {
	return recorder.Segment{
		Epoch: seg.Epoch, MSN: seg.MSN, StartMS: seg.Start.UnixMilli(), Ticks: seg.Ticks,
		Init: seg.Init, Discontinuity: seg.Discontinuity, Dependent: seg.Dependent,
	}
}

// finish waits until all is stored, for a while: what is not is left on disk. Where
// the disk is full, which is often why it is not stored, it waits on in memory,
// unless the server stops. finish returns what this process has recorded of all
// rungs.
func (r *recordings) finish() recorder.Summary {
	s := r.broadcast.service
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	cramped, cancelCramped := context.WithTimeout(s.running, crampedPatience)
	defer cancelCramped()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all recorder.Summary
	var wait sync.WaitGroup
	var adding sync.Mutex
	for _, rec := range r.byRung {
		wait.Go(func() {
			if !rec.Drain(ctx) && rec.Cramped() {
				rec.Drain(cramped)
			}
			sum := rec.Finish(ctx)
			adding.Lock()
			defer adding.Unlock()
			all.Segments += sum.Segments
			all.Lost += sum.Lost
			all.Left += sum.Left
		})
	}
	wait.Wait()
	return all
}
