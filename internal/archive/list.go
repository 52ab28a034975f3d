package archive

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// What one request may cost, whatever it looks for.
const (
	mostRead    = 5_000    // events that are read
	mostBytes   = 32 << 20 // of them
	mostSkipped = 100_000  // events that are sorted out by their source and type, without being read
	mostShown   = 4 << 20  // bytes of the events on a page
	window      = 5_000    // that are sorted out at once
)

// filter is what somebody looks for; "" and nil are any.
type filter struct {
	source, detailType, about string
	pattern                   *pattern.Pattern
}

// match says whether an event has what the pattern wants.
func (f filter) match(body string) (bool, error) {
	if f.pattern == nil {
		return true, nil
	}
	e, err := pattern.Parse([]byte(body))
	if err != nil {
		return false, err
	}
	return f.pattern.Match(e), nil
}

// search is a walk back through a range of the archive, the newest first.
type search struct {
	s      *Service
	filter filter
	from   int64
	before store.Key // the place, not in it
	limit  int

	read, skipped, bytes, shown int
	found                       []sqlc.ArchiveEvent
}

// endOf is the end of a range; zero: there is none.
func endOf(to time.Time) int64 {
	if to.IsZero() {
		return math.MaxInt64
	}
	return to.UnixMilli()
}

// run walks until the page is full, the range is at its end, or enough has been
// spent. It returns the place from which to go on, nil at the end.
func (w *search) run(ctx context.Context) (*store.Key, error) {
	for {
		floor, last, err := w.floor(ctx)
		if err != nil {
			return nil, err
		}
		for {
			rows, more, err := w.page(ctx, floor)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				full, err := w.take(row)
				if err != nil || full {
					return &w.before, err
				}
			}
			if !more {
				break
			}
		}
		if last {
			return nil, nil
		}
		w.before = floor
		if w.skipped += window; w.skipped >= mostSkipped {
			return &w.before, nil
		}
	}
}

// take looks at one event and says whether the page is full: the place is behind
// the last event that is on it, or that was looked at.
func (w *search) take(row sqlc.ArchiveEvent) (full bool, err error) {
	if len(w.found) == w.limit || w.shown >= mostShown || w.read >= mostRead || w.bytes >= mostBytes {
		return true, nil
	}
	w.read++
	w.bytes += len(row.Body)
	matches, err := w.filter.match(row.Body)
	if err != nil {
		return false, fmt.Errorf("event %s of the archive: %w", row.ID, err)
	}
	if matches {
		w.found = append(w.found, row)
		w.shown += len(row.Body)
	}
	w.before = store.Key{At: row.At, ID: row.ID}
	return false, nil
}

// floor is how far back the next pages go: where few may match, so far that the
// search is not too long, whatever there is; else to the beginning, the last.
func (w *search) floor(ctx context.Context) (floor store.Key, last bool, err error) {
	beginning := store.Key{At: w.from}
	if w.filter.about != "" || w.filter.source == "" && w.filter.detailType == "" {
		return beginning, true, nil
	}
	rows, err := w.s.queries().Floor(ctx, sqlc.FloorParams{
		BeforeAt: w.before.At, BeforeID: w.before.ID, FromAt: w.from, Skipped: window - 1,
	})
	if err != nil {
		return beginning, false, fmt.Errorf("reading the archive: %w", err)
	}
	if len(rows) == 0 {
		return beginning, true, nil
	}
	return store.Key{At: rows[0].At, ID: rows[0].ID}, false, nil
}

// page reads the next events behind the place, and says whether there may be more.
func (w *search) page(ctx context.Context, floor store.Key) (rows []sqlc.ArchiveEvent, more bool, err error) {
	q, f := w.s.queries(), w.filter
	count := int32(min(readBatch, w.limit-len(w.found)+1))
	if f.pattern != nil {
		count = readBatch
	}
	if f.about != "" {
		rows, err = q.OlderAbout(ctx, sqlc.OlderAboutParams{
			About: f.about, BeforeAt: w.before.At, BeforeID: w.before.ID, FromAt: w.from,
			Source: f.source, DetailType: f.detailType, RowCount: count,
		})
	} else {
		rows, err = q.Older(ctx, sqlc.OlderParams{
			BeforeAt: w.before.At, BeforeID: w.before.ID, FloorAt: floor.At, FloorID: floor.ID,
			Source: f.source, DetailType: f.detailType, RowCount: count,
		})
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the archive: %w", err)
	}
	return rows, len(rows) == int(count), nil
}
