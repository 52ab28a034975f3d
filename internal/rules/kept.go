package rules

import (
	"context"
	"fmt"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Kept is what the rules keep of videos: deliveries, in which the events stand. It
// works on a folder at rest too.
type Kept struct{ db *store.DB }

// NewKept returns what is kept in a database.
func NewKept(db *store.DB) *Kept { return &Kept{db} }

// keptBatch is how many deliveries are read, and removed, at a time.
const keptBatch = 500

// Videos calls fn with the ids of all that deliveries are about, videos and other
// things; some come several times. The news that a video was deleted does not
// count.
func (k *Kept) Videos(ctx context.Context, fn func(id string)) error {
	after := ""
	for {
		rows, err := sqlc.New(k.db.Read()).Bodies(ctx, sqlc.BodiesParams{After: after, RowCount: keptBatch})
		if err != nil {
			return fmt.Errorf("reading the deliveries: %w", err)
		}
		for _, row := range rows {
			after = row.ID
			if about, ok := aboutVideo(row.Body); ok {
				fn(about)
			}
		}
		if len(rows) < keptBatch {
			return nil
		}
	}
}

// aboutVideo returns what a delivery is about that goes with its video.
func aboutVideo(body string) (string, bool) {
	e, err := event.Parse([]byte(body))
	return e.About(), err == nil && !videoDeleted().Match(e)
}

// Forget removes all deliveries about a video, also those that still wait: what
// was deleted is told to nobody any more but that it was deleted. It may run
// again.
func (k *Kept) Forget(ctx context.Context, videoID string) error {
	// The events are looked through outside of a transaction, so that nobody waits
	// for it. No new one comes: handle asks whether the video is deleted.
	var gone []string
	after := ""
	for {
		rows, err := sqlc.New(k.db.Read()).BodiesWith(ctx, sqlc.BodiesWithParams{Text: `"` + videoID + `"`, After: after, RowCount: keptBatch})
		if err != nil {
			return fmt.Errorf("looking for the deliveries of video %s: %w", videoID, err)
		}
		for _, row := range rows {
			after = row.ID
			if about, ok := aboutVideo(row.Body); ok && about == videoID {
				gone = append(gone, row.ID)
			}
		}
		if len(rows) < keptBatch {
			break
		}
	}
	for batch := range slices.Chunk(gone, keptBatch) {
		err := k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for _, deliveryID := range batch {
				if err := sqlc.New(tx).RemoveDelivery(ctx, deliveryID); err != nil {
					return fmt.Errorf("removing the deliveries of video %s: %w", videoID, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget hears VideoDeleted. It needs no receipt: it may do its work again.
func (s *Service) forget(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil || d.ID == "" {
		s.log.Error("rules: a VideoDeleted that cannot be understood", "event", e.ID, "err", err)
		return nil
	}
	return NewKept(s.db).Forget(ctx, d.ID)
}
