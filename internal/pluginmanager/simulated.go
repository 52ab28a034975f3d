package pluginmanager

import (
	"context"
	"fmt"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
)

// Skipped returns the plugins that were not asked about a simulated video, in
// the order of hooks and registration.
func (s *Service) Skipped(ctx context.Context, videoID string) ([]string, error) {
	names, err := sqlc.New(s.db.Read()).SkippedPlugins(ctx, firstID(videoID))
	if err != nil {
		return nil, fmt.Errorf("reading the plugins skipped for %s: %w", videoID, err)
	}
	return names, nil
}

// flowsListed is how many flows one look at the simulated ones sees.
const flowsListed = 1000

// Simulated returns the ids of all simulated videos of which there is a
// lifecycle.
func (s *Service) Simulated(ctx context.Context) ([]string, error) {
	ids, err := sqlc.New(s.db.Read()).SimulatedLifecycles(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the lifecycles of simulations: %w", err)
	}
	flows, err := s.flows.List(ctx, flow.Filter{IDPrefixes: []string{firstID(event.SimulatedPrefix)}, Limit: flowsListed})
	if err != nil {
		return nil, err
	}
	for _, f := range flows {
		ids = append(ids, s.FlowVideo(f.ID))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// ForgetSimulated ends a simulated video's lifecycle, removes all of it, and says
// whether there was any. Answers that come later are those to an unknown task.
// Errors: errs.Invalid for any other video.
func (s *Service) ForgetSimulated(ctx context.Context, videoID string) (found bool, err error) {
	if !event.Simulated(videoID) {
		return false, errs.Newf(errs.Invalid, "%q is no simulated video", videoID)
	}
	flows, err := s.flows.Attempts(ctx, firstID(videoID))
	if err != nil {
		return false, err
	}
	rows, err := sqlc.New(s.db.Read()).HasLifecycle(ctx, videoID)
	if err != nil {
		return false, fmt.Errorf("reading the lifecycle of %s: %w", videoID, err)
	}
	// A Forget that a kill broke off may have left the receipts alone.
	steps, err := s.db.HasSteps(ctx, firstID(videoID))
	if err != nil || !rows && !steps && len(flows) == 0 { // most often there is nothing
		return false, err
	}
	return true, s.kept.Forget(ctx, videoID)
}
