package postprocess

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess/sqlc"
)

// Progress returns how far a video is that this node works on, in percent of the
// whole work; false when it does not.
func (s *Service) Progress(videoID string) (step string, percent int, ok bool) {
	p, ok := s.tracker.of(videoID)
	return p.step, p.percent, ok
}

// flowsListed is how many flows one look at the simulated ones sees.
const flowsListed = 1000

// Simulated returns the ids of all simulated videos of which there is a job or a
// flow.
func (s *Service) Simulated(ctx context.Context) ([]string, error) {
	ids, err := sqlc.New(s.db.Read()).SimulatedJobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the jobs of simulations: %w", err)
	}
	prefix := Job{ID: event.SimulatedPrefix}.flowID()
	flows, err := s.flows.List(ctx, flow.Filter{IDPrefixes: []string{prefix}, Limit: flowsListed})
	if err != nil {
		return nil, err
	}
	for _, f := range flows {
		id, _, _ := strings.Cut(event.SimulatedPrefix+strings.TrimPrefix(f.ID, prefix), ".") // without its attempt
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// ForgetSimulated ends the work on a simulated video, removes its job and its
// flows, and says whether there were any. A file may still be stored by a step
// that was at it. Errors: errs.Invalid for any other video.
func (s *Service) ForgetSimulated(ctx context.Context, videoID string) (found bool, err error) {
	if !event.Simulated(videoID) {
		return false, errs.Newf(errs.Invalid, "%q is no simulated video", videoID)
	}
	flows, err := s.flows.Attempts(ctx, Job{ID: videoID}.flowID())
	if err != nil {
		return false, err
	}
	job, err := s.kept.Has(ctx, videoID)
	if err != nil {
		return false, err
	}
	// A Forget that a kill broke off may have left the receipts alone.
	steps, err := s.db.HasSteps(ctx, Job{ID: videoID}.flowID())
	if err != nil || !job && !steps && len(flows) == 0 { // most often there is nothing
		return false, err
	}
	return true, s.kept.Forget(ctx, videoID)
}
