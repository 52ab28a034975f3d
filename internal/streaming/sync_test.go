package streaming_test

import (
	"context"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// TestSync sends flashes with tones and measures their distance in the
// recording.
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
			out, err := exec.Command("ffmpeg", "-hide_banner", "-i", n.url+"/vod/"+id+"/master.m3u8",
				"-vf", "blackdetect=d=0.2:pix_th=0.2", "-af", "silencedetect=n=-30dB:d=0.2", "-f", "null", "-").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			flashes := times(t, `black_end:([\d.]+)`, out)
			tones := times(t, `silence_end: ([\d.]+)`, out)
			pairs := 0
			for _, flash := range flashes {
				for _, tone := range tones {
					if d := math.Abs(flash - tone); d < 0.4 {
						pairs++
						if d > 0.06 {
							t.Errorf("the flash at %.3f s and its tone at %.3f s are %.0f ms apart", flash, tone, d*1000)
						}
					}
				}
			}
			if pairs < 4 {
				t.Errorf("only %d flashes have their tones; flashes %v, tones %v\n%s", pairs, flashes, tones, out)
			}
		})
	}
}

func times(t *testing.T, pattern string, out []byte) []float64 {
	t.Helper()
	var all []float64
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(out, -1) {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
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
			packets := times(t, `(?m)^([\d.]+)`, []byte(length))
			if last := packets[len(packets)-1]; last < 3.4 {
				t.Errorf("the audio track ends at %.2f s", last)
			}
		})
	}
}
