package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Delete takes a video away: for everybody at once, its objects soon after,
// also when the process dies in between. Errors: errs.Unauthenticated,
// errs.NotFound, errs.Forbidden.
func (s *Service) Delete(ctx context.Context, videoID string) error {
	return s.govern(ctx, videoID, func(ctx context.Context, tx *store.Tx, v *sqlc.Video) error {
		v.DeletedAt = store.Now()
		return tx.Emit(ctx, event.NewWithID(id.Derived("VideoDeleted", v.ID),
			event.VideoDeleted{ChannelName: v.Channel, ID: v.ID}))
	})
}

// govern changes a video's row for its owner or an admin. A video that the
// caller may not even see is errs.NotFound, one that they may only see is
// errs.Forbidden.
func (s *Service) govern(ctx context.Context, videoID string, change func(context.Context, *store.Tx, *sqlc.Video) error) error {
	if err := s.MayChange(ctx, videoID); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		v, err := lock(ctx, tx, videoID)
		if err != nil {
			return err
		}
		if err := change(ctx, tx, &v); err != nil {
			return err
		}
		return save(ctx, tx, v)
	})
}

// removeObjects hears VideoDeleted. It may run again: removing what is gone is
// no error.
func (s *Service) removeObjects(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	return s.sweep(ctx, d.ID)
}

// sweepBatch is how many deleted videos one Sweep looks at.
const sweepBatch = 1000

// Sweep removes the objects of deleted videos that are still there: of those
// whose deletion was interrupted, and of those on which somebody still worked.
func (s *Service) Sweep(ctx context.Context) error {
	rows, err := sqlc.New(s.db.Read()).Unswept(ctx, sweepBatch)
	if err != nil {
		return fmt.Errorf("reading the deleted videos: %w", err)
	}
	var failures []error
	for _, v := range rows {
		failures = append(failures, s.sweep(ctx, v.ID))
	}
	return errors.Join(failures...)
}

// sweep removes a deleted video's objects, then says so in its row. The row
// stays as a tombstone: news of the video that comes late must not make it anew.
func (s *Service) sweep(ctx context.Context, videoID string) error {
	v, err := sqlc.New(s.db.Read()).AnyVideo(ctx, videoID)
	if errors.Is(err, sql.ErrNoRows) || err == nil && v.DeletedAt == 0 {
		return nil
	}
	if err != nil {
		return named(err, videoID)
	}
	for _, prefix := range []string{v.Prefix + "/", filesPrefix(v.ID)} {
		objects, err := s.objects.List(ctx, prefix)
		if err != nil {
			return err
		}
		keys := make([]string, len(objects))
		for i, o := range objects {
			keys[i] = o.Key
		}
		if err := s.objects.Delete(ctx, keys...); err != nil {
			return err
		}
	}
	failpoint.Pass("sweep.removed")
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).MarkSwept(ctx, sqlc.MarkSweptParams{ID: v.ID, DeletedAt: v.DeletedAt})
	})
}
