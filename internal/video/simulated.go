package video

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Recording is what a simulation needs to replay a video's recording.
type Recording struct {
	Video, Channel, Title string
	Prefix                string // of its objects, without slash at its end
	DurationMillis        int64
}

// LastRecordings returns those of the n newest videos, whatever their status.
func (s *Service) LastRecordings(ctx context.Context, n int) ([]Recording, error) {
	rows, err := sqlc.New(s.db.Read()).LastRecorded(ctx, int32(n))
	if err != nil {
		return nil, fmt.Errorf("reading the last recordings: %w", err)
	}
	out := make([]Recording, len(rows))
	for i, v := range rows {
		out[i] = Recording{Video: v.ID, Channel: v.Channel, Title: titleOf(v), Prefix: v.Prefix, DurationMillis: v.DurationMs}
	}
	return out, nil
}

// Simulated returns the ids of all simulated videos of which there is a row or
// an object.
func (s *Service) Simulated(ctx context.Context) ([]string, error) {
	ids, err := sqlc.New(s.db.Read()).Simulated(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the simulated videos: %w", err)
	}
	objects, err := s.objects.List(ctx, "videos/"+event.SimulatedPrefix)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if parts := strings.SplitN(o.Key, "/", 3); len(parts) == 3 {
			ids = append(ids, parts[1])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// ForgetSimulated removes a simulated video's row and the objects made of it,
// and says whether there were any. It leaves no tombstone, and never touches the
// recording. Errors: errs.Invalid for any other video.
func (s *Service) ForgetSimulated(ctx context.Context, videoID string) (found bool, err error) {
	if !event.Simulated(videoID) || checkIDs(videoID, videoID) != nil {
		return false, errs.Newf(errs.Invalid, "%q is no simulated video", videoID)
	}
	_, err = sqlc.New(s.db.Read()).AnyVideo(ctx, videoID)
	if found = err == nil; found { // looked for first: most often there is none
		err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			q := sqlc.New(tx)
			return errors.Join(q.ForgetTranscriptWords(ctx, videoID), q.ForgetVideo(ctx, videoID))
		})
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("forgetting video %s: %w", videoID, err)
	}
	objects, err := s.removeBelow(ctx, filesPrefix(videoID))
	return found || objects, err
}
