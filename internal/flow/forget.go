package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// letGo is how long Forget waits for a run that it has cancelled.
const letGo = 10 * time.Second

// IDs returns the ids of all flows that begin with prefix. Unlike List it also
// works before Start, for commands on a folder at rest.
func (e *Engine) IDs(ctx context.Context, prefix string) ([]string, error) {
	if err := errors.Join(ctx.Err(), e.opened()); err != nil {
		return nil, err
	}
	const page = 1000
	var ids []string
	for {
		rows, err := e.list(ctx, []dbos.ListWorkflowsOption{
			dbos.WithFilterWorkflowIDPrefix(prefix), dbos.WithFilterLimit(page), dbos.WithFilterOffset(len(ids)),
			dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
		})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
		if len(rows) < page {
			return ids, nil
		}
	}
}

// attemptsAsked is how many attempts are looked for at a time.
const attemptsAsked = 16

// Attempts returns the ids of the flow id and of its later attempts, which are
// called id.2 and so on, of those that there are. It asks by ids, not by their
// beginning, for which all flows would be looked through.
func (e *Engine) Attempts(ctx context.Context, id string) ([]string, error) {
	if err := errors.Join(ctx.Err(), e.opened()); err != nil {
		return nil, err
	}
	var own []string
	for first := 1; ; first += attemptsAsked {
		ids := make([]string, attemptsAsked)
		for i := range ids {
			ids[i] = fmt.Sprintf("%s.%d", id, first+i)
		}
		if first == 1 {
			ids[0] = id
		}
		rows, err := e.list(ctx, []dbos.ListWorkflowsOption{
			dbos.WithFilterWorkflowIDs(ids...), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
		})
		if err != nil {
			return nil, err
		}
		last := false
		for _, row := range rows {
			own = append(own, row.ID)
			last = last || row.ID == ids[attemptsAsked-1]
		}
		if !last {
			return own, nil
		}
	}
}

// Forget ends flows for good and removes what is kept of them: inputs, results
// of steps, outcomes. A run on this node has let go when it returns, or has had
// 10 s for it; one on another node sees it with its next step. Flows that are not
// there are no error. It works before Start too, when no flow runs.
func (e *Engine) Forget(ctx context.Context, ids ...string) error {
	if err := errors.Join(ctx.Err(), e.opened()); err != nil {
		return err
	}
	if e.ready() != nil {
		return e.remove(ctx, ids) // nothing runs
	}
	for len(ids) > 0 {
		for _, id := range ids {
			if err := e.Cancel(ctx, id); err != nil && errs.CodeOf(err) != errs.NotFound {
				return err
			}
			e.awaitRuns(ctx, id)
		}
		err := e.exclusively(ctx, func() (err error) {
			ids, err = e.removeFinal(ctx, ids)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeFinal removes flows but for those that were retried meanwhile and run
// again, which it returns. The caller keeps everybody else from changing final ones.
func (e *Engine) removeFinal(ctx context.Context, ids []string) (left []string, err error) {
	rows, err := e.list(ctx, []dbos.ListWorkflowsOption{
		dbos.WithFilterWorkflowIDs(ids...), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
	})
	if err != nil {
		return nil, err
	}
	var final []string
	for _, row := range rows {
		if row.Status.Final() {
			final = append(final, row.ID)
		} else {
			left = append(left, row.ID)
		}
	}
	return left, e.remove(ctx, final)
}

func (e *Engine) remove(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	dc, done := e.client(ctx)
	defer done()
	if err := dbos.DeleteWorkflows(dc, ids); err != nil && !errors.Is(err, dbos.ErrNonExistentWorkflow) {
		return fmt.Errorf("forgetting the flows %s: %w", strings.Join(ids, ", "), err)
	}
	return nil
}

// awaitRuns waits until no run of a flow is left on this node.
func (e *Engine) awaitRuns(ctx context.Context, id string) {
	limit := time.After(letGo)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		e.mu.Lock()
		running := len(e.active[id])
		e.mu.Unlock()
		if running == 0 {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			e.log.Warn("a cancelled flow does not let go", "id", id)
			return
		case <-ctx.Done():
			return
		}
	}
}

// opened returns what callers get after Shutdown.
func (e *Engine) opened() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errs.New(errs.Unavailable, "the workflow engine is not running")
	}
	return nil
}
