package video_test

import (
	"context"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// TestAttempts: whatever order the news of two attempts comes in, the video ends
// as the last one says.
func TestAttempts(t *testing.T) {
	started := func(n int) event.Envelope {
		return event.New(event.MP4ProcessingStarted{ChannelName: "alice", ID: "st-1", Attempt: n})
	}
	failed := func(n int) event.Envelope {
		return event.New(event.MP4ProcessingFailed{ChannelName: "alice", ID: "st-1", Reason: "no key frame", Attempt: n})
	}
	ofOldBuild := event.New(event.MP4ProcessingFailed{ChannelName: "alice", ID: "st-1", Reason: "no key frame"})
	for name, tt := range map[string]struct {
		say    []event.Envelope
		status string
	}{
		"it is tried again":             {[]event.Envelope{started(1), failed(1), started(2)}, "processing"},
		"after a build without numbers": {[]event.Envelope{ofOldBuild, started(2)}, "processing"},
		"it fails again":                {[]event.Envelope{failed(1), started(2), failed(2)}, "failed"},
		"the end comes first":           {[]event.Envelope{failed(1), failed(2), started(2)}, "failed"},
		"old news comes late":           {[]event.Envelope{started(2), failed(2), started(3), failed(1)}, "processing"},
		"all is told backwards":         {[]event.Envelope{failed(2), started(2), failed(1), started(1)}, "failed"},
		"it succeeds":                   {[]event.Envelope{failed(1), started(2), mp4Complete("st-1")}, "processing"},
		"success comes first":           {[]event.Envelope{failed(1), mp4Complete("st-1"), started(2), failed(1)}, "processing"},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFixture(t, db)
				f.hear(recordingEnd("st-1"))
				for _, e := range tt.say {
					f.hear(e)
					f.hear(e)
				}
				if v := f.get(as("alice"), "st-1"); v.Status != tt.status || (v.Reason != "") != (tt.status == "failed") {
					t.Errorf("it is %s (%s), want %s", v.Status, v.Reason, tt.status)
				}
			})
		})
	}
}

func TestStoryboard(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(recordingEnd("st-1"))
		if v := f.get(as("alice"), "st-1"); v.Storyboard != "" {
			t.Errorf("before it is made: %q", v.Storyboard)
		}
		f.hear(event.New(event.MP4ProcessingComplete{ChannelName: "alice", ID: "st-1", Storyboard: "https://elsewhere/x.vtt"}))
		if v := f.get(as("alice"), "st-1"); v.Storyboard != "https://x/vod/st-1/storyboard.vtt" {
			t.Errorf("it is at %q", v.Storyboard)
		}
	})
}

func TestMayChange(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		f.hear(recordingEnd("st-new"))
		for _, tt := range []struct {
			ctx  context.Context
			id   string
			want errs.Code
		}{
			{context.Background(), "st-1", errs.Unauthenticated}, {as("bob"), "st-1", errs.Forbidden}, {as("bob"), "st-new", errs.NotFound},
			{as("alice"), "st-none", errs.NotFound}, {as("alice"), "st-1", ""}, {as("alice"), "st-new", ""},
		} {
			if got := errs.CodeOf(f.MayChange(tt.ctx, tt.id)); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.id, got, tt.want)
			}
		}
	})
}

// TestLifecycleAttempts: a lifecycle that was retried may make the video valid;
// nothing that comes late takes that back.
func TestLifecycleAttempts(t *testing.T) {
	ended := func(attempt int, status string) event.Envelope {
		return event.New(event.LifeCycleComplete{Attempt: attempt, Lifecycle: eventtest.Lifecycle("st-1", "alice",
			event.LifeCycleResult{Status: status, Reason: "no answer"})})
	}
	for name, tt := range map[string]struct {
		say    []event.Envelope
		status string
	}{
		"it passes when retried":      {[]event.Envelope{ended(0, "failed"), ended(2, "")}, "valid"},
		"a refusal is taken back":     {[]event.Envelope{ended(0, "invalid"), ended(2, "")}, "valid"},
		"it fails again":              {[]event.Envelope{ended(0, "failed"), ended(2, "failed")}, "failed"},
		"it is refused then":          {[]event.Envelope{ended(0, "failed"), ended(2, "invalid")}, "invalid"},
		"the first comes late":        {[]event.Envelope{ended(2, ""), ended(0, "failed")}, "valid"},
		"the second comes late":       {[]event.Envelope{ended(0, "failed"), ended(3, ""), ended(2, "failed")}, "valid"},
		"a first one changes nothing": {[]event.Envelope{ended(0, "failed"), ended(0, "")}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFixture(t, db)
				f.hear(recordingEnd("st-1"))
				f.hear(mp4Complete("st-1"))
				for _, e := range tt.say {
					f.hear(e)
					f.hear(e)
				}
				if v := f.get(as("alice"), "st-1"); v.Status != tt.status || (v.Reason != "") != (tt.status != "valid") {
					t.Errorf("it is %s (%s), want %s", v.Status, v.Reason, tt.status)
				}
			})
		})
	}
}
