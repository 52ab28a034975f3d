package archive_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func benchArchive(b *testing.B) *archive.Service {
	b.Helper()
	db := sqlite(b)
	s, err := archive.New(archive.Config{DB: db, Logger: slog.New(slog.DiscardHandler), Rules: toRules{newRules(b, db)}, Keep: 30 * 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// What it costs to keep an event, with full sync: one alone, and as the bus gives
// them when there are many, 8 at a time.
func BenchmarkKeep(b *testing.B) {
	for _, together := range []int{1, 8} {
		b.Run(fmt.Sprint(together, "_at_a_time"), func(b *testing.B) {
			handle := benchArchive(b).Consumers()[0].Handle
			events := make(chan event.Envelope, together)
			var calls sync.WaitGroup
			for range together {
				calls.Go(func() {
					for e := range events {
						if err := handle(b.Context(), e); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				events <- event.New(views("st-1", 7))
			}
			close(events)
			calls.Wait()
		})
	}
}

// A search by pattern through 100,000 events of which one matches, in as many
// requests as it takes; and the first page of all.
func BenchmarkLookThrough100000(b *testing.B) {
	db := sqlite(b)
	fill(b, db, 100_000, hour().Add(-48*time.Hour))
	s, err := archive.New(archive.Config{DB: db, Logger: slog.New(slog.DiscardHandler), Rules: toRules{newRules(b, db)}, Keep: 30 * 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]struct {
		source, pattern string
		found           int
	}{
		"first_page": {found: 50},
		"pattern":    {pattern: `{"detail":{"view_count":[{"numeric":["=",0]}]}}`, found: 1},
		"source":     {source: "nobody"},
	} {
		b.Run(name, func(b *testing.B) {
			requests := 0
			for b.Loop() {
				var next *store.Key
				for found := 0; ; {
					n, place, err := s.Find(b.Context(), c.source, c.pattern, 50, next)
					if err != nil {
						b.Fatal(err)
					}
					requests++
					found += n
					if next = place; next == nil || name == "first_page" {
						if found != c.found {
							b.Fatalf("found %d", found)
						}
						break
					}
				}
			}
			b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
		})
	}
}
