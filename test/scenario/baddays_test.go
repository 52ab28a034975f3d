package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/sdk"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// TestKilledWhileLive: when the publisher does not come back the recording ends
// at the last stored segment and the video is published.
func TestKilledWhileLive(t *testing.T) {
	t.Parallel()
	n := harness.Start(t, "--streaming-reconnect-window", "3s")
	u := n.AddUser("killed@example.com", "broadcaster")
	p := publish(t, n, u, 0)
	id := liveStream(t, n, u)
	harness.Eventually(t, "enough is sent", func() error {
		if p.Sent() < 15*time.Second {
			return fmt.Errorf("%s", p.Sent())
		}
		return nil
	})
	n.Kill()
	stored := segments(t, n, u, id)
	n.Start()

	v := n.SignIn(u).WaitVideo(id, "valid")
	if v.Duration < 11_000 || ms(v.Duration) > p.Sent()+time.Second {
		t.Errorf("the video is %s long; %s were sent before the kill", ms(v.Duration), p.Sent())
	}
	if after := segments(t, n, u, id); after != stored {
		t.Errorf("%d segments were stored, now there are %d", stored, after)
	}
	plays(t, v.StreamURL)
	plays(t, v.Playback)
	var ch struct {
		Live bool `json:"live"`
	}
	if err := n.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil || ch.Live {
		t.Errorf("the channel is still live: %+v, %v", ch, err)
	}
	// The channel is free again.
	_ = p.Close()
	again := publish(t, n, u, time.Second)
	stop(t, again)
}

// segments counts the stored media segments of a recording.
func segments(t *testing.T, n *harness.Node, u harness.User, id string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(n.Dir, "objects", "recordings", u.ID, id, "*", "*.m*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no segment is stored: %v", err)
	}
	return len(found)
}

// TestPublisherVanishes: nobody says goodbye; after 10 s without media the
// stream ends by itself and is published.
func TestPublisherVanishes(t *testing.T) {
	t.Parallel()
	n := harness.Start(t, "--streaming-reconnect-window", "5s")
	u := n.AddUser("vanishes@example.com", "broadcaster")
	p := publish(t, n, u, 12*time.Second)
	id := liveStream(t, n, u)
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Vanish(); err != nil {
		t.Fatal(err)
	}
	if v := n.SignIn(u).WaitVideo(id, "valid"); !near(ms(v.Duration), p.Sent()) {
		t.Errorf("the video is %s long, %s were sent", ms(v.Duration), p.Sent())
	}
}

// patient is a plugin outside the process that waits to be told to answer.
type patient struct {
	asked  chan struct{} // closed when it has been asked
	once   sync.Once
	answer chan struct{} // closed to let it answer
	runs   atomic.Int32
	stop   func()
}

const patientName = "patient_plugin"

// startPatient runs the plugin, and returns a node that knows it and has not
// been started.
func startPatient(t *testing.T) (*harness.Node, *patient) {
	t.Helper()
	p := &patient{asked: make(chan struct{}), answer: make(chan struct{})}
	n, stop := outside(t, patientName, "postMetadata", sdk.Metadata(p.describe))
	p.stop = stop
	return n, p
}

// outside runs a plugin outside the process, and returns a node that knows it and
// has not been started.
func outside(t *testing.T, name, hook string, h sdk.Handler) (n *harness.Node, stop func()) {
	t.Helper()
	plugin := harness.NewOutside(t, name, hook)
	n = harness.New(t, plugin.Flags()...)
	return n, plugin.Run(h)
}

func (p *patient) describe(ctx context.Context, in sdk.Invocation) (any, error) {
	p.runs.Add(1)
	p.once.Do(func() { close(p.asked) })
	select {
	case <-p.answer:
		return sdk.Description{Title: "The title of " + in.Video.ID, Tags: []string{"patience"}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *patient) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.asked:
	case <-time.After(harness.Patience):
		t.Fatal("the plugin is never asked")
	}
}

// TestLifecycleIsInterrupted: the lifecycle goes on after a kill and after a
// clean stop, and every effect counts once.
func TestLifecycleIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*testing.T, *harness.Node){
		"killed": func(_ *testing.T, n *harness.Node) { n.Kill() },
		"stopped": func(t *testing.T, n *harness.Node) {
			if code := n.Stop(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, plugin := startPatient(t)
			n.Start()
			u := n.AddUser("interrupted@example.com", "broadcaster")
			p := publish(t, n, u, 12*time.Second)
			id := liveStream(t, n, u)
			stop(t, p)
			plugin.wait(t)
			interrupt(t, n)
			close(plugin.answer) // it answers while nobody is there
			n.Start()
			pages := listenMQTT(t, n, "serverlessVideo-global")
			n.SignIn(u).WaitVideo(id, "valid")

			var v struct {
				Title string   `json:"title"`
				Tags  []string `json:"tags"`
			}
			if err := n.Anonymous().Get("/api/video/"+id, &v); err != nil || v.Title != "The title of "+id || len(v.Tags) != 1 {
				t.Errorf("what the plugin said is lost: %+v, %v", v, err)
			}
			pages.wait(t, "MQTT", "VideoStatusUpdated:valid")
			time.Sleep(time.Second) // for what should not come
			if told := pages.count("VideoStatusUpdated:valid"); told != 1 {
				t.Errorf("the pages were told %d times, want once", told)
			}
			once := map[string]int{}
			for _, e := range n.SignIn(u).History(id) {
				once[e.Type+" "+e.Key]++
			}
			for key, times := range once {
				if times != 1 {
					t.Errorf("the history tells %s %d times", key, times)
				}
			}
		})
	}
}

// TestStoppedWhileProcessing: a stop in the middle of post-processing, here while
// ffmpeg makes the thumbnail, leaves no ffmpeg behind and the work goes on after
// the next start.
func TestStoppedWhileProcessing(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	began, gate := filepath.Join(dir, "began"), filepath.Join(dir, "gate")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s\nwhile [ ! -e %s ]; do sleep 0.05; done\nexec %s \"$@\"\n", began, gate, real)
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	n := harness.New(t)
	n.Env = append(n.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	n.Start()
	u := n.AddUser("processing@example.com", "broadcaster")
	p := publish(t, n, u, 11*time.Second)
	id := liveStream(t, n, u)
	stop(t, p)
	var pid int
	harness.Eventually(t, "the thumbnail is being made", func() error {
		text, err := os.ReadFile(began)
		if err != nil {
			return err
		}
		_, err = fmt.Sscan(string(text), &pid)
		return err
	})
	if code := n.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	harness.Eventually(t, "ffmpeg is gone", func() error {
		if syscall.Kill(pid, 0) == nil {
			return errors.New("it still runs")
		}
		return nil
	})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.Start()
	v := n.SignIn(u).WaitVideo(id, "valid")
	if v.Thumbnail == "" {
		t.Error("there is no thumbnail")
	}
	plays(t, v.Playback)
}

// TestWithoutFFmpeg: all but the thumbnail works, and the history says why there
// is none.
func TestWithoutFFmpeg(t *testing.T) {
	t.Parallel()
	if _, err := clip(); err != nil { // the test itself needs it
		t.Fatal(err)
	}
	n := harness.New(t)
	n.Env = append(n.Env, "PATH="+t.TempDir())
	n.Start()
	u := n.AddUser("bare@example.com", "broadcaster")
	p := publish(t, n, u, 11*time.Second)
	id := liveStream(t, n, u)
	stop(t, p)
	v := n.SignIn(u).WaitVideo(id, "valid")
	if v.Thumbnail != "" {
		t.Errorf("the thumbnail is %s", v.Thumbnail)
	}
	plays(t, v.Playback)
	told, err := json.Marshal(n.SignIn(u).History(id))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(told), "ffmpeg") {
		t.Errorf("the history does not say that ffmpeg is missing: %s", told)
	}
}

// TestWrongIngest: each wrong request gets its own answer, and the node goes on.
func TestWrongIngest(t *testing.T) {
	t.Parallel()
	n := harness.Start(t)
	u := n.AddUser("wrong@example.com", "broadcaster")
	c, err := clip()
	if err != nil {
		t.Fatal(err)
	}
	options := streamtest.Options{Clips: []*streamtest.Clip{c}}
	refused := func(name, endpoint, key string, want int) {
		t.Helper()
		p, err := streamtest.Publish(t.Context(), endpoint, key, options)
		var status *streamtest.StatusError
		if !errors.As(err, &status) || status.Status != want {
			t.Errorf("%s: %v, want %d", name, err, want)
		}
		if p != nil {
			_ = p.Close()
		}
	}
	refused("a wrong key", n.WHIP(u), "sk_wrong", http.StatusUnauthorized)
	refused("no key", n.WHIP(u), "", http.StatusUnauthorized)
	refused("no channel", n.URL+"/whip/nobody", u.Channel.StreamKey, http.StatusNotFound)
	p := publish(t, n, u, 0)
	liveStream(t, n, u)
	harness.Eventually(t, "media comes", func() error { // until then another one takes over
		if p.Sent() < time.Second {
			return fmt.Errorf("%s were sent", p.Sent())
		}
		return nil
	})
	refused("a second publisher", n.WHIP(u), u.Channel.StreamKey, http.StatusConflict)
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	for name, wrong := range map[string]struct {
		contentType, body string
		want              int
	}{
		"no SDP":             {"application/sdp", "hello", http.StatusBadRequest},
		"an empty body":      {"application/sdp", "", http.StatusBadRequest},
		"JSON":               {"application/json", "{}", http.StatusUnsupportedMediaType},
		"an oversized offer": {"application/sdp", strings.Repeat("a=x\r\n", 1<<18), http.StatusRequestEntityTooLarge},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.WHIP(u), strings.NewReader(wrong.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", wrong.contentType)
		req.Header.Set("Authorization", "Bearer "+u.Channel.StreamKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != wrong.want || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s, %s; want %d and a problem document", name, resp.Status, resp.Header.Get("Content-Type"), wrong.want)
		}
	}
	if status, _ := n.Anonymous().Do(http.MethodGet, "/readyz", nil); status != http.StatusOK {
		t.Errorf("/readyz afterwards: %d", status)
	}
}
