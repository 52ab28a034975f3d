package rules

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Kept is what the rules keep of videos: deliveries, in which the events stand. It
// works on a folder at rest too.
type Kept struct{ db *store.DB }

// NewKept returns what is kept in a database.
func NewKept(db *store.DB) *Kept { return &Kept{db} }

// keptBatch is how many ids are read at a time.
const keptBatch = 500

// Videos calls fn with the ids of all that deliveries are about, videos and other
// things. The news that a video was deleted does not count.
func (k *Kept) Videos(ctx context.Context, fn func(id string)) error {
	after := ""
	for {
		ids, err := sqlc.New(k.db.Read()).Abouts(ctx, sqlc.AboutsParams{
			After: after, Source: videoDeleted().Source, DetailType: videoDeleted().Type, RowCount: keptBatch,
		})
		if err != nil {
			return fmt.Errorf("reading what deliveries are about: %w", err)
		}
		for _, id := range ids {
			after = id
			fn(id)
		}
		if len(ids) < keptBatch {
			return nil
		}
	}
}

// Forget removes all deliveries about a video, also those that still wait: what
// was deleted is told to nobody any more but that it was deleted. It may run
// again. No new one comes: whoever adds one asks whether the video is deleted.
func (k *Kept) Forget(ctx context.Context, videoID string) error {
	err := k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Alone(ctx, holdAbout(videoID)); err != nil {
			return err
		}
		_, err := sqlc.New(tx).RemoveAbout(ctx, sqlc.RemoveAboutParams{
			About: videoID, Source: videoDeleted().Source, DetailType: videoDeleted().Type,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("removing the deliveries of video %s: %w", videoID, err)
	}
	return nil
}

// holdAbout is what transactions that add deliveries about something share
// (store.Tx.Share).
func holdAbout(about string) string { return "rules " + about }

// forget hears VideoDeleted. It needs no receipt: it may do its work again.
func (s *Service) forget(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil || d.ID == "" {
		s.log.Error("rules: a VideoDeleted that cannot be understood", "event", e.ID, "err", err)
		return nil
	}
	return NewKept(s.db).Forget(ctx, d.ID)
}
