package video_test

import (
	"context"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// eventOf is a video's event tag as its owner sees it.
func (f *fixture) eventOf(id string) string {
	f.t.Helper()
	var v struct{ Event string }
	f.call(as("alice"), "GET", "/api/video/"+id, "").Want(200).JSON(&v)
	return v.Event
}

func (f *fixture) tag(delivery, id, channel, tag string) {
	f.t.Helper()
	if err := f.TagByRule(context.Background(), delivery, id, channel, tag); err != nil {
		f.t.Fatal(err)
	}
}

func TestTagByRule(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		// Before anything else is known of the video, as on Stream Start.
		f.tag("msg_1", "st-1", "alice", "conf26")
		if known, err := f.Known(context.Background(), "st-1"); known || err != nil {
			t.Errorf("people could know of a tag alone: %v", err)
		}
		f.call(as("alice"), "GET", "/api/video/st-1", "").Want(404)
		f.publish("st-1", event.LifeCycleResult{})
		if got := f.eventOf("st-1"); got != "conf26" {
			t.Errorf("tagged %q", got)
		}
		f.call(context.Background(), "GET", "/api/videos/conf26", "").Want(200)

		// Of several rules the first one counts; people win, also with none.
		f.tag("msg_2", "st-1", "", "other")
		if got := f.eventOf("st-1"); got != "conf26" {
			t.Errorf("the second rule made it %q", got)
		}
		f.describe("st-1", `{"event":"mine"}`)
		f.tag("msg_3", "st-1", "", "other")
		if got := f.eventOf("st-1"); got != "mine" {
			t.Errorf("a rule made it %q", got)
		}
		f.describe("st-1", `{"event":""}`)
		f.tag("msg_4", "st-1", "", "other")
		if got := f.eventOf("st-1"); got != "" {
			t.Errorf("a rule made it %q", got)
		}

		// A valid video that changes is said, once; one that does not is not.
		f.publish("st-2", event.LifeCycleResult{})
		before := len(f.saying("VideoStatusUpdated"))
		f.tag("msg_5", "st-2", "alice", "conf26")
		f.tag("msg_5", "st-2", "alice", "conf26")
		f.tag("msg_6", "st-2", "alice", "conf26")
		if got := len(f.saying("VideoStatusUpdated")) - before; got != 1 {
			t.Errorf("said %d times", got)
		}
	})
}

func TestTagsThatAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		if err := f.Delete(as("alice"), "st-1"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			video, channel, tag string
			code                errs.Code
		}{
			{"st-1", "alice", "conf26", errs.Conflict},
			{"st-2", "alice", "two words", errs.Invalid},
			{"st-2", "", "conf26", errs.Invalid},
			{"a/b", "alice", "conf26", errs.Invalid},
		} {
			for range 2 { // a refusal leaves no receipt
				if err := f.TagByRule(context.Background(), "msg_1", c.video, c.channel, c.tag); errs.CodeOf(err) != c.code {
					t.Errorf("%+v: %v", c, err)
				}
			}
		}
		if known, err := f.Known(context.Background(), "st-2"); known || err != nil {
			t.Errorf("st-2 is known: %v", err)
		}
	})
}
