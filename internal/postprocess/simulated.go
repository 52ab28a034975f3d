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
	"github.com/serverlessvideo/serverlessvideo/internal/store"
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
	j := Job{ID: videoID}
	row, err := s.jobRow(ctx, videoID)
	switch {
	case err == nil:
		found, j = true, jobOf(row)
		// The job first: Reconcile would begin it again.
		err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return sqlc.New(tx).ForgetJob(ctx, videoID)
		})
		if err != nil {
			return false, fmt.Errorf("forgetting the job of %s: %w", videoID, err)
		}
	case errs.CodeOf(err) != errs.NotFound:
		return false, err
	}
	for attempt := j.attempt(); attempt > 0; attempt-- {
		j.Attempt = attempt
		erased, err := s.flows.Erase(ctx, j.flowID())
		if err != nil {
			return found, err
		}
		found = found || erased
	}
	return found, nil
}
