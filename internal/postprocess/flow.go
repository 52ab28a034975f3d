package postprocess

import (
	"context"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// flowName, the names of its steps and of its patch stand in the database of
// flows: they stay as they are while a flow may be unfinished.
const (
	flowName        = "postprocess"
	storyboardPatch = "storyboard" // before it, there was a thumbnail alone
	encodePatch     = "encode"     // before it, nothing was encoded
)

// Job is a recording to be worked on, the flow's input. Its id is the stream's,
// which becomes the video's.
type Job struct {
	ID             string `json:"id"`
	Channel        string `json:"channel"`
	Prefix         string `json:"prefix"`            // of its objects, without slash at its end
	DurationMillis int64  `json:"duration_ms"`       // as the recorder counted
	Attempt        int    `json:"attempt,omitempty"` // from 1 on; 0 means 1, in flows of an older build
}

func (j Job) attempt() int { return max(1, j.Attempt) }

// again is "" for the first attempt at a job and tells others apart.
func (j Job) again() string {
	if j.attempt() == 1 {
		return ""
	}
	return fmt.Sprintf(".%d", j.attempt())
}

const flowPrefix = "post-"

// flowID is another one for each attempt. An id of a job has no dot.
func (j Job) flowID() string { return flowPrefix + j.ID + j.again() }

func (s *Service) start(ctx context.Context, j Job) error {
	return flow.Run(ctx, s.flows, flowName, j.flowID(), j)
}

// process is the flow: it says that it started, makes the files, and says how
// it went.
func (s *Service) process(c flow.Context, j Job) (string, error) {
	defer s.forget(j.ID)
	there, err := flow.Step(c, "started", func(ctx context.Context) (bool, error) {
		return s.record(ctx, j, "started", processing, "", s.startedEvent(j), nil)
	}, endless())
	if err != nil || !there {
		return gone, err
	}
	mp4, err := flow.Step(c, stepMP4, func(ctx context.Context) (mp4Result, error) {
		return s.makeMP4(ctx, j)
	}, s.cfg.Retries)
	if errors.Is(err, flow.ErrInterrupted) {
		return "", err
	}
	if err != nil {
		return s.giveUp(c, j, err)
	}
	encoded, err := s.encodeStep(c, j, mp4)
	if err != nil {
		return "", err
	}
	board, err := s.storyboardStep(c, j, mp4.Media)
	if err != nil {
		return "", err
	}
	thumb, err := s.thumbnailStep(c, j, mp4.Media, board.Candidates)
	if err != nil {
		return "", err
	}
	_, err = flow.Step(c, "complete", func(ctx context.Context) (bool, error) {
		return s.record(ctx, j, outcome, done, "", s.completeEvent(j, encoded, thumb, board), func(ctx context.Context, tx *store.Tx) error {
			return setMedia(ctx, tx, j, encoded.mp4Result)
		})
	}, endless())
	return done, err
}

// giveUp ends an attempt that has no MP4.
func (s *Service) giveUp(c flow.Context, j Job, err error) (string, error) {
	reason := reasonOf(err)
	s.log.Error("post-processing: no MP4", "video", j.ID, "attempt", j.attempt(), "reason", reason, "err", err)
	_, err = flow.Step(c, "failed", func(ctx context.Context) (bool, error) {
		return s.record(ctx, j, outcome, failed, reason, s.failedEvent(j, reason), nil)
	}, endless())
	return failed, err
}

// storyboardStep fails only when the run is over: the video is worth more than
// its pictures.
func (s *Service) storyboardStep(c flow.Context, j Job, m Media) (storyboardResult, error) {
	fresh, err := flow.Patched(c, storyboardPatch)
	if err != nil || !fresh {
		return storyboardResult{}, err
	}
	board, err := flow.Step(c, stepStoryboard, func(ctx context.Context) (storyboardResult, error) {
		return s.makeStoryboard(ctx, j, m)
	}, s.pictureRetries())
	if err != nil && !errors.Is(err, flow.ErrInterrupted) {
		s.log.Warn("post-processing: no storyboard", "video", j.ID, "err", err)
		return storyboardResult{Note: noStoryboard(err)}, nil
	}
	return board, err
}

// thumbnailStep fails only when the run is over.
func (s *Service) thumbnailStep(c flow.Context, j Job, m Media, candidates []int64) (thumbnailResult, error) {
	thumb, err := flow.Step(c, stepThumbnail, func(ctx context.Context) (thumbnailResult, error) {
		return s.makeThumbnail(ctx, j, m, candidates)
	}, s.pictureRetries())
	if err != nil && !errors.Is(err, flow.ErrInterrupted) {
		s.log.Warn("post-processing: no thumbnail", "video", j.ID, "err", err)
		return thumbnailResult{Note: noThumbnail(err)}, nil
	}
	return thumb, err
}

func (s *Service) pictureRetries() flow.Retries {
	r := s.cfg.Retries
	r.Max = min(r.Max, 2)
	return r
}

// endless is for the steps that only write to our own database: a flow does not
// fail because it was away.
func endless() flow.Retries {
	r := flow.DefaultRetries()
	r.Max = flow.Forever
	return r
}

// outcome is the receipt of all that ends a job: one of them counts.
const outcome = "outcome"

// record writes the job's state and says what follows, once, in one transaction.
// also, which may be nil, writes more in it. Of a deleted video it writes and says
// nothing, and returns false.
func (s *Service) record(ctx context.Context, j Job, receipt, state, reason string, e event.Envelope,
	also func(context.Context, *store.Tx) error) (bool, error) {
	return store.Step(ctx, s.db, j.flowID(), receipt, func(ctx context.Context, tx *store.Tx) (bool, error) {
		if deleted, err := s.deleted(ctx, tx, j.ID); err != nil || deleted {
			return false, err
		}
		if err := setState(ctx, tx, j, state, reason); err != nil {
			return false, err
		}
		if also != nil {
			if err := also(ctx, tx); err != nil {
				return false, err
			}
		}
		return true, tx.Emit(ctx, e)
	})
}

// reasonOf says to the broadcaster why there is no MP4.
func reasonOf(err error) string { return "The MP4 could not be made: " + errs.MessageOf(err) + "." }

// Reconcile starts the flow of every unfinished job that has none, and ends the
// jobs whose flow ended without saying how: cancelled, or given up.
func (s *Service) Reconcile(ctx context.Context) error {
	var failures []error
	err := s.eachUnfinished(ctx, func(j Job) {
		if err := s.reconcile(ctx, j); err != nil {
			failures = append(failures, err)
		}
	})
	return errors.Join(append(failures, err)...)
}

func (s *Service) reconcile(ctx context.Context, j Job) error {
	info, err := s.flows.Status(ctx, j.flowID())
	switch {
	case errs.CodeOf(err) == errs.NotFound:
		return s.start(ctx, j)
	case err != nil:
		return err
	case !info.Status.Final():
		return nil
	}
	reason := "The MP4 could not be made: " + map[flow.Status]string{
		flow.Cancelled: "the work was cancelled.",
		flow.Abandoned: "the work was interrupted too often.",
	}[info.Status]
	if info.Status != flow.Cancelled && info.Status != flow.Abandoned {
		reason = reasonOf(errors.New(info.Error))
	}
	s.log.Error("post-processing: a flow ended without an outcome", "video", j.ID, "status", info.Status, "err", info.Error)
	// A flow that finished just now has its outcome: then this does nothing. Nor
	// does it when the flow goes on, because it was retried meanwhile (retry.go).
	_, err = s.record(ctx, j, outcome, failed, reason, s.failedEvent(j, reason), func(ctx context.Context, _ *store.Tx) error {
		return s.stillOver(ctx, j)
	})
	if errors.Is(err, errGoesOn) {
		return nil
	}
	return err
}

var errGoesOn = errors.New("the flow goes on")

func (s *Service) stillOver(ctx context.Context, j Job) error {
	info, err := s.flows.Status(ctx, j.flowID())
	if err == nil && !info.Status.Final() {
		err = errGoesOn
	}
	return err
}
