package pluginmanager_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The node stops in mid-lifecycle. The answer comes while it is down, and its
// time limit passes too: the answer counts all the same.
func answerWhileDown(t *testing.T, r *rig) {
	const limit = time.Second
	r.plugin("v", "preValidate", limit, silent)
	r.plugin("m", "postMetadata", 0, says(`{"title":"T"}`))
	r.start()
	r.ready("st-1", 12_000)
	token := r.token("preValidate", "v")
	r.stop()
	time.Sleep(limit)
	// After the start the bus is busy: the flow looks first.
	r.start()
	time.Sleep(100 * time.Millisecond)
	if n := len(r.events("Plugin failed")); n != 0 {
		t.Fatal("the plugin timed out before what waits on the bus was heard")
	}
	r.answer("v", token, `{"valid":true}`)
	got := r.complete("st-1").Plugins
	if got.Status != "" || len(got.Outputs["preValidate"]) != 1 || len(got.Outputs["postMetadata"]) != 1 {
		t.Errorf("ended %+v", got)
	}
	for _, detailType := range []string{"LifeCycleStarted", "preValidate.v", "postMetadata.m", "LifeCycleComplete"} {
		if n := len(r.events(detailType)); n != 1 {
			t.Errorf("%s %d times, want once", detailType, n)
		}
	}
}

func reconcile(t *testing.T, r *rig) {
	r.plugin("v", "preValidate", 0, says(`{"valid":true}`))
	r.videos = []event.RecordingReadyEvent{r.recording("st-1", 1), r.recording("st-2", 2)}
	r.start()
	r.ready("st-2", 2)
	for range 2 {
		if err := r.svc.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.complete("st-1")
	r.complete("st-2")
	r.stop()
	if n := len(r.events("LifeCycleComplete")); n != 2 {
		t.Errorf("LifeCycleComplete %d times, want 2", n)
	}
}

// A plugin keeps its place over restarts; one that is gone is not asked, and
// has its old place when it comes back.
func registry(t *testing.T, r *rig) {
	run := func(id string, names ...string) []string {
		r.options.Plugins = nil
		for _, name := range names {
			r.plugin(name, "preMetadata", 0, says(`1`))
		}
		r.start()
		defer r.stop()
		r.ready(id, 12_000)
		return keys(r.complete(id).Plugins.Outputs["preMetadata"])
	}
	if got := run("st-1", "reg-b", "reg-a"); !slices.Equal(got, []string{"reg-b=1", "reg-a=1"}) {
		t.Errorf("at first %v", got)
	}
	if got := run("st-2", "reg-c", "reg-a"); !slices.Equal(got, []string{"reg-a=1", "reg-c=1"}) {
		t.Errorf("b gone, c new: %v", got)
	}
	if got := run("st-3", "reg-a", "reg-c", "reg-b"); !slices.Equal(got, []string{"reg-b=1", "reg-a=1", "reg-c=1"}) {
		t.Errorf("b back: %v", got)
	}
}

func listPlugins(t *testing.T, r *rig) {
	r.options.BuiltIns = []pluginmanager.BuiltIn{duration()}
	tagger, err := pluginmanager.ParsePlugin([]byte(`{"name":"tagger","eventHook":"postMetadata","description":"Tags.",
		"author":"Ann","time_limit":1.5,"average_completion_time":7,"mine":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.options.Plugins = []pluginmanager.Plugin{tagger}
	r.start()
	mux := http.NewServeMux()
	r.svc.Register(humago.New(mux, huma.DefaultConfig("test", "1")))
	get := func(path string) store.List[pluginmanager.PluginInfo] {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		var l store.List[pluginmanager.PluginInfo]
		if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return l
	}
	first := get("/api/plugins?limit=1")
	second := get("/api/plugins?limit=1&offset=" + first.NextPage)
	got := fmt.Sprintf("%+v", append(first.Data, second.Data...))
	for _, want := range []string{
		"Name:duration_plugin", "Name:tagger", "Kind:builtin", "Kind:configured", "EventHook:preValidate",
		"TimeLimit:900", "TimeLimit:1.5", "Description:Tags.", "Version:1.0.0", "Author:Ann",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if second.NextPage != "" {
		t.Error("there is a third page")
	}
}

func TestNewRefuses(t *testing.T) {
	builtIn := func(manifest string) pluginmanager.Options {
		return pluginmanager.Options{BuiltIns: []pluginmanager.BuiltIn{{Manifest: []byte(manifest)}}}
	}
	plugin := func(name, hook string, limit time.Duration) pluginmanager.Options {
		return pluginmanager.Options{Plugins: []pluginmanager.Plugin{outside(name, hook, limit)}}
	}
	twice := plugin("a", "preValidate", 0)
	twice.Plugins = append(twice.Plugins, twice.Plugins[0])
	for says, o := range map[string]pluginmanager.Options{
		"cannot be read":            builtIn(`{`),
		`unknown field "hook"`:      builtIn(`{"name":"x","hook":"preValidate"}`),
		`there is no hook "never"`:  plugin("a", "never", 0),
		`not "a b"`:                 plugin("a b", "preValidate", 0),
		`not ""`:                    plugin("", "preValidate", 0),
		"not between 0.001 and 30,": plugin("a", "postValidate", 31*time.Second),
		"not between 0.001 and 900": plugin("a", "preValidate", -time.Second),
		`two plugins "a"`:           twice,
	} {
		path := t.TempDir() + "/flow.db"
		flowtest.File(t, path)
		engine, err := flow.Open(t.Context(), flow.Config{Path: path, NodeID: "n"})
		if err != nil {
			t.Fatal(err)
		}
		o.Flows, o.Metrics = engine, prometheus.NewRegistry()
		if _, err := pluginmanager.New(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
		if err := engine.Shutdown(time.Second); err != nil {
			t.Error(err)
		}
	}
}
