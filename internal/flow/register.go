package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Register makes fn the flow of that name. All flows are registered before
// Start, under names that stay the same for as long as one of them may be
// unfinished. It panics when the name is taken: that is a programming error.
func Register[I, O any](e *Engine, name string, fn func(c Context, in I) (O, error)) {
	e.register(name, func(c Context, raw json.RawMessage) (json.RawMessage, error) {
		var in I
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fmt.Errorf("the input of flow %s: %w", name, err)
		}
		out, err := fn(c, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	})
}

// Run starts the registered flow name under id. The id decides: a second call
// with the same id does nothing, whatever became of the first. The flow does
// not end with ctx.
func Run[I any](ctx context.Context, e *Engine, name, id string, in I) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return errs.Wrap(err, errs.Invalid, "the input of flow "+name+" cannot be encoded")
	}
	return e.run(ctx, name, id, raw)
}

type flowFunc func(c Context, in json.RawMessage) (json.RawMessage, error)

// runner is one registered flow. DBOS tells apart the flows that share its
// method by ConfigName.
type runner struct {
	engine *Engine
	name   string
	fn     flowFunc
}

// ConfigName implements dbos.ConfiguredInstance.
func (r *runner) ConfigName() string { return r.name }

func (e *Engine) register(name string, fn flowFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		panic("flow: " + name + " is registered after Start")
	}
	if _, taken := e.runners[name]; taken || name == "" {
		panic("flow: the name " + name + " is empty or taken")
	}
	r := &runner{engine: e, name: name, fn: fn}
	e.runners[name] = r
	dbos.RegisterWorkflow(e.dbos, r.run,
		dbos.WithWorkflowName(name), dbos.WithInstance(r), dbos.WithMaxRecoveryAttempts(maxRecoveries))
}

func (e *Engine) run(ctx context.Context, name, id string, in json.RawMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if id == "" {
		return errs.New(errs.Invalid, "a flow needs an id")
	}
	if err := e.ready(); err != nil {
		return err
	}
	e.mu.Lock()
	r := e.runners[name]
	e.mu.Unlock()
	if r == nil {
		return errs.Newf(errs.NotFound, "no flow is named %q", name)
	}
	started := make(chan error, 1)
	e.starts.Go(func() {
		// The engine's own context: a flow started under the caller's would be
		// cancelled for good with it.
		_, err := dbos.RunWorkflow(e.dbos, r.run, in, dbos.WithWorkflowID(id), dbos.WithRunInstance(r))
		started <- err
	})
	var err error
	select {
	case err = <-started:
	case <-ctx.Done():
		// DBOS waits for a database that is away; the caller does not.
		return fmt.Errorf("starting flow %s %s: %w", name, id, ctx.Err())
	}
	if errors.Is(err, dbos.ErrUnexpectedWorkflow) {
		return errs.Wrap(err, errs.Conflict, "the id "+id+" belongs to another flow")
	}
	if err != nil {
		return fmt.Errorf("starting flow %s %s: %w", name, id, err)
	}
	return nil
}

// run is the DBOS workflow of all flows.
func (r *runner) run(dc dbos.Context, in json.RawMessage) (out any, err error) {
	x, err := r.engine.begin(dc)
	if err != nil {
		return nil, err
	}
	defer r.engine.end(x)
	defer func() {
		if p := recover(); p != nil {
			r.engine.waits.letGo(x.id) // if it had parked: it is not waiting any more
			r.engine.log.Error("flow panicked", "flow", r.name, "id", x.id, "panic", p, "stack", string(debug.Stack()))
			out, err = nil, fmt.Errorf("flow %s panicked: %v", r.name, p)
		}
	}()
	out, err = r.fn(Context{x}, in)
	if errors.Is(x.ended, errParked) {
		return unrecorded{}, x.ended
	}
	if x.ended != nil {
		// Whatever the flow made of its interruption: this run has no outcome.
		return nil, r.engine.handBack(x)
	}
	if err != nil {
		r.engine.log.Error("flow failed", "flow", r.name, "id", x.id, "err", err)
	}
	return out, err
}

// handBack ends a run that was interrupted. When the flow's database refused a
// record (its disk is full, say), DBOS would call the flow failed for good; so
// the flow is queued again as soon as the database takes that.
func (e *Engine) handBack(x *execution) error {
	if !x.refused {
		return x.ended
	}
	for delay := time.Second; ; delay = min(2*delay, time.Minute) {
		e.log.Error("the flows' database refuses a record, trying the flow again", "id", x.id, "after", delay, "err", x.ended)
		select {
		case <-x.ctx.Done():
			return x.ended
		case <-time.After(delay):
		}
		if err := e.queueAgain(x); err == nil {
			return fmt.Errorf("%w: %w", x.ended, dbos.ErrConflictingWorkflowID)
		}
	}
}

// queueAgain queues the flow of a run again, unless that is cancelled meanwhile.
func (e *Engine) queueAgain(x *execution) error {
	return e.exclusively(x.ctx, func() error {
		info, err := e.Status(x.ctx, x.id)
		if err != nil || info.Status == Cancelled {
			return err
		}
		_, err = dbos.ResumeWorkflow[json.RawMessage](e.dbos, x.id)
		return err
	})
}
