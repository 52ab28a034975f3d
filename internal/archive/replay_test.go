package archive_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// rule makes a rule with a webhook, or into the log, and returns its id.
func (r *rig) rule(pattern, url string) string {
	r.t.Helper()
	in := rules.RuleInput{Name: fmt.Sprint("rule ", time.Now().UnixNano()), Enabled: true, Pattern: pattern, Target: rules.RuleTarget{Type: "log"}}
	if url != "" {
		in.Target = rules.RuleTarget{Type: "webhook", URL: url}
	}
	var v rules.RuleView
	r.admin.Post("/api/rules", in).Want(201).JSON(&v)
	return v.ID
}

// turn turns a rule on or off.
func (r *rig) turn(id string, on bool) {
	r.t.Helper()
	var v rules.RuleView
	r.admin.Get("/api/rules/" + id).Want(200).JSON(&v)
	r.admin.Call(http.MethodPut, "/api/rules/"+id, rules.RuleInput{Name: v.Name, Enabled: on, Pattern: v.Pattern, Target: v.Target}).Want(200)
}

func (r *rig) replay(in archive.ReplayInput) archive.ReplayView {
	r.t.Helper()
	var v archive.ReplayView
	r.admin.Post("/api/archive/replays", in).Want(201).JSON(&v)
	return v
}

func (r *rig) replayNow(id string) archive.ReplayView {
	r.t.Helper()
	var v archive.ReplayView
	r.admin.Get("/api/archive/replays/" + id).Want(200).JSON(&v)
	return v
}

func (r *rig) ended(id string) (v archive.ReplayView) {
	r.t.Helper()
	eventually(r.t, func() bool { v = r.replayNow(id); return v.State != "running" })
	return v
}

// queued is how many events a replay has made deliveries of.
func (r *rig) queued(replay string) (n int) {
	r.t.Helper()
	var all int
	if err := r.db.Read().QueryRow("SELECT count(*), count(DISTINCT event) FROM rule_deliveries WHERE replay = $1", replay).Scan(&all, &n); err != nil {
		r.t.Fatal(err)
	}
	if all != n {
		r.t.Errorf("%d deliveries of %d events", all, n)
	}
	return n
}

// receiver keeps what a webhook is sent.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

type received struct{ event, replay, webhookID string }

func newReceiver(t *testing.T) *receiver {
	rc := &receiver{}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		e, err := event.Parse(body)
		if err != nil {
			t.Error(err)
		}
		rc.mu.Lock()
		defer rc.mu.Unlock()
		rc.got = append(rc.got, received{e.ID, r.Header.Get("webhook-replay"), r.Header.Get("webhook-id")})
	}))
	t.Cleanup(rc.Close)
	return rc
}

// events are the ids that came with a replay, in order of id.
func (rc *receiver) events(replay string) (ids []string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for _, got := range rc.got {
		if got.replay == replay {
			ids = append(ids, got.event)
		}
	}
	slices.Sort(ids)
	return ids
}

// A rule gets the events of a range again that it has had, as often as they are
// replayed, each time once and marked; only what matches both patterns.
func TestReplay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		rc := newReceiver(t)
		rule := r.rule(`{"detail-type":["Stream State Change"]}`, rc.URL)
		t0 := hour()
		for i := range 6 {
			e := at(t0.Add(time.Duration(i)*time.Second), fmt.Sprint("e-", i), started(fmt.Sprint("st-", i%2)))
			r.hear(e, at(e.Time, fmt.Sprint("v-", i), views("st-1", int64(i))))
			if err := r.rules.Consumers()[0].Handle(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		r.start(r.Run, r.rules.Run)
		eventually(t, func() bool { return len(rc.events("")) == 6 })

		in := archive.ReplayInput{Rule: rule, From: t0.Add(time.Second), To: t0.Add(5 * time.Second), Pattern: `{"detail":{"stream_id":["st-1"]}}`}
		var counted archive.Matches
		r.admin.Post("/api/archive/count", archive.MatchInput{ReplayInput: in}).Want(200).JSON(&counted)
		if counted.Matched != 2 || counted.LookedAt != 8 || counted.NextPage != "" {
			t.Errorf("%+v", counted)
		}
		one, two := r.replay(in), r.replay(in)
		for _, made := range []archive.ReplayView{one, two} {
			end := r.ended(made.ID)
			if end.State != "done" || end.Events != 8 || end.LookedAt != 8 || end.Matched != 2 || end.Queued != 2 || end.CreatedBy != "root" || end.EndedAt == "" || end.Reason != "" {
				t.Errorf("%+v", end)
			}
			eventually(t, func() bool { return slices.Equal(rc.events(made.ID), []string{"e-1", "e-3"}) })
		}
		r.stop()

		var of rules.EventDeliveries
		r.admin.Get("/api/rules/deliveries?event=e-1,e-2,v-1").Want(200).JSON(&of)
		replays := map[string]string{}
		for _, d := range of.Data {
			replays[d.EventID+" "+d.Replay] = d.State + " to " + d.RuleID
			if d.Last == nil || d.Last.Status != 200 || d.Trying {
				t.Errorf("%+v", d)
			}
		}
		for _, want := range []string{"e-1 ", "e-1 " + one.ID, "e-1 " + two.ID, "e-2 "} {
			if replays[want] != "delivered to "+rule {
				t.Errorf("%q: %q", want, replays[want])
			}
		}
		if of.Count != 4 {
			t.Errorf("%+v", of)
		}
		webhookIDs := map[string]bool{}
		for _, got := range rc.got {
			webhookIDs[got.webhookID] = true
		}
		if len(webhookIDs) != len(rc.got) {
			t.Errorf("receivers would take some for repeats: %+v", rc.got)
		}
		var list store.List[archive.ReplayView]
		r.admin.Get("/api/archive/replays?limit=1").Want(200).JSON(&list)
		if list.Count != 1 || list.Data[0].ID != two.ID || list.NextPage == "" {
			t.Errorf("%+v", list)
		}
	})
}

// A rule has never more than 1,000 waiting for a replay: it goes on as they are
// made, and reaches all.
func TestReplayWaitsForRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		fill(t, db, 1300, hour())
		rule := r.rule(`{"source":["serverlessVideo.viewCounter"]}`, "")
		made := r.replay(archive.ReplayInput{Rule: rule, From: hour()})
		r.start(r.Run)
		var now archive.ReplayView
		eventually(t, func() bool { now = r.replayNow(made.ID); return now.Reason != "" })
		if now.State != "running" || now.Queued != 1000 || !strings.Contains(now.Reason, "waits") {
			t.Errorf("%+v", now)
		}
		r.start(r.rules.Run)
		if end := r.ended(made.ID); end.State != "done" || end.Queued != 1300 || end.Reason != "" {
			t.Errorf("%+v", end)
		}
	})
}

func TestCancel(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		fill(t, db, 1300, hour())
		rule := r.rule(`{"source":["serverlessVideo.viewCounter"]}`, "")
		made := r.replay(archive.ReplayInput{Rule: rule, From: hour()})
		r.start(r.Run)
		eventually(t, func() bool { return r.replayNow(made.ID).Queued == 1000 })
		// What the rule has of its own stays.
		if err := r.rules.Consumers()[0].Handle(t.Context(), at(hour(), "own", views("st-1", 1))); err != nil {
			t.Fatal(err)
		}
		var v archive.ReplayView
		r.admin.Post("/api/archive/replays/"+made.ID+"/cancel", nil).Want(200).JSON(&v)
		if v.State != "cancelled" || v.Withdrawn != 1000 || v.EndedAt == "" || r.queued(made.ID) != 0 || r.queued("") != 1 {
			t.Errorf("%+v", v)
		}
		r.admin.Post("/api/archive/replays/"+made.ID+"/cancel", nil).Want(409)
		r.admin.Post("/api/archive/replays/none/cancel", nil).Want(404)
		r.admin.Get("/api/archive/replays/none").Want(404)
	})
}

// A rule that is turned off holds a replay up; one that is deleted ends it.
func TestTheRuleChangesMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db)
		fill(t, db, 10, hour())
		rule := r.rule(`{"source":["serverlessVideo.viewCounter"]}`, "")
		held := r.replay(archive.ReplayInput{Rule: rule, From: hour()})
		r.turn(rule, false)
		r.start(r.Run)
		eventually(t, func() bool { return strings.Contains(r.replayNow(held.ID).Reason, "off") })
		r.turn(rule, true)
		if end := r.ended(held.ID); end.State != "done" || end.Queued != 10 {
			t.Errorf("%+v", end)
		}
		r.stop()

		lost := r.replay(archive.ReplayInput{Rule: rule, From: hour()})
		r.admin.Call(http.MethodDelete, "/api/rules/"+rule, nil).Want(204)
		r.start(r.Run)
		if end := r.ended(lost.ID); end.State != "failed" || !strings.Contains(end.Reason, "deleted") || end.Queued != 0 {
			t.Errorf("%+v", end)
		}
	})
}

func TestReplaysThatAreRefused(t *testing.T) {
	r := newRig(t, sqlite(t))
	rule := r.rule(`{"source":["x"]}`, "")
	for name, c := range map[string]struct {
		in   archive.ReplayInput
		code int
		says string
	}{
		"no such rule":  {archive.ReplayInput{Rule: "none", From: hour()}, 404, "rule"},
		"an empty one":  {archive.ReplayInput{Rule: rule, From: hour(), To: hour()}, 400, "before"},
		"the future":    {archive.ReplayInput{Rule: rule, From: time.Now().Add(time.Hour), To: time.Now().Add(2 * time.Hour)}, 400, "before"},
		"a bad pattern": {archive.ReplayInput{Rule: rule, From: hour(), Pattern: `{"source":"x"}`}, 400, "body.pattern"},
	} {
		for _, path := range []string{"/api/archive/replays", "/api/archive/count"} {
			if p := r.admin.Post(path, c.in).Want(c.code).Problem(); !strings.Contains(p.Detail, c.says) {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
	r.turn(rule, false)
	if p := r.admin.Post("/api/archive/replays", archive.ReplayInput{Rule: rule, From: hour()}).Want(409).Problem(); !strings.Contains(p.Detail, "off") {
		t.Errorf("%+v", p)
	}
	r.turn(rule, true)
	for range 10 {
		r.replay(archive.ReplayInput{Rule: rule, From: hour()})
	}
	r.admin.Post("/api/archive/replays", archive.ReplayInput{Rule: rule, From: hour()}).Want(409)
}

func TestCountOfMatchesInParts(t *testing.T) {
	r := newRig(t, sqlite(t))
	fill(t, r.db, 12_345, hour().Add(-10*time.Hour))
	rule := r.rule(`{"detail":{"view_count":[{"numeric":["<",12000]}]}}`, "")
	in := archive.MatchInput{ReplayInput: archive.ReplayInput{Rule: rule, From: hour().Add(-20 * time.Hour)}}
	var looked, matched int64
	requests := 0
	for {
		var part archive.Matches
		r.admin.Post("/api/archive/count", in).Want(200).JSON(&part)
		looked, matched, requests = looked+part.LookedAt, matched+part.Matched, requests+1
		if in.Offset = part.NextPage; in.Offset == "" {
			break
		}
	}
	if looked != 12_345 || matched != 12_000 || requests != 2 {
		t.Errorf("%d of %d in %d requests", matched, looked, requests)
	}
}
