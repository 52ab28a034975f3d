// Package scenario drives the real program with real clients through the life
// of a video, on good days and on bad ones.
package scenario

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// clip is what all scenarios publish. It takes ffmpeg a while to make.
var clip = sync.OnceValues(func() (*streamtest.Clip, error) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	return streamtest.MakeClip(ctx, streamtest.Picture{Width: 640, Height: 360}, 4)
})

// publish is live on a user's channel for a time, or until the publisher is
// stopped when it is 0.
func publish(t *testing.T, n *harness.Node, u harness.User, length time.Duration) *streamtest.Publisher {
	t.Helper()
	c, err := clip()
	if err != nil {
		t.Fatal(err)
	}
	p, err := streamtest.Publish(t.Context(), n.WHIP(u), u.Channel.StreamKey, streamtest.Options{
		Clips: []*streamtest.Clip{c}, Duration: length,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// stop ends a broadcast by WHIP DELETE once all is sent.
func stop(t *testing.T, p *streamtest.Publisher) {
	t.Helper()
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// liveStream waits until a user's channel is live and returns the stream's id.
func liveStream(t *testing.T, n *harness.Node, u harness.User) string {
	t.Helper()
	var ch struct {
		Live     bool   `json:"live"`
		StreamID string `json:"streamId"`
	}
	harness.Eventually(t, "the channel is live", func() error {
		if err := n.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil {
			return err
		}
		if !ch.Live {
			return fmt.Errorf("%+v", ch)
		}
		return nil
	})
	return ch.StreamID
}

// plays decodes what an address serves, whole, and fails at the first error. It
// uses the stream's own time base: frames that a busy machine sent late may be
// nearer to each other than the 1/30 s that ffmpeg would round them to.
func plays(t *testing.T, url string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	args = append([]string{"-v", "error", "-xerror", "-i", url}, append(args, "-enc_time_base", "-1", "-f", "null", "-")...)
	out, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg on %s: %v\n%s", url, err, out)
	}
}

// fetch downloads what must be there.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v: %.300s", url, resp.Status, err, b)
	}
	return b
}

// near says whether two durations differ by at most half a second.
func near(a, b time.Duration) bool { return math.Abs((a - b).Seconds()) <= 0.5 }

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// TestLifeOfAVideo follows a broadcast from the first packet to the published
// video, as the contract tells it.
func TestLifeOfAVideo(t *testing.T) {
	t.Parallel()
	n := harness.Start(t)
	u := n.AddUser("life@example.com", "broadcaster")
	owner, all := n.SignIn(u), n.Anonymous()
	mqtt := listenMQTT(t, n, "serverlessVideo-global")
	sse := listenSSE(t, n, "serverlessVideo-global")

	p := publish(t, n, u, 14*time.Second)
	id := liveStream(t, n, u)
	if status, _ := all.Do(http.MethodGet, "/vod/"+id+"/master.m3u8", nil); status != http.StatusNotFound {
		t.Errorf("on demand while live: %d, want 404", status)
	}
	harness.Eventually(t, "the live playlist is there", func() error {
		if status, body := all.Do(http.MethodGet, "/live/"+u.ID+"/master.m3u8", nil); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	plays(t, n.URL+"/live/"+u.ID+"/master.m3u8", "-t", "3")
	stop(t, p)

	// On demand as soon as it is known, before anything was made of it.
	owner.WaitVideo(id, "processing", "valid")
	plays(t, n.URL+"/vod/"+id+"/master.m3u8")
	v := owner.WaitVideo(id, "valid")
	if !near(ms(v.Duration), p.Sent()) {
		t.Errorf("the video is %s long, %s were sent", ms(v.Duration), p.Sent())
	}
	mp4 := filepath.Join(t.TempDir(), "video.mp4")
	if err := os.WriteFile(mp4, fetch(t, v.Playback), 0o600); err != nil {
		t.Fatal(err)
	}
	plays(t, mp4)
	if got := probe(t, mp4); !near(got, p.Sent()) {
		t.Errorf("the MP4 is %s long, %s were sent", got, p.Sent())
	}
	if picture := fetch(t, v.Thumbnail); http.DetectContentType(picture) != "image/jpeg" {
		t.Errorf("the thumbnail is %s", http.DetectContentType(picture))
	}

	var list harness.List[harness.Video]
	if err := all.Get("/api/videos", &list); err != nil || list.Count != 1 || list.Data[0].ID != id {
		t.Errorf("the public list: %+v, %v", list, err)
	}
	checkHistory(t, owner.History(id))
	for name, heard := range map[string]*heard{"MQTT": mqtt, "SSE": sse} {
		for _, what := range []string{
			"Stream State Change:Stream Start", "Recording State Change:Recording Start", "Stream State Change:Stream End",
			"Recording State Change:Recording End", "LifeCycleComplete:", "VideoStatusUpdated:valid",
		} {
			heard.wait(t, name, what)
		}
	}
	if status, body := owner.Do(http.MethodDelete, "/api/video/"+id, nil); status != http.StatusNoContent {
		t.Errorf("deleting: %d %s", status, body)
	}
	for _, path := range []string{"/api/video/" + id, "/vod/" + id + "/master.m3u8", "/vod/" + id + "/video.mp4", "/api/video/" + id + "/history"} {
		if status, _ := owner.Do(http.MethodGet, path, nil); status != http.StatusNotFound {
			t.Errorf("%s after the deletion: %d, want 404", path, status)
		}
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// probe returns the duration that ffprobe sees.
func probe(t *testing.T, path string) time.Duration {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(out)) + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func checkHistory(t *testing.T, entries []harness.Entry) {
	t.Helper()
	services, plugin, metrics := 0, false, 0
	for _, e := range entries {
		switch e.Type {
		case "service":
			services++
			plugin = plugin || strings.Contains(e.Key, "duration_plugin")
		case "metric":
			metrics++
		}
	}
	if services < 5 || !plugin || metrics == 0 {
		t.Errorf("the history tells too little: %+v", entries)
	}
}

// TestShortVideoIsInvalid: the built-in validator keeps out what is too short,
// and only the owner learns of it.
func TestShortVideoIsInvalid(t *testing.T) {
	t.Parallel()
	n := harness.Start(t)
	u := n.AddUser("short@example.com", "broadcaster")
	p := publish(t, n, u, 4*time.Second)
	id := liveStream(t, n, u)
	stop(t, p)
	v := n.SignIn(u).WaitVideo(id, "invalid")
	if !strings.Contains(v.Reason, "longer than 10 s") {
		t.Errorf("the reason is %q", v.Reason)
	}
	for _, path := range []string{"/api/video/" + id, "/vod/" + id + "/master.m3u8", "/vod/" + id + "/video.mp4"} {
		if status, _ := n.Anonymous().Do(http.MethodGet, path, nil); status != http.StatusNotFound {
			t.Errorf("%s for a stranger: %d, want 404", path, status)
		}
	}
	if status, _ := n.SignIn(u).Do(http.MethodGet, "/vod/"+id+"/video.mp4", nil); status != http.StatusOK {
		t.Errorf("the MP4 for the owner: %d, want 200", status)
	}
}
