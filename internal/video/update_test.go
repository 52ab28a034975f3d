package video_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// Who sees a valid video, by its visibility.
func TestVisibility(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, id := range []string{"public", "unlisted", "private"} {
			f.publish(id, event.LifeCycleResult{})
			f.describe(id, `{"event":"conf26","visibility":"`+id+`"}`)
		}
		nobody, other := context.Background(), as("bob", identity.Broadcaster)
		owner, admin := as("alice"), as("root", identity.Admin)
		for _, tt := range []struct {
			id     string
			ctx    context.Context
			who    string
			sees   bool
			shared bool // a shared cache may keep its media
		}{
			{"public", nobody, "nobody", true, true},
			{"unlisted", nobody, "nobody", true, true},
			{"unlisted", other, "another", true, true},
			{"private", nobody, "nobody", false, false},
			{"private", other, "another", false, false},
			{"private", owner, "the owner", true, false},
			{"private", admin, "an admin", true, false},
		} {
			status := http.StatusNotFound
			if tt.sees {
				status = http.StatusOK
			}
			got := f.call(tt.ctx, "GET", "/api/video/"+tt.id, "").Want(status)
			if cc := got.Header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("%s gets %s with Cache-Control %q", tt.who, tt.id, cc)
			}
			if err := f.MayRead(tt.ctx, tt.id); (err == nil) != tt.sees || err != nil && errs.CodeOf(err) != errs.NotFound {
				t.Errorf("%s reads the history of %s: %v", tt.who, tt.id, err)
			}
			_, _, privately, err := f.MediaAccess(tt.ctx, tt.id)
			if (err == nil) != tt.sees || tt.sees && privately == tt.shared {
				t.Errorf("%s plays %s: privately %v, %v", tt.who, tt.id, privately, err)
			}
		}
		for _, path := range []string{
			"/api/videos", "/api/videos/conf26", "/api/videos/conf26/preview", "/api/channel/alice/videos", "/api/videos?q=brave",
		} {
			for _, ctx := range []context.Context{nobody, owner, admin} {
				if got, _ := f.list(ctx, path); !slices.Equal(got, []string{"public"}) {
					t.Errorf("%s lists %v", path, got)
				}
			}
		}
		if got, _ := f.list(owner, "/api/channel/videos"); !slices.Equal(got, []string{"private", "unlisted", "public"}) {
			t.Errorf("the owner's list is %v", got)
		}
		for id, want := range map[string]bool{"public": true, "unlisted": false, "private": false, "none": false} {
			if got, err := f.Public(nobody, id); err != nil || got != want {
				t.Errorf("%s is public: %v, %v", id, got, err)
			}
		}
	})
}

func TestUpdate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(recordingEnd("st-1"))
		f.hear(mp4Complete("st-1"))
		// What is typed before the plugins answer wins over them.
		f.describe("st-1", `{"description":" one \r\ntwo\u0007\n","tags":[" a  b ","a b","c",""],"visibility":"private","event":"conf26"}`)
		if got := f.saying("VideoStatusUpdated"); len(got) != 0 {
			t.Errorf("a video that is not valid yet is announced: %s", got[0].Detail)
		}
		f.hear(lifecycleComplete("st-1", titled("theirs", "x")))
		v := f.get(as("alice"), "st-1")
		if v.Title != "theirs" || v.Description != "one \ntwo" || !slices.Equal(v.Tags, []string{"a b", "c"}) || v.Visibility != "private" || v.Event != "conf26" {
			t.Errorf("video %+v", v)
		}
		f.describe("st-1", `{"visibility":"private"}`) // no change: nothing to say
		f.describe("st-1", `{"visibility":"public","title":"mine"}`)
		said := f.saying("VideoStatusUpdated")
		if len(said) != 2 || said[0].ID == said[1].ID {
			t.Fatalf("%d updates, want the lifecycle's and one of the change", len(said))
		}
		var d event.VideoStatusUpdated
		if err := said[1].Decode(&d); err != nil {
			t.Fatal(err)
		}
		if d.Status != "valid" || d.Title != "mine" || !slices.Equal(d.Tags, []string{"a b", "c"}) || d.ID != "st-1" ||
			d.ChannelName != "alice" || d.PlaybackURL == "" || d.Author.Username != "brave-otter" || d.Plugins.Status != "" {
			t.Errorf("said %+v", d)
		}
		f.describe("st-1", `{"tags":[],"description":""}`)
		if v := f.get(context.Background(), "st-1"); !slices.Equal(v.Tags, []string{"x"}) || v.Description != "" {
			t.Errorf("emptied: %+v", v)
		}
		f.call(as("root", identity.Admin), "PATCH", "/api/video/st-1", `{"visibility":"unlisted"}`).Want(http.StatusOK)
		for body, status := range map[string]int{
			`{"visibility":"secret"}`: http.StatusBadRequest,
			`{"visibility":""}`:       http.StatusBadRequest,
			`{"tags":"a"}`:            http.StatusBadRequest,
			`{"tags":[` + strings.Repeat(`"x",`, 50) + `"y"]}`:    http.StatusBadRequest,
			`{"description":"` + strings.Repeat("x", 5001) + `"}`: http.StatusBadRequest,
			`{"description":"` + strings.Repeat("ä", 5000) + `"}`: http.StatusOK,
			`{"title":"` + strings.Repeat("x", 201) + `"}`:        http.StatusBadRequest,
			`{"event":"` + strings.Repeat("x", 65) + `"}`:         http.StatusBadRequest,
		} {
			f.call(as("alice"), "PATCH", "/api/video/st-1", body).Want(status)
		}
		f.describe("st-1", `{"visibility":"private"}`)
		f.call(as("bob"), "PATCH", "/api/video/st-1", `{"title":"x"}`).Want(http.StatusNotFound).Problem()
	})
}
