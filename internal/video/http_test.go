package video_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// call makes a request as who is signed in in ctx, through a real gateway that
// holds the answer against the API's description.
func (f *fixture) call(ctx context.Context, method, path, body string) *apitest.Answer {
	f.t.Helper()
	if f.api == nil {
		f.api = apitest.New(f.t, func(g *gateway.Gateway) { f.Register(g.API()) })
	}
	api := f.api
	if p, ok := identity.From(ctx); ok {
		api = api.As(p)
	}
	if body == "" {
		return api.Call(method, path, nil)
	}
	return api.Call(method, path, body)
}

func (f *fixture) get(ctx context.Context, id string) video.Video {
	f.t.Helper()
	w := f.call(ctx, "GET", "/api/video/"+id, "")
	var v video.Video
	if err := json.Unmarshal(w.Body, &v); err != nil || w.Status != http.StatusOK {
		f.t.Fatalf("%d %s: %v", w.Status, w.Body, err)
	}
	return v
}

func (f *fixture) list(ctx context.Context, path string) (ids []string, next string) {
	f.t.Helper()
	w := f.call(ctx, "GET", path, "")
	var l store.List[video.Video]
	if err := json.Unmarshal(w.Body, &l); err != nil || w.Status != http.StatusOK || l.Count != len(l.Data) {
		f.t.Fatalf("%s: %d %s: %v", path, w.Status, w.Body, err)
	}
	ids = []string{}
	for _, v := range l.Data {
		ids = append(ids, v.ID)
	}
	return ids, l.NextPage
}

func TestShape(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{Outputs: event.PluginOutputs{"postMetadata": {output("a", `{"title":"T","tags":["x"]}`)}}})
		var got map[string]any
		w := f.call(context.Background(), "GET", "/api/video/st-1", "")
		if err := json.Unmarshal(w.Body, &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "createdAt")
		delete(got, "$schema")
		want := `{"author":{"username":"brave-otter"},"channel":"alice","duration":12000,"height":720,"id":"st-1",` +
			`"playbackURL":"https://x/vod/st-1/video.mp4","status":"valid","streamURL":"https://x/vod/st-1/master.m3u8",` +
			`"tags":["x"],"thumbnail":"https://x/vod/st-1/thumbnail.jpg","title":"T","visibility":"public","width":1280}`
		if b, _ := json.Marshal(got); string(b) != want {
			t.Errorf("got  %s\nwant %s", b, want)
		}
	})
}

func TestLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		var public []string
		for i := range 7 {
			id := fmt.Sprintf("st-%d", i)
			f.publish(id, event.LifeCycleResult{})
			public = append([]string{id}, public...)
		}
		f.publish("st-bad", event.LifeCycleResult{Status: "invalid", Reason: "secret"})
		f.hear(recordingEnd("st-new"))
		nobody, owner := context.Background(), as("alice")

		got, next := f.list(nobody, "/api/videos?limit=3")
		f.publish("st-9", event.LifeCycleResult{}) // added while somebody pages
		for next != "" {
			var more []string
			more, next = f.list(nobody, "/api/videos?limit=3&offset="+next)
			got = append(got, more...)
		}
		if !slices.Equal(got, public) {
			t.Errorf("pages hold %v, want %v", got, public)
		}
		if got, _ := f.list(nobody, "/api/channel/alice/videos"); len(got) != 8 || slices.Contains(got, "st-bad") {
			t.Errorf("alice's public videos: %v", got)
		}
		if got, next := f.list(nobody, "/api/channel/alice/videos?limit=2"); len(got) != 2 || next == "" {
			t.Errorf("alice's first two: %v, %q", got, next)
		} else if more, _ := f.list(nobody, "/api/channel/alice/videos?limit=2&offset="+next); slices.Contains(more, got[1]) || len(more) != 2 {
			t.Errorf("alice's next two: %v", more)
		}
		if got, _ := f.list(nobody, "/api/channel/bob/videos"); len(got) != 0 {
			t.Errorf("bob's: %v", got)
		}
		if got, _ := f.list(owner, "/api/channel/videos"); len(got) != 10 {
			t.Errorf("mine: %v", got)
		}
		if body := string(f.call(owner, "GET", "/api/channel/videos", "").Body); !strings.Contains(body, `"reason":"secret"`) {
			t.Error("the owner is not told the reason")
		}
		if body := string(f.call(nobody, "GET", "/api/channel/bob/videos", "").Body); !strings.Contains(body, `"data":[]`) {
			t.Errorf("an empty list is %s", body)
		}
		for _, path := range []string{
			"/api/videos?limit=101", "/api/videos?limit=-1", "/api/videos?limit=x", "/api/videos?offset=never",
			"/api/videos/a/preview?limit=500", "/api/videos/a%20b",
		} {
			f.call(nobody, "GET", path, "").Want(http.StatusBadRequest).Problem()
		}
		f.call(nobody, "GET", "/api/channel/videos", "").Want(http.StatusUnauthorized).Problem()
		f.call(nobody, "GET", "/api/video/st-bad", "").Want(http.StatusNotFound).Problem()
	})
}

func TestTitleAndEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		owner := as("alice")
		f.hear(recordingEnd("st-1"))
		f.hear(mp4Complete("st-1"))
		w := f.call(owner, "PATCH", "/api/video/st-1", `{"title":" My  talk ","event":"conf26"}`)
		if w.Status != http.StatusOK || !strings.Contains(string(w.Body), `"title":"My talk"`) {
			t.Fatalf("%d %s", w.Status, w.Body)
		}
		f.hear(lifecycleComplete("st-1", event.LifeCycleResult{Outputs: event.PluginOutputs{"postMetadata": {output("a", `{"title":"a machine's","tags":["x"]}`)}}}))
		if v := f.get(context.Background(), "st-1"); v.Title != "My talk" || v.Event != "conf26" || !slices.Equal(v.Tags, []string{"x"}) {
			t.Errorf("what the broadcaster typed did not win: %+v", v)
		}
		var d event.VideoStatusUpdated
		if err := f.saying("VideoStatusUpdated")[0].Decode(&d); err != nil || d.Title != "My talk" {
			t.Errorf("said %+v, %v", d, err)
		}
		f.publish("st-2", event.LifeCycleResult{})
		if got, _ := f.list(context.Background(), "/api/videos/conf26"); !slices.Equal(got, []string{"st-1"}) {
			t.Errorf("videos of conf26: %v", got)
		}
		preview := f.call(context.Background(), "GET", "/api/videos/conf26/preview", "")
		if cc := preview.Header.Get("Cache-Control"); cc != "public, max-age=5" || !strings.Contains(string(preview.Body), "st-1") {
			t.Errorf("preview %q %s", cc, preview.Body)
		}
		if w := f.call(owner, "PATCH", "/api/video/st-1", `{"title":""}`); !strings.Contains(string(w.Body), `"title":"a machine's"`) {
			t.Errorf("an emptied title is %s", w.Body)
		}
		for _, tt := range []struct {
			ctx    context.Context
			body   string
			status int
		}{
			{context.Background(), `{"title":"x"}`, http.StatusUnauthorized},
			{as("bob"), `{"title":"x"}`, http.StatusForbidden},
			{owner, `{"event":"no spaces"}`, http.StatusBadRequest},
			{owner, `{"status":"valid"}`, http.StatusBadRequest},
			{owner, `{"title":7}`, http.StatusBadRequest},
			{owner, `{`, http.StatusBadRequest},
		} {
			f.call(tt.ctx, "PATCH", "/api/video/st-1", tt.body).Want(tt.status).Problem()
		}
	})
}

func TestDeleteOverHTTP(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.publish("st-1", event.LifeCycleResult{})
		if w := f.call(as("alice"), "DELETE", "/api/video/st-1", ""); w.Status != http.StatusNoContent || len(w.Body) != 0 {
			t.Fatalf("%d %s", w.Status, w.Body)
		}
		if err := f.MayRead(as("alice"), "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Error(err)
		}
		if got, _ := f.list(as("alice"), "/api/channel/videos"); len(got) != 0 {
			t.Errorf("still listed: %v", got)
		}
	})
}
