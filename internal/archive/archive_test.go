package archive_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func sqlite(t testing.TB) *store.DB {
	return storetest.Open(t, store.Config{Path: filepath.Join(t.TempDir(), "app.db")})
}

// Whatever comes how often and in what order and at the same time is kept once,
// and is given in order.
func TestEachEventIsKeptOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		var all []event.Envelope
		var ids []string
		for i := range 300 {
			// Three of each time, whose order is that of their ids.
			e := at(hour().Add(time.Duration(i/3)*time.Second), fmt.Sprintf("e-%04d", i), started(fmt.Sprint("st-", i)))
			all = append(all, e, e, e)
			ids = append(ids, e.ID)
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		handle := r.Consumers()[0].Handle
		var calls sync.WaitGroup
		for part := range slices.Chunk(all, 60) {
			calls.Go(func() {
				for _, e := range part {
					if err := handle(t.Context(), e); err != nil {
						t.Error(err)
					}
				}
			})
		}
		calls.Wait()
		var got []string
		if err := r.Each(t.Context(), time.Time{}, time.Time{}, nil, func(e event.Envelope) error { got = append(got, e.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%d events: %v", len(got), got)
		}
		if v := r.totals(); v.Events != 300 || v.KeepDays != 30 || v.Size < 300*500 || v.Oldest != hour().Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("%+v", v)
		}
	})
}

func TestEachOfARange(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		t0 := hour()
		r.hear(
			at(t0, "a", started("st-1")), at(t0.Add(time.Second), "b", views("st-1", 1)), at(t0.Add(time.Second), "c", started("st-1")),
			at(t0.Add(2*time.Second), "d", event.PluginComplete{Plugin: "p", Message: json.RawMessage(`{}`)}), at(t0.Add(3*time.Second), "e", started("st-2")),
		)
		for name, c := range map[string]struct {
			from, to time.Time
			sources  []string
			want     string
		}{
			"all":              {time.Time{}, time.Time{}, nil, "abcde"},
			"a range":          {t0.Add(time.Second), t0.Add(3 * time.Second), nil, "bcd"},
			"sources":          {time.Time{}, time.Time{}, []string{event.SourceStreaming}, "ace"},
			"several":          {time.Time{}, time.Time{}, []string{event.SourceStreaming, event.SourceViewCounter}, "abce"},
			"by its beginning": {time.Time{}, time.Time{}, []string{event.SourcePluginPrefix + "*"}, "d"},
			"none":             {t0.Add(time.Hour), time.Time{}, nil, ""},
		} {
			got := ""
			err := r.Each(t.Context(), c.from, c.to, c.sources, func(e event.Envelope) error { got += e.ID; return nil })
			if err != nil || got != c.want {
				t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
			}
		}
		enough := errors.New("enough")
		n := 0
		if err := r.Each(t.Context(), time.Time{}, time.Time{}, nil, func(event.Envelope) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
			t.Errorf("%d calls, %v", n, err)
		}
	})
}

func TestTokensAreNotKept(t *testing.T) {
	r := newRig(t, sqlite(t))
	r.hear(at(hour(), "a", event.PluginComplete{Plugin: "p", TaskToken: "brave-otter", Message: json.RawMessage(`{"taskToken":"brave-otter"}`)}))
	var body string
	if err := r.db.Read().QueryRow("SELECT body FROM archive_events").Scan(&body); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(body, "brave-otter") || !strings.Contains(body, event.Mask) {
		t.Error(body)
	}
}

// A time that is none of ours places an event where it came.
func TestTimesOfOthers(t *testing.T) {
	r := newRig(t, sqlite(t))
	before := time.Now().Truncate(time.Millisecond)
	r.hear(at(time.Time{}, "none", started("s")), at(time.Now().AddDate(100, 0, 0), "future", started("s")))
	for _, v := range r.list(nil).Data {
		when, err := time.Parse(time.RFC3339, v.At)
		if err != nil || when.Before(before) || when.After(time.Now()) {
			t.Errorf("%s is at %s, %v", v.ID, v.At, err)
		}
	}
}

func TestOldOnesGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, func(c *archive.Config) { c.Keep = 24 * time.Hour })
		fill(t, db, 450, time.Now().Add(-48*time.Hour))
		r.hear(at(hour(), "young", started("st-1")))
		r.start(r.Run)
		eventually(t, func() bool { return r.totals().Events == 1 })
		r.stop()
		if left := r.list(nil); left.Count != 1 || left.Data[0].ID != "young" {
			t.Errorf("%+v", left)
		}
	})
}

func TestTheOldestGoWhenThereAreTooMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, func(c *archive.Config) { c.MaxSize = 300_000 })
		fill(t, db, 1000, hour())
		r.start(r.Run)
		eventually(t, func() bool { return r.totals().Size <= 300_000 })
		r.stop()
		v := r.totals()
		if v.Events == 0 || v.Size < 100_000 {
			t.Errorf("too much is gone: %+v", v)
		}
		var events, size int64
		if err := db.Read().QueryRow("SELECT count(*), sum(size) FROM archive_events").Scan(&events, &size); err != nil {
			t.Fatal(err)
		}
		newest := r.list(url.Values{"limit": {"1"}})
		if events != v.Events || size != v.Size || newest.Data[0].ID != "e-0000999" {
			t.Errorf("%+v counts %d and %d; the newest is %v", v, events, size, idsOf(newest.Data))
		}
	})
}

// An archive that is off hears nothing and loses what it has.
func TestOff(t *testing.T) {
	r := newRig(t, sqlite(t), func(c *archive.Config) { c.Keep = 0 })
	fill(t, r.db, 250, hour())
	if n := len(r.Consumers()); n != 0 {
		t.Errorf("%d consumers", n)
	}
	r.start(r.Run)
	eventually(t, func() bool { return r.totals().Events == 0 })
	r.stop()
	in := archive.ReplayInput{Rule: "ru-1", From: hour()}
	if p := r.admin.Post("/api/archive/replays", in).Want(409).Problem(); !strings.Contains(p.Detail, "archive.keep") {
		t.Errorf("%+v", p)
	}
}

func TestWhatIsNeeded(t *testing.T) {
	db := sqlite(t)
	whole := archive.Config{DB: db, Logger: slog.New(slog.DiscardHandler), Rules: toRules{newRules(t, db)}}
	for name, spoil := range map[string]func(*archive.Config){
		"no database": func(c *archive.Config) { c.DB = nil }, "no rules": func(c *archive.Config) { c.Rules = nil },
		"kept less than nothing": func(c *archive.Config) { c.Keep = -1 }, "smaller than nothing": func(c *archive.Config) { c.MaxSize = -1 },
	} {
		c := whole
		spoil(&c)
		if _, err := archive.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
