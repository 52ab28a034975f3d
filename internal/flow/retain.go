package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

const (
	pruneEvery = time.Minute
	pruneBatch = 100
	// pruneTime is how long one round may go on: the lease is renewed between rounds.
	pruneTime = 2 * time.Second
)

// Prune deletes, with their steps, the flows that ended longer ago than they are
// kept. A flow that is not final is never deleted. The engine does it by itself
// every minute; on a shared database one node at a time.
func (e *Engine) Prune(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return err
	}
	until := time.Now().Add(pruneTime)
	for _, kind := range []struct {
		keep     time.Duration
		statuses []Status
	}{{e.cfg.Keep, []Status{Done}}, {e.cfg.KeepFailed, []Status{Failed, Cancelled, Abandoned}}} {
		for kind.keep > 0 {
			deleted, err := e.pruneSome(ctx, time.Now().Add(-kind.keep), kind.statuses)
			if err != nil || time.Now().After(until) {
				return err
			}
			if deleted < pruneBatch {
				break
			}
		}
	}
	return nil
}

// pruneNow is the engine's own: it does not keep the lease from being renewed while
// it waits for others.
func (e *Engine) pruneNow(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, 2*pruneTime)
	defer cancel()
	if err := e.Prune(limited); err != nil && ctx.Err() == nil && e.dbos.Err() == nil {
		e.log.Warn("old flows are not deleted", "err", err)
	}
}

func (e *Engine) pruneSome(ctx context.Context, before time.Time, statuses []Status) (deleted int, err error) {
	err = e.exclusively(ctx, func() error {
		// Final flows change in RetryFrom and Forget alone, which wait meanwhile.
		old, err := e.list(ctx, []dbos.ListWorkflowsOption{
			dbos.WithFilterStatus(toDBOS(statuses...)...), dbos.WithFilterCompletedBefore(before),
			dbos.WithFilterLimit(pruneBatch), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
		})
		if err != nil || len(old) == 0 {
			return err
		}
		ids := make([]string, len(old))
		for i, info := range old {
			ids[i] = info.ID
		}
		dc, done := e.client(ctx)
		defer done()
		if err := dbos.DeleteWorkflows(dc, ids); err != nil {
			return fmt.Errorf("deleting flows: %w", err)
		}
		deleted = len(ids)
		e.log.Debug("deleted old flows", "flows", deleted)
		return nil
	})
	return deleted, err
}

// exclusively runs what changes final flows, or cancels and wakes others, while
// nobody else does, on this node or another one.
func (e *Engine) exclusively(ctx context.Context, fn func() error) error {
	select {
	case e.rare <- struct{}{}:
		defer func() { <-e.rare }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return err
	}
	release, err := e.lease.lock(ctx, finalLock)
	if err != nil {
		return fmt.Errorf("waiting for the other nodes: %w", err)
	}
	defer release()
	return fn()
}
