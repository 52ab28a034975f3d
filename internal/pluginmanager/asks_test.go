package pluginmanager_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// about is an event for a plugin, under a delivery of the test's own.
func (r *rig) about(delivery, plugin string) pluginmanager.EventTask {
	e := event.New(event.StreamStateChange{EventName: event.StreamStart, ChannelName: "alice", StreamID: "st-1"})
	body, err := json.Marshal(e)
	if err != nil {
		r.t.Fatal(err)
	}
	return pluginmanager.EventTask{
		Delivery: event.DeliveryPrefix + r.id(delivery), Plugin: plugin, Rule: event.PluginEventRule{ID: "ru-1", Name: "tell it"},
		Event: body, Video: "st-1", Channel: "alice",
	}
}

func TestEventsForPlugins(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for _, c := range []testCase{
			{"answered", testAnswered}, {"refused", testRefused}, {"silent", testSilent}, {"asked again", testAskedAgain},
			{"no lifecycle asks it", testNoLifecycle}, {"makes no sense", testNoSense}, {"chaos", testChaosOfEvents},
			{"forgotten", testForgotten},
		} {
			r.run(c)
		}
	})
}

func testAnswered(t *testing.T, r *rig) {
	r.plugin("listener", event.OnEvent, 0, says(`{"seen":true}`))
	r.start()
	a := r.about("d", "listener")
	for range 2 { // the second time it is known
		if err := r.svc.Ask(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	asked := r.events("onEvent.listener")
	if len(asked) != 1 || asked[0].Source != event.SourcePluginManager {
		t.Fatalf("asked %+v", asked)
	}
	eventtest.Example(t, "plugin-event", asked[0])
	var d event.PluginEvent
	if err := asked[0].Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.Delivery != a.Delivery || d.Rule != a.Rule || string(d.Event) != string(a.Event) || d.TaskToken == "" {
		t.Errorf("asked %+v", d)
	}
	if masked := asked[0].Masked(); strings.Contains(string(masked.Detail), d.TaskToken) {
		t.Errorf("the token is not masked: %s", masked.Detail)
	}
	if n := r.metric("serverlessvideo_plugin_runs_total", event.OnEvent, "success"); n != 1 {
		t.Errorf("%v runs", n)
	}
}

func testRefused(t *testing.T, r *rig) {
	r.plugin("listener", event.OnEvent, 0, says(`{"error":"not\ntoday"}`))
	r.start()
	for range 2 { // it is asked anew
		err := r.svc.Ask(t.Context(), r.about("d", "listener"))
		if errs.CodeOf(err) != errs.Unavailable || errs.MessageOf(err) != "not today" {
			t.Errorf("%v", err)
		}
	}
	if n := len(r.events("onEvent.listener")); n != 2 || len(r.events("Plugin failed")) != 0 {
		t.Errorf("asked %d times; said %v", n, r.failures())
	}
}

func testSilent(t *testing.T, r *rig) {
	r.plugin("listener", event.OnEvent, 50*time.Millisecond, silent)
	r.start()
	err := r.svc.Ask(t.Context(), r.about("d", "listener"))
	if errs.CodeOf(err) != errs.Unavailable || errs.MessageOf(err) != "listener did not answer within 50ms" {
		t.Errorf("%v", err)
	}
	token := r.token(event.OnEvent, "listener")
	r.answer("listener", token, `{}`)
	if n := r.metric("serverlessvideo_plugin_answers_refused_total", "closed"); n != 1 {
		t.Errorf("%v answers came too late", n)
	}
}

// Who asks again while the plugin works waits for the first answer, also after a
// restart.
func testAskedAgain(t *testing.T, r *rig) {
	r.plugin("listener", event.OnEvent, 0, silent)
	r.start()
	ctx, stop := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- r.svc.Ask(ctx, r.about("d", "listener")) }()
	token := r.token(event.OnEvent, "listener")
	stop()
	if err := <-left; errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("%v", err)
	}
	r.stop()
	r.start()
	go func() { left <- r.svc.Ask(t.Context(), r.about("d", "listener")) }()
	r.answer("listener", token, `1`)
	if err := <-left; err != nil {
		t.Error(err)
	}
	if n := len(r.events("onEvent.listener")); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func testNoLifecycle(t *testing.T, r *rig) {
	r.plugin("listener", event.OnEvent, 0, says(`{}`))
	r.start()
	r.ready("v", 60_000)
	if d := r.complete("v"); d.Plugins.Status != "" || len(d.Plugins.Outputs) != 4 {
		t.Errorf("%+v", d.Plugins)
	}
	if n := len(r.events("onEvent.listener")); n != 0 {
		t.Errorf("asked %d times", n)
	}
	if all := r.svc.EventPlugins(); len(all) != 1 || all[0].Name != "listener" {
		t.Errorf("%+v", all)
	}
}

func testNoSense(t *testing.T, r *rig) {
	r.plugin("validator", "preValidate", 0, says(`{"valid":true}`))
	r.plugin("listener", event.OnEvent, 0, says(`{}`))
	r.start()
	if err := r.svc.Ask(t.Context(), r.about("d", "validator")); errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("a plugin of another hook: %v", err)
	}
	a := r.about("e", "listener")
	a.Event = json.RawMessage(`"` + strings.Repeat("x", event.MaxSize) + `"`)
	if err := r.svc.Ask(t.Context(), a); errs.CodeOf(err) != errs.Invalid {
		t.Errorf("a large event: %v", err)
	}
}

// Invocations and answers that come several times and in any order count once.
func testChaosOfEvents(t *testing.T, r *rig) {
	r.chaos = true
	var worked atomic.Int64
	r.plugin("listener", event.OnEvent, 0, func(event.PluginInvocation) json.RawMessage {
		worked.Add(1)
		return json.RawMessage(`{}`)
	})
	r.start()
	failures := make(chan error, 8)
	for i := range 8 {
		go func() { failures <- r.svc.Ask(t.Context(), r.about(string(rune('a'+i)), "listener")) }()
	}
	for range 8 {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	if n := r.metric("serverlessvideo_plugin_runs_total", event.OnEvent, "success"); n != 8 || worked.Load() < 8 {
		t.Errorf("%v runs", n)
	}
}

// What was asked long ago is forgotten, what lifecycles asked is not.
func testForgotten(t *testing.T, r *rig) {
	r.plugin("listener", event.OnEvent, 0, says(`{}`))
	r.plugin("validator", "preValidate", 0, says(`{"valid":true}`))
	r.start()
	r.ready("v", 60_000)
	r.complete("v")
	for _, delivery := range []string{"old", "new"} {
		if err := r.svc.Ask(t.Context(), r.about(delivery, "listener")); err != nil {
			t.Fatal(err)
		}
	}
	err := r.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, statement := range []string{
			`UPDATE plugin_tasks SET asked_at = 1 WHERE flow_id <> $1`, `UPDATE plugin_answers SET answered_at = 1 WHERE flow_id <> $1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, r.about("new", "").Delivery); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.svc.ForgetAsked(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"plugin_tasks", "plugin_answers"} {
		for flow, want := range map[string]int{r.about("old", "").Delivery: 0, r.about("new", "").Delivery: 1, "life-" + r.id("v"): 1} {
			var n int
			if err := r.db.Read().QueryRow(`SELECT count(*) FROM `+table+` WHERE flow_id = $1`, flow).Scan(&n); err != nil || n != want {
				t.Errorf("%s has %d rows of %s, want %d, %v", table, n, flow, want, err)
			}
		}
	}
}
