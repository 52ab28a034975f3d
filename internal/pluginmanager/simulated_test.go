package pluginmanager_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// pure registers a plugin of the test that says it has no effects.
func (r *rig) pure(name, hook, message string) {
	p, err := pluginmanager.ParsePlugin([]byte(`{"name":"` + name + `","description":"d","eventHook":"` + hook + `","effects":false}`))
	if err != nil {
		r.t.Fatal(err)
	}
	r.options.Plugins = append(r.options.Plugins, p)
	r.scripts[name] = says(message)
}

// simulated: about a simulated video only plugins without effects are asked, it
// counts nowhere, and leaves nothing.
func simulated(t *testing.T, r *rig) {
	r.options.BuiltIns = []pluginmanager.BuiltIn{duration()}
	r.pure("pure", "postMetadata", `{"title":"T"}`)
	r.plugin("unsaid", "preValidate", 0, says(`{"valid":false}`))
	effects := outside("effects", "preMetadata", 0)
	effects.Effects = new(true)
	r.options.Plugins = append(r.options.Plugins, effects)
	r.start()

	r.ready("sim-1", 12_000)
	d := r.complete("sim-1")
	if d.Plugins.Status != "" || len(d.Plugins.Outputs["preMetadata"]) != 0 ||
		!slices.Equal(keys(d.Plugins.Outputs["preValidate"]), []string{`duration_plugin={"valid":true}`}) ||
		!slices.Equal(keys(d.Plugins.Outputs["postMetadata"]), []string{`pure={"title":"T"}`}) {
		t.Errorf("ended as %+v", d.Plugins)
	}
	for _, asked := range []string{"preValidate.unsaid", "preMetadata.effects"} {
		if n := len(r.events(asked)); n != 0 {
			t.Errorf("%s was asked", asked)
		}
	}
	if f := r.failures(); len(f) != 0 {
		t.Errorf("who was not asked has failed: %v", f)
	}
	if n := r.metric("serverlessvideo_plugin_runs_total", "preValidate", "success"); n != 0 {
		t.Errorf("%g runs count", n)
	}
	id := r.id("sim-1")
	if skipped, err := r.svc.Skipped(t.Context(), id); err != nil || !slices.Equal(skipped, []string{"effects", "unsaid"}) {
		t.Errorf("skipped %v, %v", skipped, err)
	}

	// A real one's are asked, and count.
	r.ready("st-1", 12_000)
	if d := r.complete("st-1"); d.Plugins.Status != event.StatusInvalid || d.Plugins.Plugin != "unsaid" {
		t.Errorf("ended as %+v", d.Plugins)
	}
	if n := r.metric("serverlessvideo_plugin_runs_total", "preValidate", "invalid"); n != 1 {
		t.Errorf("%g refusals count, want 1", n)
	}

	if ids, err := r.svc.Simulated(t.Context()); err != nil || !slices.Equal(ids, []string{id}) {
		t.Errorf("%v, %v", ids, err)
	}
	for _, want := range []bool{true, false} {
		if found, err := r.svc.ForgetSimulated(t.Context(), id); err != nil || found != want {
			t.Errorf("forgotten: %v, %v", found, err)
		}
	}
	if _, err := r.svc.ForgetSimulated(t.Context(), r.id("st-1")); errs.CodeOf(err) != errs.Invalid {
		t.Errorf("a real one: %v", err)
	}
	for _, table := range []string{"plugin_lifecycles", "plugin_tasks", "plugin_answers"} {
		var sims, others int
		err := r.db.Read().QueryRow(`SELECT count(CASE WHEN flow_id = $1 THEN 1 END), count(CASE WHEN flow_id = $2 THEN 1 END) FROM `+table,
			"life-"+id, "life-"+r.id("st-1")).Scan(&sims, &others)
		if err != nil || sims != 0 || others == 0 {
			t.Errorf("%s has %d rows of it and %d of the other, %v", table, sims, others, err)
		}
	}
}

// forgottenInWork: a lifecycle that waits for an answer ends, and the answer is
// one to nothing.
func forgottenInWork(t *testing.T, r *rig) {
	r.pure("slow", "preMetadata", "")
	r.scripts["slow"] = func(event.PluginInvocation) json.RawMessage { return nil }
	r.start()
	r.ready("sim-1", 12_000)
	token := r.token("preMetadata", "slow")
	if found, err := r.svc.ForgetSimulated(t.Context(), r.id("sim-1")); err != nil || !found {
		t.Errorf("forgotten: %v, %v", found, err)
	}
	r.answer("slow", token, `{}`)
	if n := r.metric("serverlessvideo_plugin_answers_refused_total", "unknown"); n != 1 {
		t.Errorf("%g answers are unknown, want 1", n)
	}
	if found, err := r.svc.ForgetSimulated(t.Context(), r.id("sim-1")); err != nil || found {
		t.Errorf("it is back: %v, %v", found, err)
	}
	// As a Forget leaves it that a kill broke off.
	if _, err := store.Step(t.Context(), r.db, "life-"+r.id("sim-1"), "start", func(context.Context, *store.Tx) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if found, err := r.svc.ForgetSimulated(t.Context(), r.id("sim-1")); err != nil || found != want {
			t.Errorf("receipts alone are found: %v, %v; want %v", found, err, want)
		}
	}
	if n := len(r.events("LifeCycleComplete")); n != 0 {
		t.Errorf("%d lifecycles completed", n)
	}
}
