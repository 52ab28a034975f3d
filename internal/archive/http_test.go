package archive_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestForAdminsAlone(t *testing.T) {
	r := newRig(t, sqlite(t))
	in := archive.ReplayInput{Rule: "ru-1", From: hour()}
	developer := r.api.As(identity.Principal{ID: "dev", Roles: identity.Roles{identity.Developer, identity.Broadcaster, identity.Viewer}})
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/api/archive", nil}, {"GET", "/api/archive/events", nil}, {"GET", "/api/archive/events/e", nil}, {"GET", "/api/archive/types", nil},
		{"POST", "/api/archive/count", archive.MatchInput{ReplayInput: in}}, {"POST", "/api/archive/replays", in},
		{"GET", "/api/archive/replays", nil}, {"GET", "/api/archive/replays/re", nil}, {"POST", "/api/archive/replays/re/cancel", nil},
		{"GET", "/api/rules/deliveries?event=e", nil},
	} {
		r.api.Call(c.method, c.path, c.body).Want(401)
		developer.Call(c.method, c.path, c.body).Want(403)
	}
}

func TestOneEvent(t *testing.T) {
	r := newRig(t, sqlite(t))
	r.hear(at(hour(), "a", started("st-1")), at(hour(), "b", event.UserDeleted{Sub: "u"}))
	var v archive.EventView
	r.admin.Get("/api/archive/events/a").Want(200).JSON(&v)
	text, err := json.Marshal(v.Event)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Parse(text)
	if err != nil || e.ID != "a" || v.About != "st-1" || v.Source != event.SourceStreaming || v.DetailType != "Stream State Change" || v.At != hour().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("%+v, %v", v, err)
	}
	var other archive.EventView
	r.admin.Get("/api/archive/events/b").Want(200).JSON(&other)
	if other.About != "" {
		t.Errorf("%+v", other)
	}
	r.admin.Get("/api/archive/events/none").Want(404)
}

func TestLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		t0 := hour()
		for i := range 12 {
			when := t0.Add(time.Duration(i/2) * time.Second)
			if i%3 == 0 {
				r.hear(at(when, fmt.Sprintf("e%02d", i), started("st-1")))
			} else {
				r.hear(at(when, fmt.Sprintf("e%02d", i), views(fmt.Sprint("st-", i%3), int64(i))))
			}
		}
		date := func(s int) string { return t0.Add(time.Duration(s) * time.Second).Format(time.RFC3339) }
		for name, c := range map[string]struct {
			query url.Values
			want  string
		}{
			"all":               {url.Values{}, "e11 e10 e09 e08 e07 e06 e05 e04 e03 e02 e01 e00"},
			"a range":           {url.Values{"from": {date(1)}, "to": {date(3)}}, "e05 e04 e03 e02"},
			"from":              {url.Values{"from": {date(5)}}, "e11 e10"},
			"a source":          {url.Values{"source": {event.SourceStreaming}}, "e09 e06 e03 e00"},
			"a type":            {url.Values{"type": {"ViewCountUpdated"}, "to": {date(2)}}, "e02 e01"},
			"a stream":          {url.Values{"about": {"st-1"}}, "e10 e09 e07 e06 e04 e03 e01 e00"},
			"a stream's source": {url.Values{"about": {"st-1"}, "source": {event.SourceStreaming}, "from": {date(2)}}, "e09 e06"},
			"a pattern":         {url.Values{"pattern": {`{"detail":{"view_count":[{"numeric":[">",7]}]}}`}}, "e11 e10 e08"},
			"pattern and range": {url.Values{"pattern": {`{"detail":{"view_count":[{"numeric":[">",7]}]}}`}, "to": {date(5)}}, "e08"},
			"nothing":           {url.Values{"source": {"x"}}, ""},
		} {
			t.Run(name, func(t *testing.T) {
				for _, limit := range []string{"1", "2", "5", "100"} {
					c.query.Set("limit", limit)
					c.query.Del("offset")
					var got []string
					for range 20 {
						page := r.list(c.query)
						got = append(got, idsOf(page.Data)...)
						if page.NextPage == "" {
							break
						}
						if page.Count == 0 {
							t.Error("an empty page with a next one")
						}
						c.query.Set("offset", page.NextPage)
					}
					if strings.Join(got, " ") != c.want {
						t.Errorf("limit %s: %s, want %s", limit, got, c.want)
					}
				}
			})
		}
	})
}

// What is added while somebody reads on changes nothing behind them.
func TestListsStayRight(t *testing.T) {
	r := newRig(t, sqlite(t))
	fill(t, r.db, 20, hour())
	first := r.list(url.Values{})
	r.hear(at(time.Now(), "new", started("st-1")))
	second := r.list(url.Values{"offset": {first.NextPage}})
	if got := append(idsOf(first.Data), idsOf(second.Data)...); len(slices.Compact(got)) != 20 || slices.Contains(got, "new") || second.NextPage != "" {
		t.Error(got)
	}
}

// A search that finds little stops after what one request may cost, and goes on
// where it was.
func TestOneRequestIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		r.hear(at(hour().Add(-time.Second), "first", started("st-1")))
		fill(t, db, 12_000, hour())
		for name, c := range map[string]struct {
			query    url.Values
			requests int
		}{
			"by pattern": {url.Values{"pattern": {`{"detail":{"event_name":["Stream Start"]}}`}}, 3},
			"by source":  {url.Values{"source": {event.SourceStreaming}}, 1},
			"about":      {url.Values{"about": {"st-1"}, "type": {"Stream State Change"}}, 1},
		} {
			var got []string
			requests := 0
			for next := "first"; next != ""; requests++ {
				page := r.list(c.query)
				got = append(got, idsOf(page.Data)...)
				next = page.NextPage
				c.query.Set("offset", next)
			}
			if !slices.Equal(got, []string{"first"}) || requests != c.requests {
				t.Errorf("%s: %v in %d requests", name, got, requests)
			}
		}
	})
}

func TestCountsOfTypes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		t0 := hour()
		r.hear(at(t0, "a", started("1")), at(t0, "b", started("2")), at(t0.Add(time.Second), "c", started("3")), at(t0, "d", views("1", 1)))
		var got archive.TypeCounts
		r.admin.Get("/api/archive/types?to=" + t0.Add(time.Second).Format(time.RFC3339)).Want(200).JSON(&got)
		want := []archive.TypeCount{{Source: event.SourceStreaming, DetailType: "Stream State Change", Count: 2}, {Source: event.SourceViewCounter, DetailType: "ViewCountUpdated", Count: 1}}
		if !got.Complete || !slices.Equal(got.Data, want) || got.Count != 2 {
			t.Errorf("%+v", got)
		}
	})
}

func TestQuestionsThatAreRefused(t *testing.T) {
	r := newRig(t, sqlite(t))
	for _, query := range []string{"limit=0", "limit=101", "offset=!", "from=yesterday", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"} {
		r.admin.Get("/api/archive/events?" + query).Want(400)
	}
	p := r.admin.Get("/api/archive/events?pattern=" + url.QueryEscape(`{"detail":{"n":[{"numeric":[">","5"]}]}}`)).Want(400).Problem()
	if len(p.Errors) != 1 || p.Errors[0].Location != "query.pattern" || p.Errors[0].Path != "detail.n[0].numeric[1]" || p.Errors[0].Line != 1 {
		t.Errorf("%+v", p)
	}
	r.admin.Get("/api/archive/types?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z").Want(400)
}
