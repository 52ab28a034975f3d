package archive

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
)

// compile reads a pattern; "" is none. Errors are errs.Invalid with the place.
func compile(location, text string) (*pattern.Pattern, error) {
	if text == "" {
		return nil, nil
	}
	return pattern.CompileAt(location, text)
}

// rangeOf returns a range that ends now at the latest, in ms.
func rangeOf(from, to, now time.Time) (int64, int64, error) {
	if to.IsZero() || to.After(now) {
		to = now
	}
	if !from.Before(to) {
		return 0, 0, errs.Newf(errs.Invalid, "the range is empty: from (%s) must be before to (%s)",
			from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	return from.UnixMilli(), to.UnixMilli(), nil
}

func (s *Service) replayOf(ctx context.Context, replayID string) (sqlc.ArchiveReplay, error) {
	r, err := s.queries().Replay(ctx, replayID)
	if errors.Is(err, sql.ErrNoRows) {
		return r, errs.Newf(errs.NotFound, "there is no replay %q", replayID)
	}
	return r, err
}

func (s *Service) event(ctx context.Context, eventID string) (sqlc.ArchiveEvent, error) {
	e, err := s.queries().Event(ctx, eventID)
	if errors.Is(err, sql.ErrNoRows) {
		return e, errs.Newf(errs.NotFound, "the archive has no event %q", eventID)
	}
	return e, err
}
