package pluginmanager_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// deletes tells the service that a video was deleted, as the catalogue does.
func (r *rig) deletes(id string) {
	r.deleted.Store(r.id(id), true)
	r.deliver(context.Background(), event.New(event.VideoDeleted{ChannelName: "alice", ID: r.id(id)}))
}

// wantNothing looks for what is kept of a video.
func (r *rig) wantNothing(id string) {
	r.t.Helper()
	r.wantNothingOf(r.id(id))
}

func (r *rig) wantNothingOf(video string) {
	r.t.Helper()
	for what, query := range map[string]string{
		"lifecycles": "SELECT count(*) FROM plugin_lifecycles WHERE video_id = $1",
		"tasks":      "SELECT count(*) FROM plugin_tasks WHERE video_id = $1",
		"answers":    "SELECT count(*) FROM plugin_answers WHERE flow_id = 'life-' || $1",
		"receipts":   "SELECT count(*) FROM receipts WHERE scope = 'flow:life-' || $1",
	} {
		var n int
		if err := r.db.Read().QueryRow(query, video).Scan(&n); err != nil || n != 0 {
			r.t.Errorf("%d %s of %s are left (%v)", n, what, video, err)
		}
	}
	if flows, err := r.engine.IDs(context.Background(), "life-"+video); err != nil || len(flows) != 0 {
		r.t.Errorf("the flows %v are left (%v)", flows, err)
	}
}

// deletedVideo deletes videos whose lifecycle runs, has ended, and never began.
func deletedVideo(t *testing.T, r *rig) {
	r.plugin("quick", "preValidate", 0, says(`{"valid":true}`))
	r.plugin("slow", "postMetadata", time.Minute, silent)
	r.start()
	r.ready("running", 12_000)
	r.ready("kept", 12_000)
	token := r.token("postMetadata", "slow")
	r.wait("both are asked", func() bool { return len(r.events("postMetadata.slow")) == 2 })
	r.deletes("running")
	r.wantNothing("running")
	r.answer("slow", token, `{}`)
	for _, e := range r.events("postMetadata.slow") {
		var in event.PluginInvocation
		if err := e.Decode(&in); err != nil {
			t.Fatal(err)
		}
		r.answer("slow", in.TaskToken, `{}`)
	}
	r.complete("kept") // the other one goes on
	r.deletes("kept")
	r.deletes("never")
	for _, id := range []string{"running", "kept", "never"} {
		r.ready(id, 12_000)
		r.deletes(id)
		r.wantNothing(id)
	}
	if got := len(r.events("LifeCycleComplete")); got != 1 {
		t.Errorf("LifeCycleComplete %d times, want once", got)
	}
}

// deletedBetweenSteps deletes a video whose plugins are at work, before that is
// heard: its lifecycle ends without a word.
func deletedBetweenSteps(t *testing.T, r *rig) {
	r.plugin("p", "preValidate", time.Minute, silent)
	r.start()
	r.ready("st", 12_000)
	token := r.token("preValidate", "p")
	r.deleted.Store(r.id("st"), true)
	r.answer("p", token, `{"valid":true}`)
	r.wait("the lifecycle ends", func() bool {
		info, err := r.engine.Status(context.Background(), "life-"+r.id("st"))
		return err == nil && info.Status.Final()
	})
	if got := len(r.events("LifeCycleComplete")); got != 0 {
		t.Error("the lifecycle of a deleted video is said to be complete")
	}
	r.deletes("st")
	r.wantNothing("st")
}

// deletedWhileRetried is deletedBetweenSteps for a lifecycle that is tried again.
func deletedWhileRetried(t *testing.T, r *rig) {
	var asked atomic.Int32
	r.plugin("p", "preValidate", time.Minute, func(event.PluginInvocation) json.RawMessage {
		if asked.Add(1) == 1 {
			return json.RawMessage(`{"valid":false,"reason":"no"}`)
		}
		return nil
	})
	r.start()
	r.ready("st", 12_000)
	r.complete("st")
	life := "life-" + r.id("st")
	if _, err := r.svc.RetryFlow(t.Context(), r.status(life, flow.Done), "preValidate"); err != nil {
		t.Fatal(err)
	}
	r.wait("it is asked again", func() bool { return len(r.events("preValidate.p")) == 2 })
	var in event.PluginInvocation
	if err := r.events("preValidate.p")[1].Decode(&in); err != nil {
		t.Fatal(err)
	}
	r.deleted.Store(r.id("st"), true)
	r.answer("p", in.TaskToken, `{"valid":true}`)
	r.status(life+".2", flow.Done)
	if got := len(r.events("LifeCycleComplete")); got != 1 {
		t.Errorf("LifeCycleComplete %d times, want that of the first attempt alone", got)
	}
	if _, err := r.svc.RetryFlow(t.Context(), r.status(life, flow.Done), ""); err == nil {
		t.Error("the lifecycle of a deleted video is retried")
	}
	r.deletes("st")
	r.wantNothing("st")
}
