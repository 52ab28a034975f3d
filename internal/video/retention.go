package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// keeping is what a channel keeps of its recordings; 0 stands for no limit.
type keeping struct {
	days  int64 // since the recording ended
	bytes int64 // of all objects of all its videos
}

const day = 24 * time.Hour

// surplus is a video that its channel does not keep, and why.
type surplus struct {
	id     string
	bytes  int64 // 0 while it is not known
	reason string
}

// surplusOf says which of a channel's videos, given the oldest first, go: those
// that are too old, then the oldest until the others fit. What is still worked on
// stays, and takes its room all the same.
func (k keeping) surplusOf(videos []sqlc.KeptVideosRow, now int64) []surplus {
	var total int64
	for _, v := range videos {
		total += max(0, v.StoredBytes)
	}
	var gone []surplus
	for _, v := range videos {
		if v.Status == event.StatusProcessing {
			continue
		}
		var reason string
		switch {
		case k.days > 0 && v.CreatedAt < now-k.days*day.Milliseconds():
			reason = fmt.Sprintf("the channel keeps recordings for %s", inDays(k.days))
		case k.bytes > 0 && total > k.bytes:
			reason = fmt.Sprintf("the channel keeps %d bytes of recordings", k.bytes)
		default:
			continue
		}
		total -= max(0, v.StoredBytes)
		gone = append(gone, surplus{id: v.ID, bytes: max(0, v.StoredBytes), reason: reason})
	}
	return gone
}

func inDays(n int64) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// Retain deletes the recordings that their channels do not keep. Two nodes that do
// so at once do no harm: each deletion looks at the row again and counts once.
func (s *Service) Retain(ctx context.Context) error {
	channels, err := sqlc.New(s.db.Read()).Retentions(ctx)
	if err != nil {
		return fmt.Errorf("reading what channels keep: %w", err)
	}
	var failures []error
	for _, c := range channels {
		failures = append(failures, s.retainOf(ctx, c))
	}
	return errors.Join(failures...)
}

func (s *Service) retainOf(ctx context.Context, c sqlc.VideoRetention) error {
	if err := s.measureOf(ctx, c.Channel); err != nil {
		return err
	}
	gone, _, err := s.surplus(ctx, c.Channel, keeping{c.KeepDays, c.KeepBytes})
	if err != nil {
		return err
	}
	for _, v := range gone {
		did, err := s.expire(ctx, c, v)
		if err != nil {
			return fmt.Errorf("deleting video %s: %w", v.id, err)
		}
		if did {
			s.log.Info("a recording is deleted by its channel's retention", "video", v.id, "channel", c.Channel, "reason", v.reason, "bytes", v.bytes)
		}
	}
	return nil
}

// surplus returns which of a channel's videos go if it keeps so much, and all
// that it has.
func (s *Service) surplus(ctx context.Context, channel string, k keeping) (gone []surplus, all []sqlc.KeptVideosRow, err error) {
	if all, err = sqlc.New(s.db.Read()).KeptVideos(ctx, channel); err != nil {
		return nil, nil, fmt.Errorf("reading the videos of channel %s: %w", channel, err)
	}
	return k.surplusOf(all, store.Now()), all, nil
}

// expire deletes a video, unless something has changed since it was found: its
// state, or what the channel keeps.
func (s *Service) expire(ctx context.Context, c sqlc.VideoRetention, gone surplus) (did bool, err error) {
	failpoint.Pass("retention.due")
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		did = false
		v, err := sqlc.New(tx).LockVideo(ctx, gone.id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil || v.DeletedAt > 0 || v.Status == event.StatusProcessing {
			return err
		}
		now, err := sqlc.New(tx).Retention(ctx, c.Channel)
		if err != nil || now.KeepDays != c.KeepDays || now.KeepBytes != c.KeepBytes {
			return err
		}
		if err := bury(ctx, tx, &v, gone.reason); err != nil {
			return err
		}
		did = true
		return save(ctx, tx, v)
	})
	failpoint.Pass("retention.deleted")
	return did && err == nil, err
}

// retentionOf returns what a channel keeps; all of it until somebody says less.
func (s *Service) retentionOf(ctx context.Context, channel string) (keeping, error) {
	row, err := sqlc.New(s.db.Read()).Retention(ctx, channel)
	if errors.Is(err, sql.ErrNoRows) {
		return keeping{}, nil
	}
	if err != nil {
		return keeping{}, fmt.Errorf("reading what channel %s keeps: %w", channel, err)
	}
	return keeping{row.KeepDays, row.KeepBytes}, nil
}

// setRetention notes what a channel keeps, and sees to it soon.
func (s *Service) setRetention(ctx context.Context, channel, by string, k keeping) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).SetRetention(ctx, sqlc.SetRetentionParams{
			Channel: channel, KeepDays: k.days, KeepBytes: k.bytes, UpdatedAt: store.Now(), UpdatedBy: by,
		})
	})
	if err != nil {
		return fmt.Errorf("noting what channel %s keeps: %w", channel, err)
	}
	s.log.Info("a channel's retention is set", "channel", channel, "by", by, "keep_days", k.days, "keep_bytes", k.bytes)
	select {
	case s.retain <- struct{}{}:
	default:
	}
	return nil
}
