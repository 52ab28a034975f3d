package video_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"net/http"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

const benchVideos = 10_000

// vocabulary makes titles of 4,000 made-up words, of which few are frequent, as
// in people's titles.
type vocabulary struct {
	zipf  *rand.Zipf
	words []string
}

func newVocabulary() *vocabulary {
	rnd := rand.New(rand.NewPCG(1, 2))
	v := &vocabulary{zipf: rand.NewZipf(rnd, 1.2, 4, 3999)}
	syllables := []string{"ka", "lo", "mi", "ter", "son", "ve", "dra", "qui", "pol", "he", "ba", "zu"}
	for i := range 4000 {
		word := ""
		for n := i; n > 0 || word == ""; n /= len(syllables) {
			word += syllables[n%len(syllables)]
		}
		v.words = append(v.words, word)
	}
	return v
}

func (v *vocabulary) some(n int) []string {
	found := make([]string, n)
	for i := range found {
		found[i] = v.words[v.zipf.Uint64()]
	}
	return found
}

// catalogue is a video manager behind an HTTP mux, with 10,000 valid public
// videos of 100 channels, each of the words of its title, tags and description.
func catalogue(b *testing.B, cfg store.Config) (*http.ServeMux, *vocabulary) {
	b.Helper()
	db := storetest.Open(b, cfg)
	objects, err := blob.NewFiles(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s := video.New(db, objects, channels{}, func(context.Context) video.URLs { return urls{} }, slog.New(slog.DiscardHandler))
	v := newVocabulary()
	ctx := context.Background()
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range benchVideos {
			_, err := tx.ExecContext(ctx, `INSERT INTO videos (id, channel, username, created_at, status, reason, prefix, recorded, processed,
				mp4_key, thumbnail_key, duration_ms, width, height, size, title, typed_title, tags, event_tag, visibility, deleted_at, swept, description)
				VALUES ($1, $2, $3, $4, 'valid', '', $5, TRUE, TRUE, 'k', 'k', 60000, 1280, 720, 1, '', $6, $7, $8, 'public', 0, FALSE, $9)`,
				fmt.Sprintf("st-%06d", i), fmt.Sprintf("ch-%d", i%100), fmt.Sprintf("brave-otter-%d", i%100), 1_700_000_000_000+int64(i)*60_000,
				"recordings/x", text(v.some(6)), `["`+text(v.some(3))+`"]`, fmt.Sprintf("conf-%d", i%50), text(v.some(40)))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	// Run notes the words of videos that have none, as after an upgrade.
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { s.Run(running); close(done) }()
	for n := 0; n < benchVideos; time.Sleep(20 * time.Millisecond) {
		if err := db.Read().QueryRowContext(ctx, `SELECT count(*) FROM video_words`).Scan(&n); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	<-done
	if _, err := db.Read().ExecContext(ctx, `ANALYZE`); err != nil && cfg.URL != "" { // as autovacuum does
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Register(humago.New(mux, huma.DefaultConfig("bench", "1")))
	return mux, v
}

func text(words []string) string {
	out := ""
	for i, w := range words {
		if i > 0 {
			out += " "
		}
		out += w
	}
	return out
}

// BenchmarkCatalogue asks for pages of 24 of 10,000 videos, over the API's
// handlers, and reports what half and what 99 of 100 requests take.
func BenchmarkCatalogue(b *testing.B) {
	for engine, cfg := range map[string]func(*testing.B) store.Config{
		"sqlite":   func(b *testing.B) store.Config { return store.Config{Path: filepath.Join(b.TempDir(), "app.db")} },
		"postgres": func(b *testing.B) store.Config { return store.Config{URL: storetest.PostgresURL(b)} },
	} {
		b.Run(engine, func(b *testing.B) {
			mux, v := catalogue(b, cfg(b))
			rnd := rand.New(rand.NewPCG(3, 4))
			anywhere := func() int64 {
				i := rnd.IntN(benchVideos)
				return 1_700_000_000_000 + int64(i)*60_000
			}
			for _, kind := range []struct {
				name string
				path func() string
			}{
				{"list/first", func() string { return "/api/videos?limit=24" }},
				{"list/anywhere", func() string { return "/api/videos?limit=24&offset=" + store.Key{At: anywhere()}.String() }},
				{"list/event", func() string { return fmt.Sprintf("/api/videos/conf-%d?limit=24", rnd.IntN(50)) }},
				{"list/channel", func() string { return fmt.Sprintf("/api/channel/ch-%d/videos?limit=24", rnd.IntN(100)) }},
				{"search/word", func() string { return "/api/videos?limit=24&q=" + v.some(1)[0] }},
				{"search/two", func() string { w := v.some(2); return "/api/videos?limit=24&q=" + w[0] + "+" + w[1] }},
				{"search/typing", func() string { return "/api/videos?limit=24&q=" + v.some(1)[0][:1] }},
				{"search/all", func() string { return "/api/videos?limit=24&q=brave+otter" }},
				{"search/all-anywhere", func() string {
					return "/api/videos?limit=24&q=brave&offset=" + store.Key{At: anywhere() << 20}.String()
				}},
				{"search/none", func() string { return "/api/videos?limit=24&q=nosuchword" }},
			} {
				b.Run(kind.name, func(b *testing.B) { measure(b, mux, kind.path) })
			}
		})
	}
}

func measure(b *testing.B, mux *http.ServeMux, path func() string) {
	var took []time.Duration
	for b.Loop() {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path(), nil)
		w := httptest.NewRecorder()
		began := time.Now()
		mux.ServeHTTP(w, r)
		took = append(took, time.Since(began))
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d %s", r.URL, w.Code, w.Body)
		}
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(share*float64(len(took))))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.50), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}
