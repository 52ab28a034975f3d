package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// A flow that waits long ends its run: it is parked. What stays are its rows,
// which are those of a flow that runs on this node, and some hundred bytes in
// memory. So it is Running for everybody, Cancel and a crash do with it what they
// do with a run, and nothing has to be written to park it. A wake puts it into
// DBOS's queue, and it begins again on its records.
//
// DBOS has no such end. It is had by returning what cannot be encoded: DBOS
// records an outcome that it can encode, or none. Decision 14 says why so.

// errParked ends a run whose flow waits without it.
var errParked = errors.New("the flow waits without a run")

// unrecorded is the outcome of such a run, and of the step in which it waited.
type unrecorded struct{}

// MarshalJSON keeps DBOS from recording it.
func (unrecorded) MarshalJSON() ([]byte, error) { return nil, errParked }

const (
	// defaultPark is long for what answers by itself, and short beside the time
	// that it takes to notice an answer later: up to a second, in the queue.
	defaultPark = 10 * time.Second
	// ripeLook is how often the deadlines of parked flows are looked at.
	ripeLook = time.Second
	// wakeTime is how long one round of waking may take, wakeBatch how many flows it
	// is for.
	wakeTime  = 10 * time.Second
	wakeBatch = 200
)

// park lets the run's flow wait without it. It does nothing, and says so, when the
// run has something to do or soon will have.
func (x *execution) park(w *waiter, deadline time.Time) bool {
	e := x.engine
	if e.look == nil && w.key != "" {
		return false // only a run that polls would see an answer whose wake was missed
	}
	if !deadline.IsZero() && time.Until(deadline) < e.cfg.Park {
		return false
	}
	if e.runs(x.id) > 1 {
		return false // the flow was lost, and is run here again
	}
	doing, _ := x.doing.get()
	p := &parked{id: x.id, key: w.key, doing: doing}
	if !e.waits.park(w, p) {
		return false
	}
	if x.ctx.Err() != nil { // Cancel may have looked before it was there
		e.waits.unpark(p)
		return false
	}
	failpoint.Pass("flow.park", p.doing.Step)
	return true
}

// wakeParked lets parked flows begin again when they are woken or their deadline
// is past.
func (e *Engine) wakeParked(ctx context.Context) {
	look := time.NewTicker(ripeLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.waits.ripe:
		case <-look.C:
		}
		// A run that has not let go yet says so when it has (end).
		ripe := slices.DeleteFunc(e.waits.due(), func(p *parked) bool { return e.runs(p.id) > 0 })
		for batch := range slices.Chunk(ripe, wakeBatch) {
			if err := e.wakeSome(ctx, batch); err != nil {
				if ctx.Err() == nil && e.ready() == nil {
					e.log.Warn("flows that wait are not woken, trying again", "flows", len(ripe), "err", err)
				}
				break // the next look finds them
			}
		}
	}
}

// wakeSome resumes the flows that are still this node's. Those that are not were
// cancelled, or taken up by another node while this one was silent.
func (e *Engine) wakeSome(ctx context.Context, flows []*parked) error {
	ctx, cancel := context.WithTimeout(ctx, wakeTime)
	defer cancel()
	// DBOS would also resume a flow that is cancelled meanwhile: Cancel waits.
	return e.exclusively(ctx, func() error {
		ids := make([]string, len(flows))
		for i, p := range flows {
			ids[i] = p.id
		}
		ours, err := e.list(ctx, []dbos.ListWorkflowsOption{
			dbos.WithFilterWorkflowIDs(ids...), dbos.WithFilterStatus(toDBOS(Running)...), dbos.WithFilterExecutorIDs(e.cfg.NodeID),
			dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
		})
		if err != nil {
			return err
		}
		ids = ids[:0]
		for _, info := range ours {
			ids = append(ids, info.ID)
		}
		failpoint.Pass("flow.wake")
		dc, done := e.client(ctx)
		defer done()
		if _, err := dbos.ResumeWorkflows[any](dc, ids); err != nil {
			return fmt.Errorf("resuming flows: %w", err)
		}
		failpoint.Pass("flow.woken")
		e.waits.unpark(flows...)
		return nil
	})
}

// runs returns how many runs of the flow are on this node.
func (e *Engine) runs(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.active[id])
}
