package archive

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// readBatch is how many events are read at once; each may have event.MaxSize.
const readBatch = 100

// Each calls fn for the kept events of a range of times, from (in it) to to (not
// in it; zero: to the end), in the order of time and id, until it returns an error,
// which Each returns. Sources name those that are wanted; one that ends in "*" all
// that begin so, none all. Task tokens are masked. What is added meanwhile is
// given, too, if its place is still to come.
func (s *Service) Each(ctx context.Context, from, to time.Time, sources []string, fn func(event.Envelope) error) error {
	place := placeAt(from.UnixMilli(), endOf(to))
	for {
		rows, err := s.newer(ctx, &place)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if !wanted(sources, row.Source) {
				continue
			}
			e, err := event.Parse([]byte(row.Body))
			if err != nil {
				return fmt.Errorf("event %s of the archive: %w", row.ID, err)
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

func wanted(sources []string, source string) bool {
	return len(sources) == 0 || slices.ContainsFunc(sources, func(s string) bool {
		return event.Filter{Source: s}.Match(event.Envelope{Source: source})
	})
}

// place is how far a walk through a range is, the oldest first.
type place struct {
	at, to int64
	id     string // of the last event that was read, "" before the first
}

func placeAt(from, to int64) place { return place{at: from, to: to} }

// newer reads the next events behind a place and moves it; none is the end.
func (s *Service) newer(ctx context.Context, p *place) ([]sqlc.ArchiveEvent, error) {
	rows, err := s.queries().Newer(ctx, sqlc.NewerParams{AfterAt: p.at, AfterID: p.id, ToAt: p.to, RowCount: readBatch})
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	if len(rows) > 0 {
		last := rows[len(rows)-1]
		p.at, p.id = last.At, last.ID
	}
	return rows, nil
}
