package video

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Entry is a row of the catalogue as a check of what is kept needs it.
type Entry struct {
	ID, Channel string
	Prefix      string // of the recording's objects, without slash at its end
	CreatedAt   int64  // ms; 0 before the recording has ended
	Recorded    bool
	Processed   bool
	Working     bool // it is still processed
	MP4         string
	Thumbnail   string   // key, as MP4: empty while there is none
	Storyboard  string   // key of its WebVTT
	DeletedAt   int64    // ms; 0: it is there
	Swept       bool     // its objects are removed
	Prefixes    []string // where its objects may lie, each with a slash at its end
}

// Entries calls fn with every row of the catalogue, tombstones too, until it
// returns an error.
func (s *Service) Entries(ctx context.Context, fn func(Entry) error) error {
	const batch = 500
	after := ""
	for {
		rows, err := sqlc.New(s.db.Read()).AllVideos(ctx, sqlc.AllVideosParams{After: after, RowCount: batch})
		if err != nil {
			return fmt.Errorf("reading the catalogue: %w", err)
		}
		for _, v := range rows {
			after = v.ID
			e := Entry{
				ID: v.ID, Channel: v.Channel, Prefix: v.Prefix, CreatedAt: v.CreatedAt, Recorded: v.Recorded, Processed: v.Processed,
				Working: v.Status == "processing", MP4: v.Mp4Key, Thumbnail: v.ThumbnailKey,
				DeletedAt: v.DeletedAt, Swept: v.Swept, Prefixes: prefixesOf(v.ID, v.Prefix),
			}
			if v.Storyboard {
				e.Storyboard = filesPrefix(v.ID) + "storyboard.vtt"
			}
			if err := fn(e); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
	}
}

// SweepVideo removes the objects of a deleted video.
func (s *Service) SweepVideo(ctx context.Context, videoID string) error {
	return s.sweep(ctx, videoID, false)
}

// Recover makes the row of a recording whose own is lost. Who might see the video
// is lost with it, so it is private until its owner says otherwise.
func (s *Service) Recover(ctx context.Context, videoID, channel string) error {
	if err := checkIDs(videoID, channel); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := sqlc.New(tx).ClaimVideo(ctx, sqlc.ClaimVideoParams{ID: videoID, Channel: channel, Visibility: private})
		if err != nil {
			return fmt.Errorf("the row of video %s: %w", videoID, err)
		}
		return nil
	})
}
