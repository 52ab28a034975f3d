package scenario

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// TestOtherSoundReturns begins with an encoder's AAC, mono of 44.1 kHz, and goes
// on with a browser's Opus: one video, whose sound is what it began with.
func TestOtherSoundReturns(t *testing.T) {
	addr := harness.FreeAddress(t)
	n := harness.Start(t, "--rtmp", addr)
	u := n.AddUser("sound@example.com", "broadcaster")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	c, err := rtmptest.MakeClip(ctx, rtmptest.Spec{Seconds: 4, Rate: 44100, Mono: true})
	if err != nil {
		t.Fatal(err)
	}
	first, err := rtmptest.Publish(t.Context(), "rtmp://"+addr+"/live/"+u.Channel.StreamKey, rtmptest.Options{
		Clips: []*rtmptest.Clip{c}, Duration: 6 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	id := liveStream(t, n, u)
	if err := first.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Vanish(); err != nil {
		t.Fatal(err)
	}
	waitAway(t, n, u)
	second := publish(t, n, u, 6*time.Second)
	if now := liveStream(t, n, u); now != id {
		t.Fatal("it is another broadcast")
	}
	stop(t, second)

	v := n.SignIn(u).WaitVideo(id, "valid")
	if all := first.Sent() + second.Sent(); ms(v.Duration) > all+time.Second || ms(v.Duration) < all-2*time.Second {
		t.Errorf("the video is %s long, %s were sent", ms(v.Duration), all)
	}
	plays(t, v.StreamURL)
	plays(t, v.Playback)
	if got := ask(t, "ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "stream=codec_name,sample_rate,channels", "-of", "csv=p=0", v.Playback); got != "aac,44100,1" {
		t.Errorf("the sound of the video is %s", got)
	}
	// Both publishers sent a tone without a pause. The encoder's own start, and
	// that of ffmpeg when the other one came, are short.
	if got := ask(t, "ffmpeg", "-v", "info", "-hide_banner", "-i", v.Playback, "-vn", "-af", "silencedetect=n=-40dB:d=0.8", "-f", "null", "-"); strings.Contains(got, "silence_start") {
		t.Errorf("the video is silent in between:\n%s", got)
	}
}

// waitAway waits until the channel's publisher is known to be gone.
func waitAway(t *testing.T, n *harness.Node, u harness.User) {
	t.Helper()
	harness.Eventually(t, "the publisher is given up", func() error {
		var ch struct {
			Reconnecting bool `json:"reconnecting"`
		}
		if err := n.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil || !ch.Reconnecting {
			return fmt.Errorf("%+v %w", ch, err)
		}
		return nil
	})
}

// ask runs a program and returns what it says.
func ask(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return strings.TrimSpace(string(out))
}
