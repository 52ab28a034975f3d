package archive_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
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
	for name, query := range map[string]string{
		"first_page": "limit=50",
		"pattern":    "pattern=" + url.QueryEscape(`{"detail":{"view_count":[{"numeric":["=",0]}]}}`),
		"source":     "source=nobody",
		"types":      "",
	} {
		b.Run(name, func(b *testing.B) {
			admin := apitest.New(b, func(g *gateway.Gateway) { s.Register(g.API()) }).As(identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}})
			requests := 0
			for b.Loop() {
				if name == "types" {
					requests++
					admin.Get("/api/archive/types").Want(200)
					continue
				}
				for next := ""; ; {
					requests++
					var page struct{ NextPage string }
					admin.Get("/api/archive/events?" + query + "&offset=" + next).Want(200).JSON(&page)
					if next = page.NextPage; next == "" || name == "first_page" {
						break
					}
				}
			}
			b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
		})
	}
}
