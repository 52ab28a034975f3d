package postprocess

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const (
	// ruleConsumer is the name of the receipts of what rules start.
	ruleConsumer = "postprocess-rules"
	// mostByRules is the last attempt that a rule may begin. One that matches
	// MP4ProcessingFailed would else begin attempts for ever; people may go on.
	mostByRules = 5
)

// AgainByRule begins a new attempt at a video whose last one failed, because a rule
// says so, once for a delivery. Errors: errs.NotFound for a video of which nothing
// is known, at least not yet; errs.Conflict when it has not failed, or has failed
// too often.
func (s *Service) AgainByRule(ctx context.Context, delivery, videoID string) error {
	row, err := s.jobRow(ctx, videoID)
	if err != nil {
		return err
	}
	err = s.db.Once(ctx, ruleConsumer, delivery, func(ctx context.Context, tx *store.Tx) error {
		if row.Attempt >= mostByRules {
			return errs.Newf(errs.Conflict, "the video was tried %d times already; its owner may try again", row.Attempt)
		}
		_, begun, err := raiseAttempt(ctx, tx, videoID)
		if err == nil && !begun {
			err = notFailed(row.State)
		}
		return err
	})
	if err != nil {
		return err
	}
	// Also when the attempt was begun before: this process may have died in between.
	if row, err = s.jobRow(ctx, videoID); err != nil || row.State != waiting {
		return err
	}
	if err := s.start(ctx, jobOf(row)); err != nil {
		s.log.Warn("post-processing: an attempt begins later", "video", videoID, "err", err)
	}
	return nil
}

func notFailed(state string) error {
	return errs.Newf(errs.Conflict, "only what has failed can be tried again: the processing of this video is %s", state)
}
