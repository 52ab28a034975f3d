package video

import (
	"context"
	"database/sql"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// ruleConsumer is the name of the receipts of what rules do.
const ruleConsumer = "video-rules"

// CheckEventTag says what is wrong with an event tag. Errors: errs.Invalid.
func (s *Service) CheckEventTag(tag string) error { return checkEventTag(tag) }

// TagByRule gives a video its event tag because a rule says so, once for a
// delivery. It may come before all other news of the video: then the row is made,
// for which the channel must be known. A tag that is there stays: what people say
// wins over rules, and the first rule over others, so that two can not change a
// video in turns for ever. Errors: errs.Invalid for ids and tags that are none,
// errs.Conflict for a deleted video.
func (s *Service) TagByRule(ctx context.Context, delivery, videoID, channel, tag string) error {
	if err := checkEventTag(tag); err != nil {
		return err
	}
	return s.db.Once(ctx, ruleConsumer, delivery, func(ctx context.Context, tx *store.Tx) error {
		v, err := claimKnown(ctx, tx, videoID, channel)
		if err != nil {
			return err
		}
		if v.DeletedAt > 0 {
			return errs.Newf(errs.Conflict, "the video %s is deleted", v.ID)
		}
		if v.EventTyped || v.EventTag != "" {
			return nil
		}
		v.EventTag = tag
		if err := save(ctx, tx, v); err != nil {
			return err
		}
		if !v.Recorded || v.Status != event.StatusValid {
			return nil
		}
		return tx.Emit(ctx, event.NewWithID(id.Derived("VideoStatusUpdated", delivery), status(s.lifecycle(v), v)))
	})
}

// claimKnown is claim for ids that come from anywhere. A row that is there needs no
// channel, and keeps its own.
func claimKnown(ctx context.Context, tx *store.Tx, videoID, channel string) (sqlc.Video, error) {
	if err := checkIDs(videoID); err != nil {
		return sqlc.Video{}, err
	}
	v, err := sqlc.New(tx).LockVideo(ctx, videoID)
	switch {
	case err == nil:
		return v, nil
	case !errors.Is(err, sql.ErrNoRows):
		return v, named(err, videoID)
	}
	if err := checkIDs(channel); err != nil {
		return v, errs.Newf(errs.Invalid, "there is no video %q yet, and the event does not say whose it will be", videoID)
	}
	return claim(ctx, tx, videoID, channel)
}
