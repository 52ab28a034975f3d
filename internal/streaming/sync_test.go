package streaming_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// TestSync sends flashes with tones in real time and measures their distance in
// the recording: with the publisher's Opus, and in the MP4 with the AAC that a
// sidecar made of it. TestClocksWHIP and TestClocksRTMP do so over hours.
func TestSync(t *testing.T) {
	t.Parallel()
	m := material(t)
	for name, o := range map[string]streamtest.Options{
		"clean":        {},
		"lost packets": {DropEvery: 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, t.TempDir(), streaming.Config{})
			o.Clips, o.Duration = []*streamtest.Clip{m.flashing}, 6500*time.Millisecond
			p := n.publish(o)
			id := n.liveID()
			if err := p.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
			n.stopPublisher(p)
			n.waitEnded(id)
			checkSync(t, "on demand", n.url+"/vod/"+id+"/master.m3u8")
			mp4 := filepath.Join(t.TempDir(), "video.mp4")
			file, err := os.Create(mp4)
			if err != nil {
				t.Fatal(err)
			}
			info, err := n.service.Remux(context.Background(), recorder.Prefix(channel, id), file, nil)
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(info.Codecs, "mp4a.40.2") {
				t.Errorf("the MP4 has %v: it was to show the AAC that a sidecar made", info.Codecs)
			}
			checkSync(t, "MP4", mp4)
		})
	}
}

// checkSync measures the distances of flashes and tones in what ffmpeg reads.
func checkSync(t *testing.T, what, url string) {
	t.Helper()
	found, err := streamtest.FindFlashes(t.Context(), url, 0.2)
	if err != nil {
		t.Fatal(err)
	}
	flashes, tones := found.Flashes, found.Tones
	if len(flashes) < 5 || len(tones) < 5 {
		t.Fatalf("%s: flashes %v, tones %v\n%s", what, flashes, tones, found.Said)
	}
	// The last of each is where the recording ends.
	flashes, tones = flashes[:len(flashes)-1], tones[:len(tones)-1]
	pairs, worst := 0, 0.0
	for _, flash := range flashes {
		for _, tone := range tones {
			if d := flash - tone; math.Abs(d) < 0.4 {
				pairs++
				if math.Abs(d) > math.Abs(worst) {
					worst = d
				}
			}
		}
	}
	t.Logf("%s: %d flashes, at most %+.1f ms from their tones", what, pairs, worst*1000)
	if math.Abs(worst) > 0.045 {
		t.Errorf("%s: a flash is %+.0f ms from its tone; flashes %v, tones %v", what, worst*1000, flashes, tones)
	}
	if pairs < 4 {
		t.Errorf("%s: only %d flashes have their tones; flashes %v, tones %v\n%s", what, pairs, flashes, tones, found.Said)
	}
}

// TestWithoutSound covers a publisher without audio, and one whose audio ends.
func TestWithoutSound(t *testing.T) {
	t.Parallel()
	m := material(t)
	for name, o := range map[string]streamtest.Options{
		"no audio":   {NoAudio: true},
		"audio ends": {MuteAfter: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, t.TempDir(), streaming.Config{})
			o.Clips, o.Duration = []*streamtest.Clip{m.small}, 4*time.Second
			p := n.publish(o)
			id := n.liveID()
			if err := p.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
			n.stopPublisher(p)
			n.waitEnded(id)
			n.checkVOD(id, 4*time.Second)
			if o.NoAudio {
				return
			}
			length := run(t, "ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=pts_time",
				"-of", "csv=p=0", n.url+"/vod/"+id+"/master.m3u8")
			packets, err := streamtest.Numbers(`(?m)^([\d.]+)`, []byte(length))
			if err != nil {
				t.Fatal(err)
			}
			if last := packets[len(packets)-1]; last < 3.4 {
				t.Errorf("the audio track ends at %.2f s", last)
			}
		})
	}
}
