package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Who may see a valid video. A public one is listed; an unlisted one is for who
// has its link; a private one is its owner's and the admins'.
const (
	public   = "public"
	unlisted = "unlisted"
	private  = "private"
)

// claim returns a video's row, made if there is none, and locks it until the
// transaction ends.
func claim(ctx context.Context, tx *store.Tx, id, channel string) (sqlc.Video, error) {
	visibility := public
	if event.Simulated(id) {
		visibility = private
	}
	v, err := sqlc.New(tx).ClaimVideo(ctx, sqlc.ClaimVideoParams{ID: id, Channel: channel, Visibility: visibility})
	if err != nil {
		return v, fmt.Errorf("the row of video %s: %w", id, err)
	}
	return v, nil
}

// lock returns the row of a video that people can know of, locked until the
// transaction ends. Errors: errs.NotFound.
func lock(ctx context.Context, tx *store.Tx, id string) (sqlc.Video, error) {
	v, err := sqlc.New(tx).LockVideo(ctx, id)
	if err == nil && (!v.Recorded || v.DeletedAt > 0) {
		err = sql.ErrNoRows
	}
	return v, named(err, id)
}

// save writes the row, and by which words it is found.
func save(ctx context.Context, tx *store.Tx, v sqlc.Video) error {
	err := sqlc.New(tx).SaveVideo(ctx, sqlc.SaveVideoParams{
		Username: v.Username, CreatedAt: v.CreatedAt, Status: v.Status, Reason: v.Reason, Prefix: v.Prefix,
		Recorded: v.Recorded, Processed: v.Processed, Mp4Key: v.Mp4Key, ThumbnailKey: v.ThumbnailKey,
		DurationMs: v.DurationMs, Width: v.Width, Height: v.Height, Size: v.Size, Title: v.Title,
		TypedTitle: v.TypedTitle, Tags: v.Tags, EventTag: v.EventTag, DeletedAt: v.DeletedAt, Swept: v.Swept,
		Visibility: v.Visibility, Description: v.Description, TypedTags: v.TypedTags,
		FailedAttempt: v.FailedAttempt, Storyboard: v.Storyboard, EventTyped: v.EventTyped, Transcript: v.Transcript,
		StoredBytes: v.StoredBytes, ID: v.ID,
	})
	if err != nil {
		return fmt.Errorf("saving video %s: %w", v.ID, err)
	}
	return index(ctx, tx, v)
}

// find returns a video that people can know of. Errors: errs.NotFound.
func (s *Service) find(ctx context.Context, id string) (sqlc.Video, error) {
	v, err := sqlc.New(s.db.Read()).Video(ctx, id)
	return v, named(err, id)
}

func named(err error, id string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return notFound(id)
	}
	if err != nil {
		return fmt.Errorf("reading video %s: %w", id, err)
	}
	return nil
}

func notFound(id string) error { return errs.Newf(errs.NotFound, "there is no video %q", id) }

// maxWaiting is how many videos one round of a reconciler looks at.
const maxWaiting = 1000

// AwaitingLifecycle returns the recording-ready details of videos whose plugins
// have work to do, the oldest first, at most 1000: those whose lifecycle runs,
// and those whose lifecycle was never begun.
func (s *Service) AwaitingLifecycle(ctx context.Context) ([]event.RecordingReadyEvent, error) {
	rows, err := sqlc.New(s.db.Read()).AwaitingLifecycle(ctx, maxWaiting)
	if err != nil {
		return nil, fmt.Errorf("reading the processing videos: %w", err)
	}
	out := make([]event.RecordingReadyEvent, len(rows))
	for i, v := range rows {
		out[i] = s.recordingReady(v)
	}
	return out, nil
}
