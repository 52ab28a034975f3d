package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// RetryPlan says what trying a flow again would mean. The service whose flow it is
// makes it: it knows whether the flow's outcome was told to others already.
type RetryPlan struct {
	// Refusal says why the flow cannot be tried again and what would help; ""
	// when it can.
	Refusal string
	// NewID is the id of the flow that a retry begins; "" when the flow itself goes on.
	NewID string
	// From are the places from which it may be tried again: steps of this flow, or
	// what the service calls the parts of a new one. Empty: from one place only.
	From []string
}

// RetryFrom lets a flow that failed, was cancelled or was given up go on, under
// its own id: receipts, tasks and whoever looks for the flow know it by that.
//
// The recorded steps before the named one keep their results, the others run
// again. With from "" these are the last step, if it failed, and what comes after the
// records. A step whose effect has a receipt (store.Step) returns the result of
// its first run even then: an effect counts once.
//
// Errors: errs.NotFound for an unknown id or step; errs.Conflict for a flow that
// is not final or is done, or whose last run has not let go yet.
func (e *Engine) RetryFrom(ctx context.Context, id, from string) error {
	return e.exclusively(ctx, func() error { return e.retryFrom(ctx, id, from) })
}

func (e *Engine) retryFrom(ctx context.Context, id, from string) error {
	info, err := e.Status(ctx, id)
	if err != nil {
		return err
	}
	if err := e.mayRetry(info); err != nil {
		return err
	}
	steps, err := e.steps(ctx, id)
	if err != nil {
		return err
	}
	number, err := startOf(steps, from)
	if err != nil {
		return err
	}
	dc, done := e.client(ctx)
	defer done()
	// The flow's version may be one whose flows nobody would take up.
	_, err = dbos.RewindWorkflow[any](dc, id, dbos.WithRewindStartStep(number), dbos.WithRewindApplicationVersion(appVersion))
	switch {
	case errors.Is(err, dbos.ErrNonExistentWorkflow):
		return noFlow(id)
	case errors.Is(err, dbos.ErrUnexpectedWorkflow):
		return errs.Wrap(err, errs.Conflict, "the flow is being retried already")
	case err != nil:
		return fmt.Errorf("retrying flow %s: %w", id, err)
	}
	e.log.Info("a flow is tried again", "id", id, "flow", info.Name, "from", from, "was", info.Status)
	return nil
}

func (e *Engine) mayRetry(info Info) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !info.Status.Final():
		return errs.Newf(errs.Conflict, "the flow is %s: only one that failed, was cancelled or was abandoned can be retried", info.Status)
	case info.Status == Done:
		return errs.New(errs.Conflict, "the flow is done: there is nothing to retry")
	case e.runners[info.Name] == nil:
		return errs.Newf(errs.Conflict, "this version has no flow named %q", info.Name)
	case len(e.active[info.ID]) > 0:
		return errs.New(errs.Conflict, "the run that was cancelled has not let go of its step yet: try again in a moment")
	}
	return nil
}

// startOf returns the number of the step to begin at.
func startOf(steps []StepInfo, from string) (uint, error) {
	if from != "" {
		for _, s := range steps {
			if s.Name == from {
				return uint(s.number), nil
			}
		}
		return 0, errs.Newf(errs.NotFound, "the flow has not come to a step %q: choose one of those it has run", from)
	}
	if len(steps) == 0 {
		return 0, nil
	}
	last := steps[len(steps)-1]
	if last.Error != "" {
		return uint(last.number), nil
	}
	return uint(last.number) + 1, nil
}
