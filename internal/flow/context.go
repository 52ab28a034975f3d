package flow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

// ErrInterrupted is in the chain of what Step and Await return when this run of
// the flow is over without the flow being so: the server stops, the flow was
// cancelled, another node has taken it up, or it waits for long without a run.
var ErrInterrupted = errors.New("the flow was interrupted")

// errCancelled is the cause of the context of a flow that Cancel ended.
var errCancelled = errors.New("the flow was cancelled")

// Context is what a flow function works with. It is of use to the function's
// own goroutine only.
type Context struct{ *execution }

// execution is one run of one flow.
type execution struct {
	engine *Engine
	dbos   dbos.Context
	id     string
	ctx    context.Context // ends with the run: shutdown, or Cancel
	cancel context.CancelCauseFunc
	inStep atomic.Bool
	doing  doing
	// ended is set once the run is over: all steps return it from then on.
	ended error
	// refused says that it is over because the database did not take a record.
	refused bool
}

// ID returns the id under which the flow was started.
func (x *execution) ID() string { return x.id }

// Context returns a context that ends when this run of the flow does.
func (x *execution) Context() context.Context { return x.ctx }

func (e *Engine) begin(dc dbos.Context) (*execution, error) {
	id, err := dbos.GetWorkflowID(dc)
	if err != nil {
		return nil, err
	}
	x := &execution{engine: e, dbos: dc, id: id}
	x.ctx, x.cancel = context.WithCancelCause(dc)
	e.waits.letGo(id) // this run waits for it from now on
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.active[id] == nil {
		e.active[id] = map[*execution]struct{}{}
	}
	e.active[id][x] = struct{}{}
	return x, nil
}

func (e *Engine) end(x *execution) {
	x.cancel(nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(x.ended, errParked) {
		defer nudge(e.waits.ripe) // it may have been woken since
	}
	delete(e.active[x.id], x)
	if len(e.active[x.id]) == 0 {
		delete(e.active, x.id)
	}
}

// interrupt marks the run as over. DBOS's own error stays in the chain: DBOS
// recognises by it that somebody else owns the flow.
func (x *execution) interrupt(cause error) error {
	if x.ended == nil {
		x.ended = fmt.Errorf("%w: %w", ErrInterrupted, cause)
		x.refused = x.ctx.Err() == nil && !verdict(cause) && !errors.Is(cause, errParked)
	}
	return x.ended
}

// verdict says whether DBOS itself ended the run, and not a database error.
func verdict(err error) bool {
	var e *dbos.Error
	for errors.As(err, &e) {
		switch e.Code {
		case dbos.ErrorCodeConflictingID, dbos.ErrorCodeWorkflowCancelled, dbos.ErrorCodeNonExistentWorkflow,
			dbos.ErrorCodeUnexpectedStep, dbos.ErrorCodeStepNondeterminism:
			return true
		}
		if err = errors.Unwrap(e); err == nil {
			return false
		}
	}
	return false
}
