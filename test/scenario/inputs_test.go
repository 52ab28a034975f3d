package scenario

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// onAir is a broadcast of one channel.
type onAir struct {
	t    *testing.T
	n    *harness.Node
	u    harness.User
	rtmp string // where the node takes RTMP

	sent        func() time.Duration // in all, by everybody who published
	end, vanish func() error         // with a goodbye, and without
}

// whip publishes over WHIP.
func (a *onAir) whip(o streamtest.Options) {
	a.t.Helper()
	p, err := streamtest.Publish(a.t.Context(), a.n.WHIP(a.u), a.u.Channel.StreamKey, o)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = p.Close() })
	a.sent, a.end, a.vanish = p.Sent, func() error { return p.Stop(a.t.Context()) }, p.Vanish
}

// clips makes what is to be published.
func (a *onAir) clips(pictures ...streamtest.Picture) streamtest.Options {
	a.t.Helper()
	var o streamtest.Options
	for _, p := range pictures {
		c, err := clip() // which is there already
		if p != c.Picture {
			c, err = streamtest.MakeClip(a.t.Context(), p, 4)
		}
		if err != nil {
			a.t.Fatal(err)
		}
		o.Clips = append(o.Clips, c)
	}
	return o
}

// input is a way to publish. Start begins it; meanwhile happens while it is
// watched.
type input struct {
	name      string
	start     func(*onAir)
	meanwhile func(*onAir)
	watch     time.Duration
	sizes     []string // of the pictures in the video
}

// landscape is the picture that clip has.
func landscape() streamtest.Picture {
	return streamtest.Picture{Width: 640, Height: 360, Codec: cmaf.H264}
}

func inputs() []input {
	plain := func(a *onAir) { a.whip(a.clips(landscape())) }
	return []input{
		{name: "WHIP", start: plain, watch: 8 * time.Second, sizes: []string{"640x360"}},
		// WebRTC carries no B-frames: its viewer gets the rung below.
		{name: "RTMP with B-frames", watch: 8 * time.Second, sizes: []string{"960x540"}, start: func(a *onAir) {
			p := encode(a.t, a.rtmp, a.u, "960x540")
			a.sent, a.end = p.Sent, p.Stop
		}},
		{name: "VP8", watch: 8 * time.Second, sizes: []string{"640x360"}, start: func(a *onAir) {
			p := landscape()
			p.Codec = cmaf.VP8
			a.whip(a.clips(p))
		}},
		{name: "reconnect", start: plain, watch: 14 * time.Second, sizes: []string{"640x360"}, meanwhile: lostAndBack},
		{name: "rotation", watch: 12 * time.Second, sizes: []string{"360x640", "640x360", "960x540"}, start: func(a *onAir) {
			a.whip(a.clips(landscape(), streamtest.Picture{Width: 360, Height: 640}, streamtest.Picture{Width: 960, Height: 540}))
		}},
	}
}

// lostAndBack takes the publisher's network away for a while.
func lostAndBack(a *onAir) {
	first := a.sent
	waitSent(a.t, first, 5*time.Second)
	before := first()
	if err := a.vanish(); err != nil {
		a.t.Fatal(err)
	}
	harness.Eventually(a.t, "the publisher is missed", func() error {
		var ch struct {
			Reconnecting bool `json:"reconnecting"`
		}
		if err := a.n.Anonymous().Get("/api/channel/"+a.u.ID, &ch); err != nil || !ch.Reconnecting {
			return fmt.Errorf("%+v %w", ch, err)
		}
		return nil
	})
	a.whip(a.clips(landscape()))
	second := a.sent
	a.sent = func() time.Duration { return before + second() }
}

// TestInputs publishes in every way. The validator, ffmpeg and a WebRTC viewer
// watch it live; then the validator and ffmpeg play the recording and its MP4.
func TestInputs(t *testing.T) {
	rtmp := harness.FreeAddress(t)
	n := harness.Start(t, "--rtmp", rtmp)
	for i, in := range inputs() {
		t.Run(in.name, func(t *testing.T) {
			a := &onAir{t: t, n: n, rtmp: rtmp, u: n.AddUser(fmt.Sprintf("input%d@example.com", i), "broadcaster")}
			in.start(a)
			id := liveStream(t, n, a.u)
			a.watched(in)
			waitSent(t, a.sent, 11*time.Second) // long enough to be valid
			sent := a.sent()
			if err := a.end(); err != nil {
				t.Fatal(err)
			}
			v := n.SignIn(a.u).WaitVideo(id, "valid")
			if d := ms(v.Duration); d < sent-1500*time.Millisecond || d > sent+time.Second {
				t.Errorf("the video is %s long, %s were sent", d, sent)
			}
			check(t, v.StreamURL, hlstest.FollowOptions{VOD: true, Except: []string{"apple-9.9"}})
			plays(t, v.StreamURL)
			plays(t, v.Playback)
			if got := sizesOf(t, v.Playback); !slices.Equal(got, in.sizes) {
				t.Errorf("the MP4 has pictures of %q, want %q", got, in.sizes)
			}
		})
	}
}

// watched lets all kinds of viewers watch for a while.
func (a *onAir) watched(in input) {
	w := a.overWebRTC()
	master := a.n.URL + "/live/" + a.u.ID + "/master.m3u8"
	var viewers sync.WaitGroup
	viewers.Go(func() { follow(a.t, a.n, a.u, in.watch) })
	viewers.Go(func() { plays(a.t, master, "-t", fmt.Sprint((in.watch - 2*time.Second).Seconds())) })
	if in.meanwhile != nil {
		in.meanwhile(a)
	}
	viewers.Wait()
	w.check(a.t, in)
}

// webRTC is a viewer over WHEP.
type webRTC struct {
	*wheptest.Viewer
	mu    sync.Mutex
	video bytes.Buffer // what came, in annex B
}

// overWebRTC begins to watch over WHEP. A rung that WebRTC can carry, of a source
// that it cannot, takes a moment to come.
func (a *onAir) overWebRTC() *webRTC {
	a.t.Helper()
	w := &webRTC{}
	harness.Eventually(a.t, "the broadcast can be watched over WebRTC", func() (err error) {
		w.Viewer, err = wheptest.Watch(a.t.Context(), a.n.URL+"/whep/"+a.u.ID, wheptest.Options{Unit: w.keep})
		return err
	})
	a.t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *webRTC) keep(u wheptest.Unit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u.Video {
		w.video.Write(u.Data)
	}
}

// check wants picture and sound to have come, and ffmpeg to decode the pictures.
func (w *webRTC) check(t *testing.T, in input) {
	t.Helper()
	// While the publisher was away, nothing came.
	least := int((in.watch / 2).Seconds() * streamtest.FrameRate)
	if s := w.Stats(); s.Frames < least || s.KeyFrames < 2 || s.AudioPackets < least {
		t.Errorf("over WebRTC came %+v, want %d pictures and packets of sound", s, least)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	path := filepath.Join(t.TempDir(), "whep.h264")
	if err := os.WriteFile(path, w.video.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	plays(t, path)
	if got := sizesOf(t, path); len(got) != len(in.sizes) {
		t.Errorf("over WebRTC came pictures of %q", got)
	}
}

// sizesOf lists the sizes of a file's pictures, each once.
func sizesOf(t *testing.T, url string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v",
		"-show_entries", "frame=width,height", "-of", "csv=p=0:s=x", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	sizes := strings.Fields(strings.ReplaceAll(string(out), "x\n", "\n")) // some frames have side data
	slices.Sort(sizes)
	return slices.Compact(sizes)
}
