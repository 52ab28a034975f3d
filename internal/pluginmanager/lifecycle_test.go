package pluginmanager_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
)

func TestMain(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		node()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestLifecycle(t *testing.T) {
	each(t, func(_ *testing.T, r *rig) {
		for _, c := range []testCase{
			{"valid lifecycle", validLifecycle},
			{"no plugins", noPlugins},
			{"too short is invalid", tooShortIsInvalid},
			{"short circuit", shortCircuit},
			{"invalid wins over failed", invalidWinsOverFailed},
			{"wrong answers", wrongAnswers},
			{"missing message fails the plugin", missingMessageFailsThePlugin},
			{"answers that are too large together", answersThatAreTooLargeTogether},
			{"chaos", chaos},
			{"answer while down", answerWhileDown},
			{"reconcile", reconcile},
			{"registry", registry},
			{"list plugins", listPlugins},
			{"simulated", simulated},
			{"forgotten in work", forgottenInWork},
			{"retry after a time limit", retryAfterATimeLimit},
			{"retry from a hook", retryFromAHook},
			{"retry goes on", retryGoesOn},
			{"cancelled is told", cancelledIsTold},
			{"retry without a flow", retryWithoutAFlow},
			{"deleted video", deletedVideo},
			{"deleted between steps", deletedBetweenSteps},
			{"deleted while retried", deletedWhileRetried},
		} {
			r.run(c)
		}
		outcomes(r)
	})
}

func keys(outputs []event.PluginOutput) []string {
	out := []string{}
	for _, o := range outputs {
		out = append(out, strings.TrimPrefix(o.OutputKey, "plugin-")+"="+string(o.OutputValue))
	}
	return out
}

func validLifecycle(t *testing.T, r *rig) {
	r.options.BuiltIns = []pluginmanager.BuiltIn{duration()}
	var mu sync.Mutex
	told := map[string]event.PluginInvocation{}
	listen := func(message string) script {
		return func(in event.PluginInvocation) json.RawMessage {
			mu.Lock()
			defer mu.Unlock()
			told[message] = in
			return json.RawMessage(message)
		}
	}
	quick := make(chan struct{})
	// Registered in this order; "second" answers before "first" does.
	r.plugin("check", "postValidate", 0, listen(`{"valid":true,"seen":1}`))
	r.plugin("first", "preMetadata", 0, func(event.PluginInvocation) json.RawMessage {
		<-quick
		return json.RawMessage(`{"n":1}`)
	})
	r.plugin("second", "preMetadata", 0, func(event.PluginInvocation) json.RawMessage {
		defer close(quick)
		return json.RawMessage(`["n",2]`)
	})
	r.plugin("last", "postMetadata", 0, listen(`{"title":"<T>"}`))
	r.start()
	r.ready("st-1", 12_000)
	d := r.complete("st-1")

	if d.Plugins.Status != "" || d.Plugins.Reason != "" || d.WorkflowExecutionID != "life-"+r.id("st-1") {
		t.Errorf("ended %+v as %s", d.Plugins, d.WorkflowExecutionID)
	}
	want := r.recording("st-1", 12_000)
	if d.Author.Username != want.Author || d.RecordingS3KeyPrefix != want.RecordingS3KeyPrefix || d.PlaybackURL != want.PlaybackURL ||
		d.StreamURL != want.StreamURL || d.Thumbnail != want.Thumbnail || d.CreatedAt != want.CreatedAt ||
		d.DurationMillis != 12_000 || d.Height != 720 || d.Width != 1280 || d.ChannelName != "alice" {
		t.Errorf("the recording's fields: %+v", d.Lifecycle)
	}
	for hook, want := range map[string][]string{
		"preValidate":  {`duration_plugin={"valid":true}`},
		"postValidate": {`check={"valid":true,"seen":1}`},
		"preMetadata":  {`first={"n":1}`, `second=["n",2]`},
		"postMetadata": {`last={"title":"\u003cT\u003e"}`},
	} {
		if got := keys(d.Plugins.Outputs[hook]); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", hook, got, want)
		}
	}
	in := told[`{"title":"<T>"}`]
	if in.Video.ID != r.id("st-1") || in.Video.Author.Username != "brave-otter" || in.Video.PlaybackURL != "https://x/p" || in.Video.DurationMillis != 12_000 {
		t.Errorf("the plugin was told %+v", in.Video)
	}
	if got := keys(in.PluginData["preMetadata"]); !slices.Equal(got, []string{`first={"n":1}`, `second=["n",2]`}) || len(in.PluginData) != 3 {
		t.Errorf("plugin data %v", in.PluginData)
	}
	if raw := r.events("preValidate.duration_plugin")[0].Detail; strings.Contains(string(raw), "pluginData") {
		t.Errorf("there is plugin data at preValidate: %s", raw)
	}
	if n := len(r.events("LifeCycleStarted")); n != 1 {
		t.Errorf("LifeCycleStarted %d times", n)
	}
	if n := r.metric("serverlessvideo_plugin_runs_total", "preMetadata", "success"); n != 2 {
		t.Errorf("%v successful runs at preMetadata, want 2", n)
	}
}

func noPlugins(t *testing.T, r *rig) {
	r.start()
	r.ready("st-1", 1)
	d := r.complete("st-1")
	if d.Plugins.Status != "" {
		t.Errorf("%+v", d.Plugins)
	}
	if body := string(r.events("LifeCycleComplete")[0].Detail); !strings.Contains(body, `"plugins":{"postMetadata":[],"postValidate":[],"preMetadata":[],"preValidate":[]}`) {
		t.Errorf("outputs: %s", body)
	}
}

func tooShortIsInvalid(t *testing.T, r *rig) {
	r.options.BuiltIns = []pluginmanager.BuiltIn{duration()}
	r.plugin("never", "postValidate", 0, func(event.PluginInvocation) json.RawMessage {
		t.Error("a later hook ran")
		return nil
	})
	r.start()
	r.ready("st-1", 4_200)
	d := r.complete("st-1")
	want := event.LifeCycleResult{
		Status: "invalid", Cause: "plugin-duration_plugin", Plugin: "duration_plugin", Hook: "preValidate",
		Reason: "the video is 4.2 s long; it must be longer than 10 s",
	}
	eventtest.Example(t, "LifeCycleComplete.invalid", r.events("LifeCycleComplete")[0],
		r.id("st-1"), "st-01jdmq8x4rv3k5w7y9a2c4e6gh", "alice", "01jdmq7b2p0s8t6v4x1z3a5c7e",
		"https://x/s", "https://tv.example.com/vod/st-01jdmq8x4rv3k5w7y9a2c4e6gh/master.m3u8",
		"https://x/p", "https://tv.example.com/vod/st-01jdmq8x4rv3k5w7y9a2c4e6gh/video.mp4",
		"https://x/t", "https://tv.example.com/vod/st-01jdmq8x4rv3k5w7y9a2c4e6gh/thumbnail.jpg")
	got := d.Plugins
	if keys := keys(got.Outputs["preValidate"]); len(keys) != 1 || len(got.Outputs) != 1 {
		t.Errorf("outputs %v", got.Outputs)
	}
	got.Outputs = nil
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := r.metric("serverlessvideo_plugin_runs_total", "preValidate", "invalid"); n != 1 {
		t.Errorf("%v invalid runs, want 1", n)
	}
	if f := r.failures(); len(f) != 0 {
		t.Errorf("a refusal is no failure: %v", f)
	}
}

func outcomes(r *rig) {
	type p struct {
		name, hook string
		limit      time.Duration
		script     script
	}
	const short = 150 * time.Millisecond
	big := `{"x":"` + strings.Repeat("x", 21*1024) + `"}`
	tests := []struct {
		name           string
		plugins        []p
		status, cause  string
		plugin, reason string // reason: a part of it
		failures       []string
		passed         int // outputs in all
	}{
		{
			name: "a validator is silent", plugins: []p{{"v", "preValidate", short, silent}},
			status: "failed", cause: "timedout", plugin: "v", reason: "did not answer within 150ms",
			failures: []string{"preValidate v: v did not answer within 150ms"},
		},
		{
			name: "a validator's answer has another shape", plugins: []p{{"v", "preValidate", 0, says(`{"valid":"true"}`)}},
			status: "failed", cause: "plugin-v", plugin: "v", reason: "not true or false",
			failures: []string{`preValidate v: "valid" of the answer is not true or false: a validator answers {"valid": true} or {"valid": false, "reason": "…"}`},
		},
		{
			name: "a validator's answer is too large", plugins: []p{{"v", "preValidate", 0, says(big)}},
			status: "failed", cause: "plugin-v", plugin: "v", reason: "more than the 20480 allowed",
			failures: []string{"preValidate v: the answer has 21512 bytes, more than the 20480 allowed: put large results into the object store and answer where they are"},
		},
		{
			name:    "a refusal without a reason",
			plugins: []p{{"v", "preValidate", 0, says(`{"valid":false}`)}},
			status:  "invalid", cause: "plugin-v", plugin: "v", reason: "v gave no reason", passed: 1,
		},
		{
			name: "postValidate says no",
			plugins: []p{
				{"a", "postValidate", 0, says(`{"valid":false,"reason":"ugly"}`)},
				{"b", "postMetadata", 0, says(`{}`)},
			},
			failures: []string{"postValidate a: ugly"}, passed: 2,
		},
		{
			name: "later hooks fail in every way",
			plugins: []p{
				{"a", "postValidate", short, silent},
				{"b", "postValidate", 0, says(`7`)},
				{"c", "preMetadata", short, silent},
				{"d", "preMetadata", 0, says(big)},
				{"e", "preMetadata", 0, says(`"fine"`)},
				{"f", "postMetadata", short, silent},
			},
			failures: []string{
				"postMetadata f: f did not answer within 150ms",
				"postValidate a: a did not answer within 150ms",
				"postValidate b: the answer is no JSON object: a validator answers {\"valid\": true} or {\"valid\": false, \"reason\": \"…\"}",
				"preMetadata c: c did not answer within 150ms",
				"preMetadata d: the answer has 21512 bytes, more than the 20480 allowed: put large results into the object store and answer where they are",
			},
			passed: 1,
		},
	}
	for _, tt := range tests {
		r.run(testCase{tt.name, func(t *testing.T, r *rig) {
			for _, p := range tt.plugins {
				r.plugin(p.name, p.hook, p.limit, p.script)
			}
			r.start()
			r.ready("st-1", 12_000)
			got := r.complete("st-1").Plugins
			r.stop()
			if got.Status != tt.status || got.Cause != tt.cause || got.Plugin != tt.plugin || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("ended %+v", got)
			}
			passed := 0
			for _, outputs := range got.Outputs {
				passed += len(outputs)
			}
			if passed != tt.passed {
				t.Errorf("%d outputs, want %d: %v", passed, tt.passed, got.Outputs)
			}
			failures := r.failures()
			slices.Sort(failures)
			if !slices.Equal(failures, append([]string{}, tt.failures...)) {
				t.Errorf("failures %q\nwant %q", failures, tt.failures)
			}
		}})
	}
}

// One refusal ends the lifecycle at once, and the others' tokens with it.
func shortCircuit(t *testing.T, r *rig) {
	tokens := make(chan string, 1)
	r.plugin("slow", "preValidate", 0, func(in event.PluginInvocation) json.RawMessage {
		tokens <- in.TaskToken
		return nil
	})
	r.plugin("no", "preValidate", 0, says(`{"valid":false,"reason":"no"}`))
	r.start()
	r.ready("st-1", 12_000)
	if got := r.complete("st-1").Plugins; got.Status != "invalid" || got.Plugin != "no" || len(got.Outputs["preValidate"]) != 1 {
		t.Errorf("ended %+v", got)
	}
	r.answer("slow", <-tokens, `{"valid":true}`)
	if n := r.metric("serverlessvideo_plugin_answers_refused_total", "closed"); n != 1 {
		t.Errorf("%v answers came to a closed token, want 1", n)
	}
	if n := len(r.events("LifeCycleComplete")); n != 1 {
		t.Errorf("LifeCycleComplete %d times", n)
	}
}

// A refusal and a failure that are known together: the refusal counts.
func invalidWinsOverFailed(t *testing.T, r *rig) {
	r.plugin("broken", "preValidate", 0, silent)
	r.plugin("no", "preValidate", 0, silent)
	r.start()
	r.ready("st-1", 12_000)
	tokens := map[string]string{}
	for _, name := range []string{"broken", "no"} {
		tokens[name] = r.token("preValidate", name)
	}
	r.stop() // both answers come while nobody looks
	// They are taken in before the flow goes on.
	r.beforeFlows = func() {
		r.answer("broken", tokens["broken"], `"what?"`)
		r.answer("no", tokens["no"], `{"valid":false,"reason":"no"}`)
	}
	r.start()
	if got := r.complete("st-1").Plugins; got.Status != "invalid" || got.Plugin != "no" {
		t.Errorf("ended %+v", got)
	}
}

func wrongAnswers(t *testing.T, r *rig) {
	r.plugin("a", "preValidate", 0, silent)
	r.plugin("b", "preValidate", 0, silent)
	r.start()
	r.ready("st-1", 12_000)
	a, b := r.token("preValidate", "a"), r.token("preValidate", "b")
	refused := func(why string, n float64) {
		t.Helper()
		if got := r.metric("serverlessvideo_plugin_answers_refused_total", why); got != n {
			t.Errorf("%v answers refused as %s, want %v", got, why, n)
		}
	}
	r.answer("a", "no such token", `{"valid":true}`)
	refused("unknown", 1)
	r.answer("b", a, `{"valid":false}`) // b must not answer for a
	refused("foreign", 1)
	r.answer("", a, `{"valid":false}`)
	refused("foreign", 2)
	for _, detail := range []string{`{}`, `{"TaskToken":7}`, `{"TaskToken":""}`} {
		e := complete("a", a, `{}`)
		e.Detail = json.RawMessage(detail)
		r.deliver(t.Context(), e)
	}
	refused("malformed", 3)

	once := complete("a", a, `{"valid":true}`)
	r.deliver(t.Context(), once)
	r.deliver(t.Context(), once) // delivered again by the bus: nothing to say about that
	refused("used", 0)
	r.answer("a", a, `{"valid":false}`)
	refused("used", 1)
	r.answer("b", b, `{"valid":true}`)
	if got := r.complete("st-1").Plugins; got.Status != "" || len(got.Outputs["preValidate"]) != 2 {
		t.Errorf("ended %+v", got)
	}
}

func missingMessageFailsThePlugin(t *testing.T, r *rig) {
	r.plugin("m", "postMetadata", 0, silent)
	r.start()
	r.ready("st-1", 12_000)
	e := complete("m", r.token("postMetadata", "m"), `{}`)
	e.Detail = json.RawMessage(strings.Replace(string(e.Detail), "Message", "Massage", 1))
	r.deliver(t.Context(), e)
	r.complete("st-1")
	if f := r.failures(); len(f) != 1 || !strings.Contains(f[0], "no Message") {
		t.Errorf("failures %v", f)
	}
}

// Ten plugins answer 20 kB each: more than an event may carry with them all.
func answersThatAreTooLargeTogether(t *testing.T, r *rig) {
	for i := range 10 {
		r.plugin(fmt.Sprintf("m%d", i), "preMetadata", 0, says(`"`+strings.Repeat("x", 20*1024-2)+`"`))
	}
	r.plugin("last", "postMetadata", 0, says(`{"title":"T"}`))
	r.start()
	r.ready("st-1", 12_000)
	got := r.complete("st-1").Plugins
	if len(got.Outputs["preMetadata"]) != 8 && len(got.Outputs["preMetadata"]) != 9 {
		t.Errorf("%d large outputs", len(got.Outputs["preMetadata"]))
	}
	for _, f := range r.failures() {
		if !strings.Contains(f, "together") {
			t.Error(f)
		}
	}
}

// Everything is delivered three times and in any order: each effect comes once.
func chaos(t *testing.T, r *rig) {
	r.chaos = true
	r.options.BuiltIns = []pluginmanager.BuiltIn{duration()}
	for _, hook := range []string{"preValidate", "postValidate"} {
		r.plugin("v-"+hook, hook, 0, says(`{"valid":true}`))
	}
	for _, hook := range []string{"preMetadata", "postMetadata"} {
		r.plugin("m1-"+hook, hook, 0, says(`{"n":1}`))
		r.plugin("m2-"+hook, hook, 0, says(`{"n":2}`))
	}
	r.start()
	const videos = 6
	for i := range videos {
		id := fmt.Sprintf("st-%d", i)
		r.ready(id, 12_000)
		r.ready(id, 12_000)
	}
	for i := range videos {
		got := r.complete(fmt.Sprintf("st-%d", i)).Plugins
		if got.Status != "" || !slices.Equal(keys(got.Outputs["preMetadata"]), []string{`m1-preMetadata={"n":1}`, `m2-preMetadata={"n":2}`}) ||
			len(got.Outputs["preValidate"]) != 2 || len(got.Outputs["postMetadata"]) != 2 {
			t.Errorf("video %d ended %+v", i, got)
		}
	}
	r.stop()
	for _, detailType := range []string{"LifeCycleStarted", "LifeCycleComplete", "preValidate.duration_plugin", "postMetadata.m2-postMetadata"} {
		if n := len(r.events(detailType)); n != videos {
			t.Errorf("%s %d times, want %d", detailType, n, videos)
		}
	}
	if f := r.failures(); len(f) != 0 {
		t.Errorf("failures %v", f)
	}
}
