package pluginmanager_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// secondTime is silent at first.
func secondTime(message string) script {
	var asked atomic.Int32
	return func(event.PluginInvocation) json.RawMessage {
		if asked.Add(1) == 1 {
			return nil
		}
		return json.RawMessage(message)
	}
}

func (r *rig) status(flowID string, want flow.Status) flow.Info {
	r.t.Helper()
	var info flow.Info
	r.wait(flowID+" is "+string(want), func() bool {
		var err error
		info, err = r.engine.Status(context.Background(), flowID)
		return err == nil && info.Status == want
	})
	return info
}

// attempts returns the LifeCycleCompletes of a video, by attempt.
func (r *rig) attempts(id string) map[int]event.LifeCycleComplete {
	out := map[int]event.LifeCycleComplete{}
	for _, e := range r.events("LifeCycleComplete") {
		var d event.LifeCycleComplete
		if err := e.Decode(&d); err != nil {
			r.t.Fatal(err)
		}
		if d.ID == r.id(id) {
			out[d.Attempt] = d
		}
	}
	return out
}

func (r *rig) attempt(id string, n int) event.LifeCycleComplete {
	r.t.Helper()
	r.wait("the attempt is over", func() bool { _, ok := r.attempts(id)[n]; return ok })
	return r.attempts(id)[n]
}

// failOnce runs a lifecycle that a silent validator ends.
func failOnce(r *rig) (first flow.Info, life string) {
	r.t.Helper()
	r.plugin("v", "preValidate", 0, says(`{"valid":true}`))
	r.plugin("w", "preValidate", 300*time.Millisecond, secondTime(`{"valid":true}`))
	r.plugin("m", "postMetadata", 0, says(`{"title":"T"}`))
	r.start()
	r.ready("st-1", 12_000)
	if got := r.complete("st-1"); got.Plugins.Status != "failed" || got.Attempt != 0 {
		r.t.Fatalf("the first attempt ended %+v", got)
	}
	life = "life-" + r.id("st-1")
	return r.status(life, flow.Done), life
}

// A validator that did not answer in time is asked again; the answer of the
// other one is kept.
func retryAfterATimeLimit(t *testing.T, r *rig) {
	first, life := failOnce(r)
	plan, err := r.svc.PlanRetry(t.Context(), first)
	if err != nil || plan.NewID != life+".2" || !slices.Equal(plan.From, []string{"preValidate"}) {
		t.Fatalf("%+v, %v", plan, err)
	}
	if _, err := r.svc.RetryFlow(t.Context(), first, "postMetadata"); errs.CodeOf(err) != errs.Invalid {
		t.Errorf("from a hook that it did not reach: %v", err)
	}
	id, err := r.svc.RetryFlow(t.Context(), first, "")
	if err != nil || id != life+".2" {
		t.Fatalf("%q, %v", id, err)
	}
	got := r.attempt("st-1", 2)
	if got.Plugins.Status != "" || got.WorkflowExecutionID != id || got.RecordingS3KeyPrefix == "" {
		t.Errorf("the second attempt ended %+v", got)
	}
	if outputs := keys(got.Plugins.Outputs["preValidate"]); !slices.Equal(outputs, []string{`v={"valid":true}`, `w={"valid":true}`}) {
		t.Errorf("outputs %v", outputs)
	}
	for detailType, n := range map[string]int{"preValidate.v": 1, "preValidate.w": 2, "postMetadata.m": 1, "LifeCycleStarted": 2, "LifeCycleComplete": 2} {
		if got := len(r.events(detailType)); got != n {
			t.Errorf("%s %d times, want %d", detailType, got, n)
		}
	}
	for flowID, why := range map[string]string{life: "newer attempt", id: "passed"} {
		_, err := r.svc.RetryFlow(t.Context(), r.status(flowID, flow.Done), "")
		if errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), why) {
			t.Errorf("retrying %s: %v", flowID, err)
		}
	}
	if video := r.svc.FlowVideo(id); video != r.id("st-1") {
		t.Errorf("it is about %q", video)
	}
}

func retryFromAHook(t *testing.T, r *rig) {
	first, _ := failOnce(r)
	if _, err := r.svc.RetryFlow(t.Context(), first, "preValidate"); err != nil {
		t.Fatal(err)
	}
	if got := r.attempt("st-1", 2); got.Plugins.Status != "" {
		t.Errorf("it ended %+v", got)
	}
	if n := len(r.events("preValidate.v")); n != 2 {
		t.Errorf("the one that passed was asked %d times, want 2", n)
	}
}

// A lifecycle that was cancelled and is retried at once goes on: no plugin is
// asked twice, and the answer counts.
func retryGoesOn(t *testing.T, r *rig) {
	r.plugin("v", "preValidate", 0, says(`{"valid":true}`))
	r.plugin("m", "preMetadata", 0, silent)
	r.start()
	r.ready("st-1", 12_000)
	token := r.token("preMetadata", "m")
	life := "life-" + r.id("st-1")
	running := r.status(life, flow.Running)
	if _, err := r.svc.RetryFlow(t.Context(), running, ""); errs.CodeOf(err) != errs.Conflict {
		t.Errorf("retrying what runs: %v", err)
	}
	if err := r.engine.Cancel(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	cancelled := r.status(life, flow.Cancelled)
	if plan, err := r.svc.PlanRetry(t.Context(), cancelled); err != nil || plan.NewID != "" || plan.Refusal != "" {
		t.Errorf("%+v, %v", plan, err)
	}
	r.wait("it goes on", func() bool {
		id, err := r.svc.RetryFlow(t.Context(), cancelled, "")
		if err != nil && errs.CodeOf(err) != errs.Conflict {
			t.Fatal(err)
		}
		return id == life && err == nil
	})
	r.answer("m", token, `{"title":"T"}`)
	if got := r.complete("st-1"); got.Plugins.Status != "" || got.Attempt != 0 || len(got.Plugins.Outputs["preMetadata"]) != 1 {
		t.Errorf("it ended %+v", got)
	}
	for _, detailType := range []string{"preValidate.v", "preMetadata.m", "LifeCycleStarted", "LifeCycleComplete"} {
		if n := len(r.events(detailType)); n != 1 {
			t.Errorf("%s %d times, want once", detailType, n)
		}
	}
}

// The video of a lifecycle that was cancelled does not wait for ever; and then a
// retry is a new attempt.
func cancelledIsTold(t *testing.T, r *rig) {
	r.plugin("w", "preValidate", 0, secondTime(`{"valid":true}`))
	r.videos = []event.RecordingReadyEvent{r.recording("st-1", 12_000)}
	r.start()
	reconcile := func() {
		t.Helper()
		if err := r.svc.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reconcile()
	r.token("preValidate", "w")
	life := "life-" + r.id("st-1")
	reconcile()
	if err := r.engine.Cancel(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	cancelled := r.status(life, flow.Cancelled)
	r.wait("the run lets go", func() bool { return !r.engine.Running(life) })
	reconcile()
	reconcile()
	if got := r.complete("st-1"); got.Plugins.Status != "failed" || !strings.Contains(got.Plugins.Reason, "cancelled") {
		t.Errorf("it ended %+v", got)
	}
	id, err := r.svc.RetryFlow(t.Context(), cancelled, "")
	if err != nil || id != life+".2" {
		t.Fatalf("%q, %v", id, err)
	}
	if got := r.attempt("st-1", 2); got.Plugins.Status != "" {
		t.Errorf("the second attempt ended %+v", got)
	}
	if n := len(r.events("LifeCycleComplete")); n != 2 {
		t.Errorf("LifeCycleComplete %d times, want 2", n)
	}
}

// The node dies after a retry is noted and before its flow is started.
func retryWithoutAFlow(t *testing.T, r *rig) {
	_, life := failOnce(r)
	err := r.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO plugin_lifecycles (flow_id, video_id, channel, started_at, ended_at, status, answer_bytes)
			VALUES ($1, $2, 'alice', $3, 0, '', 0)`, life+".2", r.id("st-1"), store.Now())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.svc.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.attempt("st-1", 2); got.Plugins.Status != "" {
		t.Errorf("it ended %+v", got)
	}
}
