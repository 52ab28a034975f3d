package postprocess_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// api calls the operations through a real gateway, which holds the answers
// against the API's description.
func (n *node) api(t *testing.T) *apitest.Client {
	t.Helper()
	return apitest.New(t, func(g *gateway.Gateway) { n.service.Register(g.API()) })
}

func owner() identity.Principal { return identity.Principal{ID: "chan"} }

func processing(t *testing.T, a *apitest.Answer, status int) postprocess.Processing {
	t.Helper()
	var p postprocess.Processing
	if a.Status != status {
		t.Fatalf("%d %s, want %d", a.Status, a.Body, status)
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTryAgain: a recording that cannot be read fails; when its owner says so it
// is tried again, as often as needed, and each attempt is told apart.
func TestTryAgain(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		var broken atomic.Bool
		broken.Store(true)
		n := open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				if broken.Load() {
					return postprocess.Media{}, errors.New("the object store is away")
				}
				return real.Remux(ctx, prefix, w, progress)
			})
		})
		n.start(t)
		stream := streamID()
		record(t, n.objects, "recordings/chan/"+stream)
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)

		api, path := n.api(t).As(owner()), "/api/video/"+stream+"/processing"
		reason := "The MP4 could not be made: the recording cannot be read."
		first := processing(t, api.Call("GET", path, nil), http.StatusOK)
		if first.State != "failed" || first.Reason != reason || first.Attempt != 1 || first.Compute != "local" {
			t.Errorf("after the first attempt: %+v", first)
		}
		if second := processing(t, api.Call("POST", path, nil), http.StatusAccepted); second.State == "failed" || second.Attempt != 2 || second.Reason != "" {
			t.Errorf("the second attempt: %+v", second)
		}
		n.await(t, stream+".2", flow.Done)
		if got := last[event.MP4ProcessingFailed](t, n); got.Attempt != 2 {
			t.Errorf("failed: %+v", got)
		}
		broken.Store(false)
		processing(t, api.Call("POST", path, nil), http.StatusAccepted)
		n.await(t, stream+".3", flow.Done)
		third := processing(t, api.Call("GET", path, nil), http.StatusOK)
		media := third.Media
		if third.State != "done" || third.Percent != 100 || third.Attempt != 3 || third.Reason != "" || media == nil {
			t.Fatalf("after the third attempt: %+v", third)
		}
		size := int64(len(read(t, n.objects, "videos/"+stream+"/video.mp4")))
		want := postprocess.ProcessingMedia{
			Duration: media.Duration, Size: size, Width: 1920, Height: 1080, Codecs: []string{"avc1.42c028", "opus"}, FrameRate: media.FrameRate,
		}
		if !reflect.DeepEqual(*media, want) || media.Duration < 3900 || media.FrameRate < 9.5 || media.FrameRate > 10.5 {
			t.Errorf("media %+v", *media)
		}
		started, failed := "MP4ProcessingStarted", "MP4ProcessingFailed"
		if got := n.types(t); !slices.Equal(got, []string{started, failed, started, failed, started, "MP4ProcessingComplete"}) {
			t.Errorf("said %v", got)
		}
		if a := api.Call("POST", path, nil); a.Status != http.StatusConflict || !strings.Contains(string(a.Body), "is done") {
			t.Errorf("what is done is tried again: %d %s", a.Status, a.Body)
		}
	})
}

func TestWhoMayTryAgain(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, func(postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, _ string, _ io.Writer, _ func(done, total int64)) (postprocess.Media, error) {
				<-ctx.Done()
				return postprocess.Media{}, ctx.Err()
			})
		})
		n.start(t)
		stream, deleted := streamID(), streamID()
		n.mustHear(t, ended(stream))
		n.mustHear(t, ended(deleted))
		n.gone.Store(deleted, true)
		waitFor(t, "it is worked on", func() bool { state, _ := n.job(t, stream); return state == "processing" })
		admin := identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}}
		api := n.api(t)
		for _, tt := range []struct {
			who       *apitest.Client
			method    string
			id        string
			status    int
			condition string
		}{
			{api, "GET", stream, 401, "nobody is signed in"},
			{api, "POST", stream, 401, "nobody is signed in"},
			{api.As(identity.Principal{ID: "bob"}), "GET", stream, 403, "somebody else"},
			{api.As(identity.Principal{ID: "bob"}), "POST", stream, 403, "somebody else"},
			{api.As(owner()), "GET", stream, 200, "its owner"},
			{api.As(admin), "GET", stream, 200, "an admin"},
			{api.As(owner()), "POST", stream, 409, "it is worked on"},
			{api.As(admin), "POST", stream, 409, "it is worked on"},
			{api.As(owner()), "POST", deleted, 404, "it is deleted"},
			{api.As(owner()), "GET", "st-none", 404, "there is no job"},
			{api.As(owner()), "POST", "st-none", 404, "there is no job"},
		} {
			if a := tt.who.Call(tt.method, "/api/video/"+tt.id+"/processing", nil); a.Status != tt.status {
				t.Errorf("%s, %s: %d %s, want %d", tt.method, tt.condition, a.Status, a.Body, tt.status)
			}
		}
		waitFor(t, "it makes the MP4", func() bool { // the state is noted before the first step
			now := processing(t, api.As(owner()).Call("GET", "/api/video/"+stream+"/processing", nil), 200)
			return now.State == "processing" && now.Step == "mp4"
		})
	})
}

// TestStalledRecording: an object store that hangs fails the attempt, with words
// for the broadcaster.
func TestStalledRecording(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{RemuxStall: 50_000_000}, func(postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, _ string, _ io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				progress(1, 10)
				<-ctx.Done()
				return postprocess.Media{}, ctx.Err()
			})
		})
		n.start(t)
		stream := streamID()
		n.mustHear(t, ended(stream))
		n.await(t, stream, flow.Done)
		want := "The MP4 could not be made: reading the recording made no progress for 50ms and was stopped."
		if state, reason := n.job(t, stream); state != "failed" || reason != want {
			t.Errorf("%s: %s", state, reason)
		}
		emptyWorkDir(t, p)
	})
}
