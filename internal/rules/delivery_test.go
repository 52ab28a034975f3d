package rules_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func sqlite(t *testing.T) *store.DB {
	t.Helper()
	return storetest.Open(t, store.Config{Path: filepath.Join(t.TempDir(), "app.db")})
}

func TestDelivery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, status(204))
		r := newRig(t, quick(db)).start()
		rule := r.webhook("a", rc.URL, 0)
		rc.knows(rule.Secret)
		first := started("st-1")
		r.hear(first, event.New(event.VideoDeleted{ID: "v"}), first)
		second := started("st-2")
		r.hear(second)
		for _, d := range r.await(rule.ID, "delivered", 2) {
			if d.Tries != 1 || d.Last == nil || d.Last.Status != 204 || d.Last.Error != "" || d.EndedAt == "" || d.NextTryAt != "" {
				t.Errorf("%+v", d)
			}
		}
		calls := rc.calls()
		if len(calls) != 2 {
			t.Fatalf("%d calls", len(calls))
		}
		byEvent := map[string]call{}
		for _, c := range calls {
			var e event.Envelope
			if err := json.Unmarshal([]byte(c.body), &e); err != nil {
				t.Fatal(err)
			}
			byEvent[e.ID] = c
			if !c.signed[0] || c.header.Get("Content-Type") != "application/json" || !strings.HasPrefix(c.id, "msg_") {
				t.Errorf("%+v", c)
			}
		}
		want, err := json.Marshal(second)
		if err != nil {
			t.Fatal(err)
		}
		if got := byEvent[second.ID].body; got != string(want) {
			t.Errorf("it was sent\n%s, want\n%s", got, want)
		}
	})
}

// The token that a plugin is asked with goes nowhere: not to the target, not
// into the log, and no pattern can guess at it.
func TestTaskTokensAreMasked(t *testing.T) {
	rc := newReceiver(t, nil)
	r := newRig(t, quick(sqlite(t))).start()
	const token = "the-token"
	make := func(name, pattern string, target rules.RuleTarget) (v rules.RuleView) {
		r.admin.Post("/api/rules", rules.RuleInput{Name: name, Enabled: true, Pattern: pattern, Target: target}).Want(201).JSON(&v)
		return v
	}
	hook := make("hook", `{"detail":{"taskToken":[{"exists":true}]}}`, rules.RuleTarget{Type: "webhook", URL: rc.URL})
	logged := make("logged", `{"detail-type":[{"prefix":"plugin-complete"},{"prefix":"preValidate."}]}`, rules.RuleTarget{Type: "log"})
	guess := make("guess", `{"detail":{"taskToken":[{"prefix":"the-"}]}}`, rules.RuleTarget{Type: "log"})
	r.hear(
		event.New(event.PluginInvocation{Hook: "preValidate", Plugin: "p", TaskToken: token, Video: event.PluginVideo{ID: "v"}}),
		event.New(event.PluginComplete{Plugin: "p", TaskToken: token, Message: json.RawMessage(`{"valid":true}`)}),
	)
	d := r.await(hook.ID, "delivered", 1)[0]
	r.await(logged.ID, "delivered", 2)
	if n := len(r.deliveries(guess.ID, "")); n != 0 {
		t.Errorf("a pattern guessed at the token: %d", n)
	}
	if body := rc.calls()[0].body; strings.Contains(body, token) || !strings.Contains(body, event.Mask) {
		t.Errorf("it was sent %s", body)
	}
	if shown := r.admin.Get("/api/rules/" + hook.ID + "/deliveries/" + d.ID).Want(200).Body; strings.Contains(string(shown), token) {
		t.Errorf("it is shown: %s", shown)
	}
	if lines := r.log.lines("an event matched a rule"); len(lines) != 2 || len(r.log.lines(token)) != 0 {
		t.Errorf("the log: %q", lines)
	}
}

func TestDeadLetters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		works := make(chan struct{})
		rc := newReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
			select {
			case <-works:
			default:
				status(503)(n, w, r)
			}
		})
		r := newRig(t, quick(db)).start()
		rule := r.webhook("a", rc.URL, 3)
		r.hear(started("st-1"), started("st-2"), started("st-3"))
		letters := r.await(rule.ID, "dead", 3)
		for _, d := range letters {
			if d.Tries != 3 || d.Last.Status != 503 || d.Last.Error != "503 Service Unavailable: the reason of it" || d.EndedAt == "" {
				t.Errorf("%+v %+v", d, d.Last)
			}
		}
		ids := map[string]int{}
		for _, c := range rc.calls() {
			ids[c.id]++
		}
		if len(ids) != 3 || ids[letters[0].ID] != 3 {
			t.Errorf("the ids of the tries: %v", ids)
		}
		var detail rules.DeliveryDetail
		at := "/api/rules/" + rule.ID + "/deliveries/" + letters[0].ID
		r.admin.Get(at).Want(200).JSON(&detail)
		if len(detail.Attempts) != 3 || detail.Event == nil {
			t.Errorf("%+v", detail)
		}

		close(works)
		r.admin.Post(at+"/redrive", nil).Want(200)
		if d := r.await(rule.ID, "delivered", 1)[0]; d.ID != letters[0].ID || d.Tries != 1 {
			t.Errorf("redriven: %+v", d)
		}
		r.admin.Post(at+"/redrive", nil).Want(409)
		var n rules.Count
		r.admin.Post("/api/rules/"+rule.ID+"/dead-letters/redrive", nil).Want(200).JSON(&n)
		if r.await(rule.ID, "delivered", 3); n.Count != 2 {
			t.Errorf("%d were redriven", n.Count)
		}
		r.admin.Call(http.MethodDelete, "/api/rules/"+rule.ID+"/dead-letters", nil).Want(200).JSON(&n)
		if n.Count != 0 {
			t.Errorf("%d were purged", n.Count)
		}
	})
}

func TestPurge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, status(500))
		r := newRig(t, quick(db)).start()
		rule, other := r.webhook("a", rc.URL, 1), r.webhook("b", rc.URL, 1)
		r.hear(started("st-1"), started("st-2"))
		r.await(rule.ID, "dead", 2)
		r.await(other.ID, "dead", 2)
		var v rules.RuleView
		r.admin.Get("/api/rules/" + rule.ID).Want(200).JSON(&v)
		if v.Dead != 2 || v.Waiting != 0 || v.Secret != "" {
			t.Errorf("%+v", v)
		}
		var n rules.Count
		r.admin.Call(http.MethodDelete, "/api/rules/"+rule.ID+"/dead-letters", nil).Want(200).JSON(&n)
		if n.Count != 2 || len(r.deliveries(rule.ID, "")) != 0 || len(r.deliveries(other.ID, "dead")) != 2 {
			t.Errorf("%d were purged", n.Count)
		}
		r.admin.Call(http.MethodDelete, "/api/rules/"+other.ID, nil).Want(204)
		r.admin.Get("/api/rules/" + other.ID + "/deliveries").Want(404)
	})
}

func TestAWebhookThatRecovers(t *testing.T) {
	rc := newReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n < 4 {
			status(500)(n, w, r)
		}
	})
	r := newRig(t, quick(sqlite(t))).start()
	rule := r.webhook("a", rc.URL, 0)
	r.hear(started("st-1"))
	if d := r.await(rule.ID, "delivered", 1)[0]; d.Tries != 4 || d.Last.Status != 200 {
		t.Errorf("%+v", d)
	}
}

// A delivery that was told to be tried by a clock that was an hour ahead does not
// wait for that hour.
func TestClockWasAhead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, status(204))
		r := newRig(t, quick(db))
		rule := r.webhook("a", rc.URL, 0)
		r.hear(started("st-1"))
		err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE rule_deliveries SET due_at = due_at + 3600000, created_at = created_at + 3600000`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r.start()
		r.await(rule.ID, "delivered", 1)
	})
}

// A webhook that never answers holds up nobody else.
func TestAHangingWebhook(t *testing.T) {
	end := make(chan struct{})
	slow := newReceiver(t, func(int, http.ResponseWriter, *http.Request) { <-end })
	t.Cleanup(func() { close(end) }) // before the receiver's
	fast := newReceiver(t, nil)
	cfg := quick(sqlite(t))
	cfg.Concurrency, cfg.PerRule = 4, 2
	r := newRig(t, cfg).start()
	stuck := r.webhook("stuck", slow.URL, 0)
	quick := r.webhook("quick", fast.URL, 0)
	for i := range 20 {
		r.hear(started(fmt.Sprint("st-", i)))
	}
	r.await(quick.ID, "delivered", 20)
	if n, tried := len(r.deliveries(stuck.ID, "pending")), len(slow.calls()); n != 20 || tried > 2 {
		t.Errorf("of the stuck rule %d wait and %d are tried", n, tried)
	}
}

func TestTimeout(t *testing.T) {
	end := make(chan struct{})
	rc := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 2 { // one that begins to answer
			w.WriteHeader(500)
			_ = http.NewResponseController(w).Flush()
		}
		<-end
	})
	t.Cleanup(func() { close(end) })
	cfg := quick(sqlite(t))
	cfg.Timeout = 100 * time.Millisecond
	r := newRig(t, cfg).start()
	rule := r.webhook("a", rc.URL, 2)
	r.hear(started("st-1"))
	d := r.await(rule.ID, "dead", 1)[0]
	if want := "500 Internal Server Error; no answer within 100ms"; d.Last.Error != want || d.Last.Status != 500 {
		t.Errorf("%+v", d.Last)
	}
}

func TestALongAnswer(t *testing.T) {
	rc := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(400)
		}
		for range 100 {
			if _, err := io.WriteString(w, strings.Repeat("x", 100_000)); err != nil {
				return
			}
		}
	})
	r := newRig(t, quick(sqlite(t))).start()
	rule := r.webhook("a", rc.URL, 2)
	r.hear(started("st-1"))
	d := r.await(rule.ID, "delivered", 1)[0]
	var detail rules.DeliveryDetail
	r.admin.Get("/api/rules/" + rule.ID + "/deliveries/" + d.ID).Want(200).JSON(&detail)
	if first := detail.Attempts[0]; first.Status != 400 || len(first.Error) > 400 {
		t.Errorf("%+v", first)
	}
}

// Several nodes share the work: every event is delivered, and once.
func TestTwoNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, nil)
		one := newRig(t, quick(db)).start()
		cfg := quick(db)
		cfg.Node = "node-2"
		two := newRig(t, cfg).start()
		rule := one.webhook("a", rc.URL, 0)
		const events = 60
		for i := range events {
			// Either node's consumer may be given an event, and both may.
			e := started(fmt.Sprint("st-", i))
			two.hear(e)
			if i%3 == 0 {
				one.hear(e)
			}
		}
		one.await(rule.ID, "delivered", events)
		ids := map[string]int{}
		for _, c := range rc.calls() {
			ids[c.id]++
		}
		if len(ids) != events || len(rc.calls()) != events {
			t.Errorf("%d events came in %d calls", len(ids), len(rc.calls()))
		}
	})
}

// What another node has changed is seen at the next event.
func TestRulesChangeOnAnotherNode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, nil)
		one, two := newRig(t, quick(db)), newRig(t, quick(db))
		one.hear(started("st-0")) // it has compiled that there are none
		rule := two.webhook("a", rc.URL, 0)
		one.hear(started("st-1"))
		in := rules.RuleInput{Name: "a", Pattern: allStreams, Target: rule.Target}
		two.admin.Call(http.MethodPut, "/api/rules/"+rule.ID, in).Want(200)
		one.hear(started("st-2")) // it is off
		if got := one.deliveries(rule.ID, "pending"); len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		// And what waits of a rule that is off, waits on.
		one.start()
		two.hear(started("st-3"))
		if n := len(rc.calls()); n != 0 {
			t.Errorf("%d calls of a rule that is off", n)
		}
		in.Enabled = true
		two.admin.Call(http.MethodPut, "/api/rules/"+rule.ID, in).Want(200)
		one.await(rule.ID, "delivered", 1)
	})
}

// While a new secret goes round, both sign.
func TestSecretRotation(t *testing.T) {
	rc := newReceiver(t, nil)
	r := newRig(t, quick(sqlite(t))).start()
	rule := r.webhook("a", rc.URL, 0)
	rc.knows(rule.Secret)
	var fresh rules.RuleSecret
	answer := r.admin.Post("/api/rules/"+rule.ID+"/secret", nil).Want(200)
	answer.JSON(&fresh)
	if cc := answer.Header.Get("Cache-Control"); fresh.Secret == rule.Secret || !strings.Contains(cc, "no-store") {
		t.Errorf("%+v, %s", fresh, cc)
	}
	rc.knows(fresh.Secret)
	r.hear(started("st-1"))
	r.await(rule.ID, "delivered", 1)
	if c := rc.calls()[0]; !c.signed[0] || !c.signed[1] {
		t.Errorf("signed by the old one and the new: %v", c.signed)
	}
}

func TestSecretsAreSealed(t *testing.T) {
	db := sqlite(t)
	r := newRig(t, quick(db))
	rule := r.webhook("a", "https://example.com/", 0)
	var sealed []byte
	if err := db.Read().QueryRow("SELECT secret_sealed FROM rules").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if len(sealed) == 0 || strings.Contains(string(sealed), rule.Secret) {
		t.Errorf("the secret stands in the database: %q", sealed)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	rc := newReceiver(t, nil)
	cfg := quick(sqlite(t))
	cfg.AllowNetworks = nil
	r := newRig(t, cfg).start()
	in := rules.RuleInput{Name: "a", Enabled: true, Pattern: allStreams, Target: rules.RuleTarget{Type: "webhook", URL: rc.URL}}
	p := r.admin.Post("/api/rules", in).Want(400).Problem()
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.target.url" || !strings.Contains(p.Detail, "rules.allow_networks") {
		t.Errorf("%+v", p)
	}
	// A name hides it until it is connected to.
	rule := r.webhook("b", strings.Replace(rc.URL, "127.0.0.1", "localhost", 1), 1)
	r.hear(started("st-1"))
	d := r.await(rule.ID, "dead", 1)[0]
	if !strings.Contains(d.Last.Error, "not a public address") || len(rc.calls()) != 0 {
		t.Errorf("%+v, %d calls", d.Last, len(rc.calls()))
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	target := newReceiver(t, nil)
	rc := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL+"/there", http.StatusTemporaryRedirect)
	})
	r := newRig(t, quick(sqlite(t))).start()
	rule := r.webhook("a", rc.URL, 1)
	r.hear(started("st-1"))
	d := r.await(rule.ID, "dead", 1)[0]
	if d.Last.Status != 307 || !strings.Contains(d.Last.Error, "redirects are not followed") || len(target.calls()) != 0 {
		t.Errorf("%+v", d.Last)
	}
}

func TestMayReach(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for text, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "2606:4700::1": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "10.1.2.3": true,
		"127.0.0.1": false, "127.9.9.9": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false,
		"198.18.0.1": false, "192.0.2.1": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "ff02::1": false,
		"2001:db8::1": false, "2002:7f00:1::": false, "2001::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b:1::1": false, "::ffff:10.1.0.1": true,
	} {
		if err := rules.MayReach(netip.MustParseAddr(text), networks); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPauses(t *testing.T) {
	cfg := quick(sqlite(t))
	cfg.RetryFirst, cfg.RetryMax = 0, 0
	s := newRig(t, cfg)
	var least time.Duration
	for tries := int64(1); tries < rules.DefaultTries; tries++ {
		shortest, longest := time.Hour*100, time.Duration(0)
		for range 200 {
			p := s.Pause(tries, 0)
			shortest, longest = min(shortest, p), max(longest, p)
		}
		if shortest == longest {
			t.Errorf("after %d tries it is always %s", tries, shortest)
		}
		if tries == 1 && (shortest < 10*time.Second || longest > 12*time.Second) || longest > 7*time.Hour+12*time.Minute {
			t.Errorf("after %d tries: %s to %s", tries, shortest, longest)
		}
		least += shortest
	}
	if least < 27*time.Hour {
		t.Errorf("all of it lasts %s", least)
	}
	if p := s.Pause(1, time.Hour); p < time.Hour || p > 2*time.Hour {
		t.Errorf("a target that asks for an hour: %s", p)
	}
	if p := s.Pause(1, 1000*time.Hour); p > 8*time.Hour {
		t.Errorf("a target that asks for too much: %s", p)
	}
}

func TestRetention(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 3 {
				status(500)(n, w, r)
			}
		})
		cfg := quick(db)
		cfg.Bound(5, 2, 1)
		r := newRig(t, cfg)
		rule := r.webhook("a", rc.URL, 1)
		r.start()
		for i := range 6 {
			r.hear(started(fmt.Sprint("st-", i)))
			eventually(t, func() bool { return len(r.deliveries(rule.ID, "pending")) == 0 })
		}
		r.stop()
		delivered, unmade := r.deliveries(rule.ID, "delivered"), r.deliveries(rule.ID, "dead")
		for i := range 7 {
			r.hear(started(fmt.Sprint("late-", i)))
		}
		waiting := r.deliveries(rule.ID, "pending")
		if len(delivered) != 3 || len(unmade) != 3 || len(waiting) != 7 {
			t.Fatalf("%d, %d, %d", len(delivered), len(unmade), len(waiting))
		}
		if err := r.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.deliveries(rule.ID, "delivered"); len(got) != 1 || got[0].ID != delivered[0].ID {
			t.Errorf("delivered: %+v", got)
		}
		// The two that found no room are the newest dead letters.
		got := r.deliveries(rule.ID, "dead")
		if len(got) != 2 || got[0].ID != waiting[0].ID || got[1].ID != waiting[1].ID || !strings.Contains(got[0].Last.Error, "waiting already") {
			t.Errorf("dead: %+v", got)
		}
		if got := r.deliveries(rule.ID, "pending"); len(got) != 5 || got[0].ID != waiting[2].ID {
			t.Errorf("pending: %+v", got)
		}
		if _, err := dbExec(t, db, "UPDATE rule_deliveries SET ended_at = 1 WHERE ended_at > 0"); err != nil {
			t.Fatal(err)
		}
		if err := r.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.deliveries(rule.ID, ""); len(got) != 5 {
			t.Errorf("old ones are still there: %+v", got)
		}
	})
}

// Of a simulated video nothing leaves this server: its events go into the log
// alone.
func TestSimulatedEventsGoToTheLogAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		rc := newReceiver(t, status(204))
		r := newRig(t, quick(db)).start()
		hook := r.webhook("hook", rc.URL, 0)
		rc.knows(hook.Secret)
		everything := `{"source":[{"exists":true}]}`
		var log rules.RuleView
		r.admin.Call("PUT", "/api/rules/"+hook.ID, rules.RuleInput{
			Name: "hook", Enabled: true, Pattern: everything, Target: rules.RuleTarget{Type: "webhook", URL: rc.URL},
		}).Want(200)
		r.admin.Post("/api/rules", rules.RuleInput{Name: "log", Enabled: true, Pattern: everything, Target: rules.RuleTarget{Type: "log"}}).Want(201).JSON(&log)
		simulated := []event.Envelope{
			event.New(event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{RecordingStatus: event.RecordingEnd, StreamID: "sim-1-1"}}),
			event.New(event.MP4ProcessingStarted{ID: "sim-1-1"}),
			event.New(event.PluginInvocation{Hook: "preValidate", Plugin: "p", Video: event.PluginVideo{ID: "sim-1-1"}}),
			event.New(event.VideoStatusUpdated{Lifecycle: event.Lifecycle{ID: "sim-1-1"}, Status: "valid"}),
		}
		r.hear(simulated...)
		r.hear(started("st-1"))
		r.await(log.ID, "delivered", 5)
		r.await(hook.ID, "delivered", 1)
		if calls := rc.calls(); len(calls) != 1 || strings.Contains(calls[0].body, "sim-") {
			t.Errorf("the webhook was told %+v", calls)
		}
		if all := r.deliveries(hook.ID, ""); len(all) != 1 {
			t.Errorf("the webhook has %d deliveries", len(all))
		}

		// Not even when a rule of the log becomes a webhook before it is tried.
		r.stop()
		r.hear(simulated[0])
		r.hear(event.New(event.MP4ProcessingComplete{ID: "sim-1-1"}))
		r.admin.Call("PUT", "/api/rules/"+log.ID, rules.RuleInput{
			Name: "log", Enabled: true, Pattern: everything, Target: rules.RuleTarget{Type: "webhook", URL: rc.URL}, MaxTries: 1,
		}).Want(200)
		r.start()
		if dead := r.await(log.ID, "dead", 1); !strings.Contains(dead[0].Last.Error, "simulated") {
			t.Errorf("%+v", dead)
		}
		if calls := rc.calls(); len(calls) != 1 {
			t.Errorf("the webhook was told %+v", calls)
		}
	})
}
