package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Simulated returns the ids of all simulated videos of which something is known.
func (s *Service) Simulated(ctx context.Context) ([]string, error) {
	ids, err := sqlc.New(s.db.Read()).SimulatedVideos(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the simulated videos: %w", err)
	}
	return ids, nil
}

// ForgetSimulated removes what is known of a simulated video and says whether
// there was anything. Unlike forget it leaves no tombstone. Errors: errs.Invalid
// for any other video.
func (s *Service) ForgetSimulated(ctx context.Context, videoID string) (found bool, err error) {
	if !event.Simulated(videoID) {
		return false, errs.Newf(errs.Invalid, "%q is no simulated video", videoID)
	}
	channel, err := sqlc.New(s.db.Read()).Channel(ctx, videoID)
	if errors.Is(err, sql.ErrNoRows) { // most often; it costs no transaction
		return false, nil
	}
	if err == nil {
		err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			q := sqlc.New(tx)
			// In the order of forget. Who adds to the video's history has claimed it: what
			// is deleted after the claim is all that there is.
			if err := q.ForgetTasks(ctx, videoID); err != nil {
				return err
			}
			if _, err := q.ClaimVideo(ctx, sqlc.ClaimVideoParams{ID: videoID, Channel: channel}); err != nil {
				return err
			}
			for _, forget := range []func(context.Context, string) error{q.ForgetTasks, q.ForgetFacts, q.ForgetStaged, q.ForgetVideo} {
				if err := forget(ctx, videoID); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("forgetting the history of video %s: %w", videoID, err)
	}
	return true, nil
}
