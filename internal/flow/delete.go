package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Erase ends a flow if it runs, removes all that is kept of it, and says whether
// there was anything. What its steps did stays done, and one that runs may still
// do what it is at. Under the same id a new flow can be started.
func (e *Engine) Erase(ctx context.Context, id string) (found bool, err error) {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return false, err
	}
	known, err := e.list(ctx, []dbos.ListWorkflowsOption{
		dbos.WithFilterWorkflowIDs(id), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
	})
	if err != nil || len(known) == 0 {
		return false, err
	}
	if err := e.Cancel(ctx, id); err != nil && errs.CodeOf(err) != errs.NotFound {
		return true, err
	}
	dc, done := e.client(ctx)
	defer done()
	err = dbos.DeleteWorkflows(dc, []string{id})
	if err != nil && !errors.Is(err, dbos.ErrNonExistentWorkflow) {
		return true, fmt.Errorf("erasing flow %s: %w", id, err)
	}
	return true, nil
}
