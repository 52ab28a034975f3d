package postprocess

import (
	"context"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// flowName and the names of its steps stand in the database of flows: they
// stay as they are while a flow may be unfinished.
const flowName = "postprocess"

// Job is a recording to be worked on, the flow's input. Its id is the stream's,
// which becomes the video's.
type Job struct {
	ID             string `json:"id"`
	Channel        string `json:"channel"`
	Prefix         string `json:"prefix"`      // of its objects, without slash at its end
	DurationMillis int64  `json:"duration_ms"` // as the recorder counted
}

func flowID(jobID string) string { return "post-" + jobID }

func (s *Service) start(ctx context.Context, j Job) error {
	return flow.Run(ctx, s.flows, flowName, flowID(j.ID), j)
}

// process is the flow: it says that it started, makes the files, and says how
// it went.
func (s *Service) process(c flow.Context, j Job) (string, error) {
	_, err := flow.Step(c, "started", func(ctx context.Context) (bool, error) {
		return s.record(ctx, j, "started", processing, "", s.startedEvent(j))
	}, endless())
	if err != nil {
		return "", err
	}
	mp4, err := flow.Step(c, "mp4", func(ctx context.Context) (mp4Result, error) {
		return s.makeMP4(ctx, j)
	}, s.cfg.Retries)
	if errors.Is(err, flow.ErrInterrupted) {
		return "", err
	}
	if err != nil {
		reason := reasonOf(err)
		s.log.Error("post-processing: no MP4", "video", j.ID, "reason", reason, "err", err)
		_, err := flow.Step(c, "failed", func(ctx context.Context) (bool, error) {
			return s.record(ctx, j, outcome, failed, reason, s.failedEvent(j, reason))
		}, endless())
		return failed, err
	}
	thumb, err := flow.Step(c, "thumbnail", func(ctx context.Context) (thumbnailResult, error) {
		return s.makeThumbnail(ctx, j, mp4)
	}, s.cfg.Retries)
	if errors.Is(err, flow.ErrInterrupted) {
		return "", err
	}
	if err != nil {
		// The video is worth more than its picture.
		s.log.Warn("post-processing: no thumbnail", "video", j.ID, "err", err)
		thumb = thumbnailResult{Note: "No thumbnail: " + errs.MessageOf(err) + "."}
	}
	_, err = flow.Step(c, "complete", func(ctx context.Context) (bool, error) {
		return s.record(ctx, j, outcome, done, "", s.completeEvent(j, mp4, thumb))
	}, endless())
	return done, err
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
func (s *Service) record(ctx context.Context, j Job, receipt, state, reason string, e event.Envelope) (bool, error) {
	return store.Step(ctx, s.db, flowID(j.ID), receipt, func(ctx context.Context, tx *store.Tx) (bool, error) {
		if err := setState(ctx, tx, j.ID, state, reason); err != nil {
			return false, err
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
	info, err := s.flows.Status(ctx, flowID(j.ID))
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
	// A flow that finished just now has its outcome: then this does nothing.
	_, err = s.record(ctx, j, outcome, failed, reason, s.failedEvent(j, reason))
	return err
}
