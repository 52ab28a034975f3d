package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

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
		return bury(ctx, tx, v, "")
	})
}

// bury makes the row a tombstone and tells everybody who keeps something of the
// video; reason is for deletions that nobody asked for just now. The caller
// saves the row.
func bury(ctx context.Context, tx *store.Tx, v *sqlc.Video, reason string) error {
	v.DeletedAt = store.Now()
	if v.Prefix == "" && !event.Simulated(v.ID) { // its recording has not ended, but there are objects
		v.Prefix = event.RecordingPrefix(v.Channel, v.ID)
	}
	return tx.Emit(ctx, event.NewWithID(id.Derived("VideoDeleted", v.ID),
		event.VideoDeleted{ChannelName: v.Channel, ID: v.ID, Reason: reason}))
}

// Deleted says whether the video was there and is deleted. Whoever makes rows of
// a video's events asks first: an event may come after VideoDeleted.
func (s *Service) Deleted(ctx context.Context, videoID string) (bool, error) {
	deleted, err := sqlc.New(s.db.Read()).Deleted(ctx, videoID)
	if err != nil {
		return false, fmt.Errorf("looking for video %s: %w", videoID, err)
	}
	return deleted, nil
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
	return s.sweep(ctx, d.ID, true)
}

const (
	// sweepBatch is how many deleted videos one Sweep looks at.
	sweepBatch = 1000
	// sweepAgain is how long after its first sweep a deleted video is swept once
	// more. Whoever worked on it has let go by then, and what they stored in their
	// last moment goes too, also when a kill kept them from cleaning up.
	sweepAgain = time.Hour
)

// Sweep removes the objects of deleted videos that are still there: of those
// whose deletion was interrupted, and of those on which somebody still worked.
func (s *Service) Sweep(ctx context.Context) error {
	ids, err := sqlc.New(s.db.Read()).Unswept(ctx, sqlc.UnsweptParams{Now: store.Now(), RowCount: sweepBatch})
	if err != nil {
		return fmt.Errorf("reading the deleted videos: %w", err)
	}
	var failures []error
	for _, videoID := range ids {
		failures = append(failures, s.sweep(ctx, videoID, false))
	}
	return errors.Join(failures...)
}

// sweepLeft removes what a killed node stored of videos in its last moment, after
// they had been swept. Another node or a flow that goes on may still store some:
// they are swept once more as well.
func (s *Service) sweepLeft(ctx context.Context) error {
	ids, err := sqlc.New(s.db.Read()).Unswept(ctx, sqlc.UnsweptParams{Now: math.MaxInt64, RowCount: sweepBatch})
	if err != nil {
		return fmt.Errorf("reading the deleted videos: %w", err)
	}
	var failures []error
	for _, videoID := range ids {
		v, err := sqlc.New(s.db.Read()).AnyVideo(ctx, videoID)
		if err == nil {
			err = s.removeObjectsOf(ctx, v)
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// sweep removes a deleted video's objects, then says so in its row. The row
// stays as a tombstone: news of the video that comes late must not make it anew.
// A first sweep is followed by another one later.
func (s *Service) sweep(ctx context.Context, videoID string, first bool) error {
	v, err := sqlc.New(s.db.Read()).AnyVideo(ctx, videoID)
	if errors.Is(err, sql.ErrNoRows) || err == nil && v.DeletedAt == 0 {
		return nil
	}
	if err != nil {
		return named(err, videoID)
	}
	if err := s.removeObjectsOf(ctx, v); err != nil {
		return err
	}
	failpoint.Pass("sweep.removed")
	var again int64
	if first || !v.Swept {
		again = store.Now() + sweepAgain.Milliseconds()
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).MarkSwept(ctx, sqlc.MarkSweptParams{ID: v.ID, DeletedAt: v.DeletedAt, SweepAgainAt: again})
	})
}

func (s *Service) removeObjectsOf(ctx context.Context, v sqlc.Video) error {
	for _, prefix := range prefixesOf(v.ID, v.Prefix) {
		if _, err := s.removeBelow(ctx, prefix); err != nil {
			return err
		}
	}
	return nil
}

// prefixesOf returns where all objects of a video lie: its recording, and the
// files that were made of it, those of plugins among them. The recording of a
// simulated one is another video's.
func prefixesOf(videoID, recording string) []string {
	if recording == "" || event.Simulated(videoID) {
		return []string{filesPrefix(videoID)}
	}
	return []string{recording + "/", filesPrefix(videoID)}
}

// pruneTombstones forgets deleted videos, and channels, of which no news can come
// any more: the receipts of their events are as old.
func (s *Service) pruneTombstones(ctx context.Context) error {
	before := store.Now() - store.ReceiptsKept.Milliseconds()
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		_, err := q.PruneTombstones(ctx, before)
		return errors.Join(err, q.PruneClosedChannels(ctx, before))
	})
}

// removeBelow deletes the objects below a prefix and says whether there were any.
func (s *Service) removeBelow(ctx context.Context, prefix string) (found bool, err error) {
	objects, err := s.objects.List(ctx, prefix)
	if err != nil {
		return false, err
	}
	keys := make([]string, len(objects))
	for i, o := range objects {
		keys[i] = o.Key
	}
	return len(keys) > 0, s.objects.Delete(ctx, keys...)
}
