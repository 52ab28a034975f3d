package rules_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// asked is a plugin manager that notes what it is asked, and answers what answer
// says. Its plugin is called counter.
type asked struct {
	answer func(ctx context.Context, a rules.Asking) error
	gone   bool

	mu  sync.Mutex
	got []rules.Asking
}

func (p *asked) ForEvents() []rules.Choice {
	if p.gone {
		return nil
	}
	return []rules.Choice{{Name: "counter", Description: "Counts."}}
}

func (p *asked) Ask(ctx context.Context, a rules.Asking) error {
	p.mu.Lock()
	p.got = append(p.got, a)
	p.mu.Unlock()
	if p.answer == nil {
		return nil
	}
	return p.answer(ctx, a)
}

func (p *asked) asks() []rules.Asking {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// tags notes what it is to tag.
type tags struct {
	mu  sync.Mutex
	got []string
}

func (*tags) CheckEventTag(tag string) error {
	if tag == "" || event.Token(tag) != tag {
		return errs.Newf(errs.Invalid, "%q is no event tag", tag)
	}
	return nil
}

func (g *tags) TagByRule(_ context.Context, delivery, video, channel, tag string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, fmt.Sprint(delivery != "", " ", video, " ", channel, " ", tag))
	return nil
}

// again is a flow that fails as it is told.
func again(err error) rules.Flow {
	return rules.Flow{Choice: rules.Choice{Name: "again"}, Start: func(context.Context, string, string) error { return err }}
}

// to makes a rule with a target.
func (r *rig) to(name, pattern string, tries int, target rules.RuleTarget) rules.RuleView {
	r.t.Helper()
	var v rules.RuleView
	r.admin.Post("/api/rules", rules.RuleInput{Name: name, Enabled: true, Pattern: pattern, Target: target, MaxTries: tries}).Want(201).JSON(&v)
	if v.Target != target || v.Secret != "" {
		r.t.Errorf("made %+v", v)
	}
	return v
}

func TestPluginTarget(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		plugins := &asked{}
		plugins.answer = func(_ context.Context, a rules.Asking) error {
			if n := len(plugins.asks()); n < 3 {
				return errs.Newf(errs.Unavailable, "not %d", n)
			}
			return nil
		}
		cfg := quick(db)
		cfg.Plugins = plugins
		r := newRig(t, cfg).start()
		rule := r.to("count", allStreams, 5, rules.RuleTarget{Type: "plugin", Plugin: "counter"})
		r.hear(started("st-1"))
		d := r.await(rule.ID, "delivered", 1)[0]
		var detail rules.DeliveryDetail
		r.admin.Get("/api/rules/" + rule.ID + "/deliveries/" + d.ID).Want(200).JSON(&detail)
		if d.Tries != 3 || len(detail.Attempts) != 3 || detail.Attempts[1].Error != "not 2" {
			t.Errorf("%+v %+v", d, detail.Attempts)
		}
		for _, a := range plugins.asks() {
			var e event.Envelope
			if err := json.Unmarshal(a.Event, &e); err != nil || e.ID != d.EventID {
				t.Errorf("asked about %s: %v", a.Event, err)
			}
			if a.Event = nil; !slices.Equal([]string{a.Delivery, a.Plugin, a.RuleID, a.RuleName, a.VideoID, a.ChannelID},
				[]string{d.ID, "counter", rule.ID, "count", "st-1", "c1"}) {
				t.Errorf("asked %+v", a)
			}
		}
	})
}

// What plugins are asked and answer is for other targets alone: a rule must not
// ask a plugin because it has asked it.
func TestRulesDoNotLoop(t *testing.T) {
	plugins := &asked{}
	cfg := quick(sqlite(t))
	cfg.Plugins = plugins
	r := newRig(t, cfg).start()
	all := `{"source":[{"prefix":"serverlessVideo."}]}`
	rule := r.to("all", all, 1, rules.RuleTarget{Type: "plugin", Plugin: "counter"})
	logged := r.to("logged", all, 1, rules.RuleTarget{Type: "log"})
	r.hear(
		event.New(event.PluginEvent{Plugin: "counter", Delivery: "msg_1", Event: json.RawMessage(`{}`), TaskToken: "t"}),
		event.New(event.PluginComplete{Plugin: "counter", ID: "msg_1", TaskToken: "t", Message: json.RawMessage(`{}`)}),
		event.New(event.PluginFailed{ID: "st-1", Plugin: "other", Hook: "preValidate"}),
	)
	if d := r.await(rule.ID, "delivered", 1); d[0].DetailType != "Plugin failed" {
		t.Errorf("%+v", d)
	}
	r.await(logged.ID, "delivered", 3)
	if n := len(r.deliveries(rule.ID, "")); n != 1 {
		t.Errorf("the plugin has %d deliveries", n)
	}
}

// Plugins that do not answer leave room for other targets, and the end of the
// node does not wait for them.
func TestWaitingForPluginsLeavesRoom(t *testing.T) {
	rc := newReceiver(t, status(204))
	plugins := &asked{answer: func(ctx context.Context, _ rules.Asking) error { <-ctx.Done(); return ctx.Err() }}
	cfg := quick(sqlite(t))
	cfg.Plugins, cfg.Concurrency, cfg.PerRule = plugins, 4, 4
	r := newRig(t, cfg)
	slow := []rules.RuleView{
		r.to("slow", allStreams, 3, rules.RuleTarget{Type: "plugin", Plugin: "counter"}),
		r.to("slow too", allStreams, 3, rules.RuleTarget{Type: "plugin", Plugin: "counter"}),
	}
	for i := range 6 {
		r.hear(started(fmt.Sprint("st-", i)))
	}
	r.start()
	eventually(t, func() bool { return len(plugins.asks()) == 2 })
	hook := r.webhook("hook", rc.URL, 1)
	r.hear(started("st-7"))
	r.await(hook.ID, "delivered", 1)
	if n := len(plugins.asks()); n != 2 {
		t.Errorf("%d wait for plugins", n)
	}
	r.stop()
	for _, rule := range slow {
		for _, d := range r.deliveries(rule.ID, "") {
			if d.State != "pending" || d.Last != nil {
				t.Errorf("%+v", d)
			}
		}
	}
}

func TestTagAndFlowTargets(t *testing.T) {
	tagger := &tags{}
	cfg := quick(sqlite(t))
	cfg.Tagger, cfg.Flows = tagger, []rules.Flow{again(errs.New(errs.Conflict, "it is well"))}
	r := newRig(t, cfg).start()
	anything := `{"source":[{"prefix":"serverlessVideo."}]}`
	tag := r.to("tag", anything, 3, rules.RuleTarget{Type: "tag", Tag: "conf26"})
	flow := r.to("flow", anything, 3, rules.RuleTarget{Type: "flow", Flow: "again"})
	foreign := event.New(event.PluginComplete{Plugin: "evil", ID: "st-of-somebody", TaskToken: "t", Message: json.RawMessage(`{}`)})
	r.hear(started("st-1"), event.New(event.UserDeleted{Sub: "u"}), foreign)
	if d := r.await(tag.ID, "delivered", 1); d[0].DetailType != "Stream State Change" {
		t.Errorf("%+v", d)
	}
	if want := "true st-1 c1 conf26"; len(tagger.got) != 1 || tagger.got[0] != want {
		t.Errorf("tagged %q", tagger.got)
	}
	// What never comes right is a dead letter at once.
	for _, d := range append(r.await(tag.ID, "dead", 2), r.await(flow.ID, "dead", 3)...) {
		want := "it is well"
		if d.DetailType != "Stream State Change" {
			want = "the event " + d.DetailType + " is about no video"
		}
		if d.Tries != 1 || !strings.HasPrefix(d.Last.Error, want) {
			t.Errorf("%+v %+v", d, d.Last)
		}
	}
	var targets rules.RuleTargets
	r.admin.Get("/api/rules/targets").Want(200).JSON(&targets)
	if len(targets.Plugins) != 1 || targets.Plugins[0].Name != "counter" || len(targets.Flows) != 1 || targets.Flows[0].Name != "again" {
		t.Errorf("%+v", targets)
	}
}

// A plugin that is gone keeps nobody from switching its rule off.
func TestRuleOfAPluginThatIsGone(t *testing.T) {
	plugins := &asked{}
	cfg := quick(sqlite(t))
	cfg.Plugins = plugins
	r := newRig(t, cfg)
	rule := r.to("count", allStreams, 5, rules.RuleTarget{Type: "plugin", Plugin: "counter"})
	plugins.gone = true
	in := rules.RuleInput{Name: "count", Pattern: allStreams, Target: rule.Target}
	r.admin.Call("PUT", "/api/rules/"+rule.ID, in).Want(200)
	in.Name = "another"
	if p := r.admin.Post("/api/rules", in).Want(400).Problem(); !strings.Contains(p.Detail, "no plugin is registered") {
		t.Errorf("%+v", p)
	}
}

func TestMetrics(t *testing.T) {
	cfg := quick(sqlite(t))
	cfg.Flows = []rules.Flow{again(errors.New("a secret of the disk"))}
	r := newRig(t, cfg)
	r.to("log", allStreams, 1, rules.RuleTarget{Type: "log"})
	flow := r.to("flow", allStreams, 2, rules.RuleTarget{Type: "flow", Flow: "again"})
	r.hear(started("st-1"), started("st-2"))
	gauges := []string{"serverlessvideo_rule_deliveries_waiting", "serverlessvideo_rule_deliveries_dead"}
	r.metrics(gauges, 4, 0)
	r.start()
	if d := r.await(flow.ID, "dead", 2)[0]; d.Last.Error != "something went wrong on the server" || len(r.log.lines("a secret of the disk")) == 0 {
		t.Errorf("%+v, log %q", d.Last, r.log.lines("try failed"))
	}
	r.stop()
	r.metrics(gauges, 0, 2)
	ended, tries, retries := map[string]float64{}, uint64(0), 0.0
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "serverlessvideo_rule_deliveries_total":
				ended[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
			case "serverlessvideo_rule_try_seconds":
				tries += m.GetHistogram().GetSampleCount()
			case "serverlessvideo_rule_retries_total":
				retries += m.GetCounter().GetValue()
			}
		}
	}
	if len(ended) != 10 || ended["delivered log"] != 2 || ended["dead flow"] != 2 || ended["dead log"]+ended["delivered flow"] != 0 {
		t.Errorf("ended: %v", ended)
	}
	if tries != 6 || retries != 2 {
		t.Errorf("%d tries, %v made again", tries, retries)
	}
}

// metrics holds gauges against what they should be.
func (r *rig) metrics(names []string, want ...float64) {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for i, name := range names {
		found := false
		for _, f := range families {
			if f.GetName() == name {
				found = true
				if got := f.GetMetric()[0].GetGauge().GetValue(); got != want[i] {
					r.t.Errorf("%s is %v, want %v", name, got, want[i])
				}
			}
		}
		if !found {
			r.t.Errorf("there is no %s", name)
		}
	}
}
