// Package soak keeps a broadcast up for long, with a publisher that loses its
// network again and again, and looks for what grows.
//
// SOAK and SOAK_CUT say how long, and how long between two losses:
//
//	SOAK=60m SOAK_CUT=5m go test -count 1 -timeout 90m -v ./test/soak
package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

const (
	shortSoak, shortCut = 45 * time.Second, 15 * time.Second
	away                = 3 * time.Second // how long the publisher stays without network
	settled             = 30 * time.Second
)

// reading is what the node is like at one moment.
type reading struct {
	at         time.Duration // of media sent
	rss        int64         // kB
	goroutines int
}

func TestSoak(t *testing.T) {
	length, cut := duration(t, "SOAK", shortSoak), duration(t, "SOAK_CUT", shortCut)
	clip, err := streamtest.MakeClip(t.Context(), streamtest.Picture{Width: 1280, Height: 720, Bitrate: 2_500_000}, 4)
	if err != nil {
		t.Fatal(err)
	}
	n := harness.Start(t)
	idle := read(t, n, 0)
	u := n.AddUser("soak@example.com", "broadcaster")
	var sent time.Duration
	var readings []reading
	id := ""
	for sent < length {
		p := publish(t, n, u, clip, min(cut, length-sent))
		if id == "" {
			id = liveStream(t, n, u)
		}
		watch(t, n, u, p, func(now time.Duration) { readings = append(readings, read(t, n, sent+now)) })
		sent += p.Sent()
		if sent >= length {
			if err := p.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			break
		}
		if err := p.Vanish(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(away)
		if now := liveStream(t, n, u); now != id {
			t.Fatalf("after %s it is another broadcast", sent)
		}
	}
	v := n.SignIn(u).WaitVideo(id, "valid")
	if diff := math.Abs(float64(v.Duration)/1000 - sent.Seconds()); diff > 1+sent.Seconds()/1000+0.2*float64(sent/cut) {
		t.Errorf("the video is %.1f s long, %.1f s were sent", float64(v.Duration)/1000, sent.Seconds())
	}
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", v.Playback, "-c", "copy", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg on the MP4: %v %s", err, out)
	}
	grown(t, n, idle, readings)
}

// watch reads the node until the publisher has sent all, and the playlist as a
// viewer does.
func watch(t *testing.T, n *harness.Node, u harness.User, p *streamtest.Publisher, note func(time.Duration)) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.Wait(context.Background()) }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-tick.C:
			note(p.Sent())
			get(t, n.URL+"/live/"+u.ID+"/master.m3u8")
		}
	}
}

// grown fails when memory or goroutines are more at the end than in the middle,
// or goroutines are left when it is over.
func grown(t *testing.T, n *harness.Node, idle reading, readings []reading) {
	t.Helper()
	half := len(readings) / 2
	if half == 0 {
		t.Fatal("nothing was read")
	}
	middle, end := most(readings[half/2:half+1]), most(readings[len(readings)-max(1, half/2):])
	t.Logf("idle %+v, middle %+v, end %+v, of %d readings", idle, middle, end, len(readings))
	if end.rss > middle.rss*5/4+20_000 {
		t.Errorf("memory grew from %d to %d kB", middle.rss, end.rss)
	}
	if end.goroutines > middle.goroutines+20 {
		t.Errorf("goroutines grew from %d to %d", middle.goroutines, end.goroutines)
	}
	// The bus keeps workers, up to 8 for each consumer, that began in a rush.
	const kept = 50
	harness.Eventually(t, "the goroutines end", func() error {
		if now := read(t, n, 0); now.goroutines > idle.goroutines+kept {
			return fmt.Errorf("there are %d, at the start were %d", now.goroutines, idle.goroutines)
		}
		return nil
	})
}

func most(readings []reading) reading {
	var m reading
	for _, r := range readings {
		m.at, m.rss, m.goroutines = max(m.at, r.at), max(m.rss, r.rss), max(m.goroutines, r.goroutines)
	}
	return m
}

func publish(t *testing.T, n *harness.Node, u harness.User, clip *streamtest.Clip, length time.Duration) *streamtest.Publisher {
	t.Helper()
	p, err := streamtest.Publish(t.Context(), n.WHIP(u), u.Channel.StreamKey, streamtest.Options{
		Clips: []*streamtest.Clip{clip}, Duration: length,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func liveStream(t *testing.T, n *harness.Node, u harness.User) (id string) {
	t.Helper()
	harness.Eventually(t, "the channel is live", func() error {
		var ch struct {
			Live     bool   `json:"live"`
			StreamID string `json:"streamId"`
		}
		if err := n.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil || !ch.Live {
			return fmt.Errorf("%+v %w", ch, err)
		}
		id = ch.StreamID
		return nil
	})
	return id
}

// read asks the node and the kernel.
func read(t *testing.T, n *harness.Node, at time.Duration) reading {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return reading{
		at: at, rss: number(t, `VmRSS:\s+(\d+)`, status), goroutines: int(number(t, `(?m)^go_goroutines (\d+)`, get(t, n.URL+"/metrics"))),
	}
}

func number(t *testing.T, pattern string, text []byte) int64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %.200s", pattern, text)
	}
	v, err := strconv.ParseInt(string(bytes.TrimSpace(m[1])), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settled)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return body
}

func duration(t *testing.T, name string, or time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%s is no duration such as 10m", name, text)
	}
	return d
}
