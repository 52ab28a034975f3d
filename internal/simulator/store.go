package simulator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The states of a run.
const (
	running  = "running"
	kept     = "kept"     // it is over, its videos stay until somebody ends that
	removing = "removing" // its videos are being removed
	removed  = "removed"  // its results alone are left
)

// How a run ended.
const (
	finished  = "finished"
	stopped   = "stopped"   // somebody did not want to wait
	abandoned = "abandoned" // the command that followed it went away
	overdue   = "overdue"   // it took longer than Config.Limit
)

// What is kept of the results of removed runs.
const (
	keptRuns = 50
	keptFor  = 30 * 24 * time.Hour
)

func (s *Service) q() *sqlc.Queries { return sqlc.New(s.DB.Read()) }

func (s *Service) unfinished(ctx context.Context) ([]sqlc.Simulation, error) {
	runs, err := s.q().UnfinishedRuns(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the unfinished runs: %w", err)
	}
	return runs, nil
}

// run returns a run. Errors: errs.NotFound.
func (s *Service) run(ctx context.Context, runID string) (sqlc.Simulation, error) {
	r, err := s.q().Run(ctx, runID)
	return r, named(err, runID)
}

func named(err error, runID string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errs.Newf(errs.NotFound, "there is no simulation %q", runID)
	}
	if err != nil {
		return fmt.Errorf("reading the simulation %s: %w", runID, err)
	}
	return nil
}

// add writes a new run with its videos. Errors: errs.Conflict while one runs.
func (s *Service) add(ctx context.Context, run sqlc.AddRunParams, videos []sqlc.AddVideoParams) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		n, err := q.AddRun(ctx, run)
		if err != nil {
			return fmt.Errorf("adding a simulation: %w", err)
		}
		if n == 0 {
			other, err := q.RunningRun(ctx)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("reading the simulation that runs: %w", err)
			}
			return errs.Newf(errs.Conflict, "the simulation %s runs: wait for its end, or stop it", other)
		}
		for _, v := range videos {
			if err := q.AddVideo(ctx, v); err != nil {
				return fmt.Errorf("adding a simulated video: %w", err)
			}
		}
		return nil
	})
}

// change locks a run, lets fn change it, and writes its state. It returns the
// run as it is then. Errors: errs.NotFound.
func (s *Service) change(ctx context.Context, runID string, fn func(ctx context.Context, tx *store.Tx, r *sqlc.Simulation) error) (sqlc.Simulation, error) {
	var r sqlc.Simulation
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		var err error
		if r, err = q.LockRun(ctx, runID); err != nil {
			return named(err, runID)
		}
		before := r
		if err := fn(ctx, tx, &r); err != nil || r == before {
			return err
		}
		err = q.SetState(ctx, sqlc.SetStateParams{
			State: r.State, Ending: r.Ending, EndedAt: r.EndedAt, TouchedAt: r.TouchedAt, RemovedAt: r.RemovedAt,
			Forget: r.Forget, ID: r.ID,
		})
		if err != nil {
			return fmt.Errorf("changing the simulation %s: %w", runID, err)
		}
		return nil
	})
	return r, err
}

// saveVideo writes what has become of a simulated video.
func saveVideo(ctx context.Context, q *sqlc.Queries, v sqlc.SimulationVideo) error {
	err := q.SaveVideo(ctx, sqlc.SaveVideoParams{
		SentAt: v.SentAt, BegunAt: v.BegunAt, ProcessedAt: v.ProcessedAt, LifecycleAt: v.LifecycleAt, JudgedAt: v.JudgedAt,
		EndedAt: v.EndedAt, Status: v.Status, Reason: v.Reason, Compute: v.Compute, Skipped: v.Skipped, ID: v.ID,
	})
	if err != nil {
		return fmt.Errorf("saving the simulated video %s: %w", v.ID, err)
	}
	return nil
}

// prune forgets the results of old runs.
func (s *Service) prune(ctx context.Context) error {
	old, err := s.q().OldRuns(ctx, sqlc.OldRunsParams{Before: store.Now() - keptFor.Milliseconds(), Newest: keptRuns})
	if err != nil {
		return fmt.Errorf("reading the old runs: %w", err)
	}
	for _, run := range old {
		if err := s.deleteRun(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) deleteRun(ctx context.Context, runID string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		err := q.DeleteVideos(ctx, runID)
		if err == nil {
			err = q.DeleteRun(ctx, runID)
		}
		if err != nil {
			return fmt.Errorf("deleting the simulation %s: %w", runID, err)
		}
		return nil
	})
}
