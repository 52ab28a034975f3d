package video

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// MayRead returns nil if who asks may read about the video: its row, its
// history. A valid video is everybody's unless it is private; any other is its
// owner's and the admins'. A simulated one is the admins' alone.
// Errors: errs.NotFound, also for a video that exists and is not theirs to see.
func (s *Service) MayRead(ctx context.Context, videoID string) error {
	_, err := s.readable(ctx, videoID)
	return err
}

func (s *Service) readable(ctx context.Context, videoID string) (sqlc.Video, error) {
	v, err := s.find(ctx, videoID)
	if err != nil {
		return v, err
	}
	if open := v.Status == event.StatusValid && v.Visibility != private; !open && !governs(ctx, v) {
		return sqlc.Video{}, notFound(videoID)
	}
	return v, nil
}

// Public says whether everybody may hear of the video once it is valid: it is
// there, and neither unlisted nor private.
func (s *Service) Public(ctx context.Context, videoID string) (bool, error) {
	v, err := s.find(ctx, videoID)
	if errs.CodeOf(err) == errs.NotFound {
		return false, nil
	}
	return err == nil && v.Visibility == public, err
}

// MayChange returns nil if who asks is the video's owner or an admin. Errors:
// errs.Unauthenticated; errs.NotFound, also for a video that is not theirs to
// see; errs.Forbidden.
func (s *Service) MayChange(ctx context.Context, videoID string) error {
	if _, err := identity.Require(ctx); err != nil {
		return err
	}
	seen, err := s.readable(ctx, videoID)
	if err != nil {
		return err
	}
	if !governs(ctx, seen) {
		return errs.New(errs.Forbidden, "this video is somebody else's: only its owner and admins may change it")
	}
	return nil
}

// Known says whether people could ever know of the video: it is in the
// catalogue, or was and is deleted.
func (s *Service) Known(ctx context.Context, videoID string) (bool, error) {
	known, err := sqlc.New(s.db.Read()).Known(ctx, videoID)
	if err != nil {
		return false, fmt.Errorf("looking for video %s: %w", videoID, err)
	}
	return known, nil
}

// MediaAccess returns whose recording it is and under which prefix its objects
// lie (without a slash at its end), if who asks may play it. Processing and
// valid videos are everybody's unless they are private; those, and invalid and
// failed ones, are their owner's and the admins', privately: no shared cache may
// keep them. Errors:
// errs.NotFound, also for a video that exists and is not theirs to see.
func (s *Service) MediaAccess(ctx context.Context, videoID string) (channel, prefix string, privately bool, err error) {
	v, err := s.find(ctx, videoID)
	if err != nil {
		return "", "", false, err
	}
	watchable := v.Status == event.StatusProcessing || v.Status == event.StatusValid
	privately = !watchable || v.Visibility == private
	if privately && !governs(ctx, v) {
		return "", "", false, notFound(videoID)
	}
	return v.Channel, v.Prefix, privately, nil
}

// governs says whether who asks is the video's owner or an admin. A simulated
// video has no owner: the channel that it names knows nothing of it.
func governs(ctx context.Context, v sqlc.Video) bool {
	p, ok := identity.From(ctx)
	return ok && (p.ID == v.Channel && !event.Simulated(v.ID) || p.Roles.Has(identity.Admin))
}
