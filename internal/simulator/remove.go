package simulator

import (
	"context"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// remove removes everywhere what there is of a run's videos. News that is still
// under way and a step that is still at its work may bring some of it back, so it
// is done until nothing has been found for a while; then the run is removed.
func (s *Service) remove(ctx context.Context, r sqlc.Simulation) (gone bool, err error) {
	videos, err := s.q().Sent(ctx, r.ID)
	if err != nil {
		return false, fmt.Errorf("reading what was replayed: %w", err)
	}
	found := false
	var failures []error
	for _, video := range videos {
		something, err := s.forget(ctx, video)
		found = found || something
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return false, err
	}
	now := store.Now()
	switch {
	case found:
		return false, s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return sqlc.New(tx).Touch(ctx, sqlc.TouchParams{TouchedAt: now, ID: r.ID})
		})
	case now-max(r.TouchedAt, s.started) < s.cfg.Settle.Milliseconds():
		return false, nil
	}
	r, err = s.change(ctx, r.ID, func(_ context.Context, _ *store.Tx, r *sqlc.Simulation) error {
		r.State, r.RemovedAt = removed, now
		return nil
	})
	if err != nil {
		return false, err
	}
	failpoint.Pass("simulation.removed")
	s.Log.Info("a simulation is removed", "run", r.ID)
	if r.Forget {
		err = s.deleteRun(ctx, r.ID)
	}
	return true, err
}

// forget removes all that there is of a simulated video, and says whether there
// was anything. What one service cannot do does not keep the others from it.
func (s *Service) forget(ctx context.Context, videoID string) (found bool, err error) {
	var failures []error
	for _, t := range s.Traces {
		something, err := t.ForgetSimulated(ctx, videoID)
		found = found || something
		failpoint.Pass("simulation.forgotten")
		failures = append(failures, err)
	}
	return found, errors.Join(failures...)
}

// sweep removes what there is of simulated videos that belong to no run, or to one
// that has been removed: a net under remove.
func (s *Service) sweep(ctx context.Context) error {
	left := map[string]bool{}
	var failures []error
	for _, t := range s.Traces {
		ids, err := t.Simulated(ctx)
		failures = append(failures, err)
		for _, video := range ids {
			left[video] = true
		}
	}
	for video := range left {
		lives, err := s.q().Lives(ctx, video)
		if err == nil && !lives {
			_, err = s.forget(ctx, video)
			s.Log.Info("what was left of a simulated video is removed", "video", video)
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
