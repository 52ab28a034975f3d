package video_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// simulated is a recording of alice's that ends again.
func simulated(id, original string) event.Envelope {
	return event.New(event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{
		RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: id,
		RecordingS3KeyPrefix: "recordings/alice/" + original, RecordingDurationMS: 11_900,
	}})
}

// Admins alone see a simulated video, and nobody finds it.
func TestSimulatedVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		f.hear(mp4Complete("sim-1-1")) // first: the row is made by it
		f.hear(simulated("sim-1-1", "st-1"))
		admin, owner, nobody := as("root", identity.Admin), as("alice", identity.Broadcaster), context.Background()
		for range 2 { // while it is processed, and when it is valid
			for who, ctx := range map[string]context.Context{"the owner": owner, "nobody": nobody} {
				if err := f.MayRead(ctx, "sim-1-1"); errs.CodeOf(err) != errs.NotFound {
					t.Errorf("%s reads about it: %v", who, err)
				}
				if _, _, _, err := f.MediaAccess(ctx, "sim-1-1"); errs.CodeOf(err) != errs.NotFound {
					t.Errorf("%s plays it: %v", who, err)
				}
				f.call(ctx, "GET", "/api/video/sim-1-1", "").Want(http.StatusNotFound)
				for _, path := range []string{"/api/videos", "/api/channel/alice/videos", "/api/videos?q=brave-otter"} {
					if ids, _ := f.list(ctx, path); !slices.Equal(ids, []string{"st-1"}) {
						t.Errorf("%s for %s: %v", path, who, ids)
					}
				}
			}
			for _, path := range []string{"/api/channel/videos", "/api/channel/videos?q=brave-otter"} {
				if ids, _ := f.list(owner, path); !slices.Equal(ids, []string{"st-1"}) {
					t.Errorf("%s: %v", path, ids)
				}
			}
			for _, method := range []string{http.MethodDelete, http.MethodPatch} {
				f.call(owner, method, "/api/video/sim-1-1", `{}`).Want(http.StatusNotFound)
			}
			_, prefix, privately, err := f.MediaAccess(admin, "sim-1-1")
			if err != nil || !privately || prefix != "recordings/alice/st-1" {
				t.Errorf("an admin plays %s, privately %v, %v", prefix, privately, err)
			}
			if public, err := f.Public(nobody, "sim-1-1"); public || err != nil {
				t.Errorf("everybody may hear of it: %v, %v", public, err)
			}
			f.call(admin, http.MethodPatch, "/api/video/sim-1-1", `{"visibility":"public"}`).Want(http.StatusConflict)
			f.hear(lifecycleComplete("sim-1-1", event.LifeCycleResult{}))
		}
		if v := f.get(admin, "sim-1-1"); v.Status != "valid" || v.Visibility != "private" || v.Author.Username != "brave-otter" {
			t.Errorf("%+v", v)
		}
		if ready := f.saying("recording-ready"); len(ready) != 2 {
			t.Errorf("%d are ready, want both", len(ready))
		}
	})
}

// What a simulation replays is the newest real recordings, whatever became of
// them.
func TestLastRecordings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, id := range []string{"st-1", "st-2", "st-3", "st-4"} {
			f.hear(recordingEnd(id))
			f.tick()
		}
		f.hear(mp4Failed("st-2"))
		f.describe("st-3", `{"title":"The third"}`)
		f.hear(simulated("sim-1-1", "st-2"))
		f.hear(mp4Complete("st-5")) // its recording has not ended
		if err := f.Delete(as("alice"), "st-4"); err != nil {
			t.Fatal(err)
		}
		got, err := f.LastRecordings(t.Context(), 2)
		if err != nil || len(got) != 2 || got[0].Video != "st-3" || got[0].Title != "The third" || got[0].Channel != "alice" ||
			got[0].Prefix != "recordings/alice/st-3" || got[0].DurationMillis != 11_900 || got[1].Video != "st-2" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// Whatever is done to a simulated video, the recording that it shows stays.
func TestForgetSimulated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		f.put("recordings/alice/st-1/source/1.m4s", "videos/st-1/video.mp4", "videos/sim-1-10/video.mp4")
		admin := as("root", identity.Admin)
		check := func(what string, left ...string) {
			t.Helper()
			if f.objectsUnder("recordings/alice/st-1/") != 1 || f.objectsUnder("videos/st-1/") != 1 {
				t.Fatalf("%s took the original's objects", what)
			}
			if got, err := f.Simulated(t.Context()); err != nil || !slices.Equal(got, left) {
				t.Errorf("after %s there are %v, want %v, %v", what, got, left, err)
			}
		}
		f.hear(simulated("sim-1-1", "st-1"))
		f.hear(mp4Complete("sim-1-1"))
		f.put("videos/sim-1-1/video.mp4", "videos/sim-1-1/storyboard-1.jpg")
		check("its making", "sim-1-1", "sim-1-10")
		for _, want := range []bool{true, false} {
			if found, err := f.ForgetSimulated(t.Context(), "sim-1-1"); err != nil || found != want {
				t.Errorf("forgotten: %v, %v", found, err)
			}
			check("forgetting it", "sim-1-10")
		}
		// News that comes late, or again, makes no more than another can forget.
		f.hear(mp4Complete("sim-1-1"))
		f.hear(simulated("sim-1-1", "st-1"))
		f.put("videos/sim-1-1/video.mp4")
		f.call(admin, http.MethodDelete, "/api/video/sim-1-1", "").Want(http.StatusNoContent)
		for _, e := range f.saying("VideoDeleted") {
			f.hear(e)
		}
		if err := f.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if n := f.objectsUnder("videos/sim-1-1/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		check("its deletion", "sim-1-1", "sim-1-10")
		for _, id := range []string{"sim-1-1", "sim-1-10"} {
			if found, err := f.ForgetSimulated(t.Context(), id); err != nil || !found {
				t.Errorf("forgotten: %v, %v", found, err)
			}
		}
		check("all")
		for _, id := range []string{"st-1", "", "sim-/../st-1", "sim-1/2"} {
			if _, err := f.ForgetSimulated(t.Context(), id); errs.CodeOf(err) != errs.Invalid {
				t.Errorf("%q: %v", id, err)
			}
		}
		check("what is not one")
		f.get(admin, "st-1")
	})
}

// Nobody but the simulator speaks of simulated videos, and it of no others.
func TestSourceAndIDBelongTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(simulated("st-1", "st-1"))
		f.hear(recordingEnd("sim-1-1"))
		admin := as("root", identity.Admin)
		for _, id := range []string{"st-1", "sim-1-1"} {
			if err := f.MayRead(admin, id); errs.CodeOf(err) != errs.NotFound {
				t.Errorf("there is a video %s: %v", id, err)
			}
		}
	})
}
