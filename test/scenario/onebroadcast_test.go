package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// encode is live on a user's channel over RTMP until it is stopped. It sends what
// encoders do: H264 with B-frames and AAC.
func encode(t *testing.T, addr string, u harness.User, size string) *rtmptest.Publisher {
	t.Helper()
	c, err := rtmptest.MakeClip(t.Context(), rtmptest.Spec{Size: size, Seconds: 4, BFrames: 2, KeyEvery: 60})
	if err != nil {
		t.Fatal(err)
	}
	p, err := rtmptest.Publish(t.Context(), "rtmp://"+addr+"/live/"+u.Channel.StreamKey, rtmptest.Options{Clips: []*rtmptest.Clip{c}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// follow holds a live stream against the rules for a while.
func follow(t *testing.T, n *harness.Node, u harness.User, length time.Duration) {
	t.Helper()
	// Dates, the pace of parts, and how far a sidecar is behind, are those of a
	// machine that is busy with other tests.
	check(t, n.URL+"/live/"+u.ID+"/master.m3u8", hlstest.FollowOptions{
		For: length, Except: []string{"update-part", "update-segment", "date-steady", "in-sync", "apple-9.9"},
	})
}

// check holds what a multivariant playlist names against the rules.
func check(t *testing.T, url string, o hlstest.FollowOptions) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), o.For+harness.Patience)
	defer cancel()
	report, err := hlstest.Follow(ctx, url, o)
	if err != nil {
		t.Error(err)
	}
	for _, f := range report.Broken {
		t.Errorf("%s, %d times: %s at %s\n%s", f.Rule.ID, f.Count, f.Detail, f.Where, f.Playlist)
	}
}

// TestOneBroadcast lets the publisher lose its network, come back over another
// protocol, lose its server, and come back again: one broadcast, one video.
func TestOneBroadcast(t *testing.T) {
	addr := harness.FreeAddress(t)
	n := harness.Start(t, "--rtmp", addr)
	u := n.AddUser("one@example.com", "broadcaster")
	first := publish(t, n, u, 6*time.Second)
	id := liveStream(t, n, u)
	if err := first.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Vanish(); err != nil {
		t.Fatal(err)
	}
	same := func(what string) {
		t.Helper()
		if now := liveStream(t, n, u); now != id {
			t.Fatalf("%s it is another broadcast", what)
		}
	}
	waitAway(t, n, u)
	second := encode(t, addr, u, "640x360")
	waitSent(t, second.Sent, 6*time.Second)
	same("over RTMP")
	n.Kill()
	sent := second.Sent()
	_ = second.Close()
	n.Start()
	same("after a restart")
	third := publish(t, n, u, 6*time.Second)
	if err := third.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	same("with the third publisher")
	stop(t, third)

	v := n.SignIn(u).WaitVideo(id, "valid")
	// What was under way when the server was killed is lost: a segment, and what
	// was not stored yet.
	all := first.Sent() + sent + third.Sent()
	if d := ms(v.Duration); d > all+time.Second || d < all-5*time.Second {
		t.Errorf("the video is %s long, %s were sent", d, all)
	}
	plays(t, v.StreamURL)
	plays(t, v.Playback)
	for _, key := range []string{"stream-start", "stream-end", "recording-end"} {
		if times := told(t, n, u, id, key); times != 1 {
			t.Errorf("the history tells %d times of %s", times, key)
		}
	}
}

// told counts the steps of one kind in a video's history.
func told(t *testing.T, n *harness.Node, u harness.User, id, key string) int {
	t.Helper()
	count := 0
	for _, step := range n.SignIn(u).History(id) {
		if step.Key == key {
			count++
		}
	}
	return count
}

func waitSent(t *testing.T, sent func() time.Duration, length time.Duration) {
	t.Helper()
	harness.Eventually(t, "enough is sent", func() error {
		if s := sent(); s < length {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
}

// TestCodecs publishes the codecs that WebRTC brings besides those of TestInputs,
// and plays them: over HLS, and over WebRTC as they were sent.
func TestCodecs(t *testing.T) {
	n := harness.Start(t)
	for _, codec := range []cmaf.VideoCodec{cmaf.VP9, cmaf.AV1, cmaf.H265} {
		t.Run(codec.String(), func(t *testing.T) {
			u := n.AddUser(strings.ToLower(codec.String())+"@example.com", "broadcaster")
			c, err := streamtest.MakeClip(t.Context(), streamtest.Picture{Width: 640, Height: 360, Codec: codec}, 4)
			if err != nil {
				t.Fatal(err)
			}
			p, err := streamtest.Publish(t.Context(), n.WHIP(u), u.Channel.StreamKey, streamtest.Options{Clips: []*streamtest.Clip{c}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() })
			id := liveStream(t, n, u)
			watchCodec(t, n, u, codec)
			follow(t, n, u, 5*time.Second)
			waitSent(t, p.Sent, 11*time.Second)
			sent := p.Sent()
			if err := p.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			v := n.SignIn(u).WaitVideo(id, "valid")
			if d := ms(v.Duration); d < sent-1500*time.Millisecond || d > sent+time.Second {
				t.Errorf("the video is %s long, %s were sent", d, sent)
			}
			plays(t, v.StreamURL)
			plays(t, v.Playback)
		})
	}
}

// TestWebRTCViewer watches a broadcast below a second.
func TestWebRTCViewer(t *testing.T) {
	n := harness.Start(t)
	u := n.AddUser("whep@example.com", "broadcaster")
	var refused *wheptest.StatusError
	if _, err := wheptest.Watch(t.Context(), n.URL+"/whep/"+u.ID, wheptest.Options{}); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("a channel that is not live: %v", err)
	}
	p := publish(t, n, u, 0)
	liveStream(t, n, u)
	waitSent(t, p.Sent, 2*time.Second) // before its first picture a broadcast is not shown by WebRTC
	v, err := wheptest.Watch(t.Context(), n.URL+"/whep/"+u.ID, wheptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	harness.Eventually(t, "picture and sound come", func() error {
		s := v.Stats()
		if s.Frames < 60 || s.KeyFrames < 1 || s.AudioPackets < 50 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	var ch struct {
		ViewCount int `json:"viewCount"`
	}
	if err := n.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil || ch.ViewCount != 1 {
		t.Errorf("%d viewers are counted, %v", ch.ViewCount, err)
	}
}
