package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// tick is the length of a frame at 30 a second.
const tick = cmaf.VideoTimescale / 30

// placed is a frame with its place on the timeline.
type placed struct {
	frame.Video
	at int64
}

// encoders are how ffmpeg makes the test media, in real-time modes as browsers do.
func encoders() map[string]string {
	return map[string]string{
		"H264":   "-c:v libx264 -preset ultrafast -tune zerolatency",
		"H264-B": "-c:v libx264 -preset veryfast -bf 2 -x264-params scenecut=0:open-gop=0:b-adapt=0",
		"H265":   "-c:v libx265 -preset ultrafast -tune zerolatency -x265-params log-level=none:scenecut=0",
		"VP8":    "-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 0 -lag-in-frames 0",
		"VP9":    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0",
		"AV1":    "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0",
	}
}

// moving is the test picture.
func moving(width, height int) string {
	return fmt.Sprintf("testsrc2=size=%dx%d:rate=30", width, height)
}

// makeVideo encodes n frames with a key frame every second, the first one at 0.
func makeVideo(t testing.TB, kind, picture string, n int) []placed {
	t.Helper()
	args := append([]string{"-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", fmt.Sprint(n)}, strings.Fields(encoders()[kind])...)
	args = append(args, "-pix_fmt", "yuv420p", "-b:v", "2M", "-g", "30", "-keyint_min", "30", "-enc_time_base", "1:90000", "-f", "nut", "-")
	track, frames := readNUT(t, ffmpeg(t, nil, args...))
	out := make([]placed, len(frames))
	times := make([]int64, len(frames))
	for i, f := range frames {
		times[i] = rescale(f.pts, track.num*cmaf.VideoTimescale, track.denom)
	}
	start := slices.Min(times)
	late := int64(0) // how much reordering there is
	for i := range times {
		times[i] -= start
		late = max(late, int64(i)*tick-times[i])
	}
	for i, f := range frames {
		at := int64(i) * tick
		out[i] = placed{at: at, Video: frame.Video{Data: sampleOf(t, kind, f.data), Key: f.key, Offset: int32(times[i] + late - at)}}
		if f.key {
			out[i].Config = configOf(t, kind, track.private, f.data)
		}
	}
	if len(out) != n || !out[0].Key || (late > 0) != (kind == "H264-B") {
		t.Fatalf("%s: %d frames, reordered by %d", kind, len(out), late)
	}
	return out
}

// sampleOf makes a cmaf.Sample's data of what ffmpeg wrote.
func sampleOf(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	switch kind {
	case "H264", "H264-B":
		return h264Sample(data)
	case "H265":
		var sample []byte
		for _, nal := range cmaf.SplitAnnexB(data) {
			if kind := cmaf.HEVCNALType(nal); kind < 32 || kind > 35 {
				sample = cmaf.AppendAVCC(sample, nal)
			}
		}
		return sample
	case "AV1":
		var sample []byte
		obus, err := cmaf.SplitOBUs(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, obu := range obus {
			if cmaf.OBUType(obu) != cmaf.OBUTemporalDelimiter {
				sample = append(sample, obu...)
			}
		}
		return sample
	}
	return slices.Clone(data)
}

func configOf(t testing.TB, kind string, private, data []byte) *cmaf.VideoConfig {
	t.Helper()
	var c cmaf.VideoConfig
	var err error
	switch kind {
	case "H265":
		sets := map[int][]byte{}
		for _, nal := range cmaf.SplitAnnexB(append(slices.Clone(private), data...)) {
			sets[cmaf.HEVCNALType(nal)] = nal
		}
		c, err = cmaf.ParseHEVC(sets[32], sets[33], sets[34])
	case "VP8":
		c, err = cmaf.ParseVP8(data)
	case "VP9":
		c, err = cmaf.ParseVP9(data)
	case "AV1":
		obus, _ := cmaf.SplitOBUs(data)
		for _, obu := range obus {
			if cmaf.OBUType(obu) == cmaf.OBUSequenceHeader {
				c, err = cmaf.ParseAV1(obu)
			}
		}
	default:
		return must(h264Config(private))(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// readNUT reads a whole stream.
func readNUT(t testing.TB, stream []byte) (nutTrack, []nutFrame) {
	t.Helper()
	r, err := newNUTReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	var frames []nutFrame
	for {
		f, err := r.next()
		if errors.Is(err, io.EOF) {
			return r.track, frames
		}
		if err != nil {
			t.Fatal(err)
		}
		f.data = slices.Clone(f.data)
		frames = append(frames, f)
	}
}

// ffmpeg runs ffmpeg and returns what it writes.
func ffmpeg(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg (apt-get install ffmpeg): %v: %s", err, stderr.String())
	}
	return out
}

func tools(t testing.TB) Tools {
	t.Helper()
	return must(Available(t.Context(), ""))(t)
}

// span is a stretch of the timeline.
type span struct{ from, to int64 }

// heard is what came out of a sidecar, in order.
type heard struct {
	mu     sync.Mutex
	frames []placed
	when   []time.Time
	sounds []sound
	gaps   []span
	order  []int64 // begins of frames, sounds and gaps as they came
	failed []string
}

type sound struct {
	frame.Audio
	at int64
}

func (h *heard) video(c VideoConfig) VideoConfig {
	c.Name, c.Gap, c.Failed = "test", h.gap, h.fail
	c.Out = func(f frame.Video, at int64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.frames, h.order = append(h.frames, placed{f, at}), append(h.order, at)
		h.when = append(h.when, time.Now())
	}
	return c
}

func (h *heard) audio(c AudioConfig) AudioConfig {
	c.Name, c.Gap, c.Failed = "test", h.gap, h.fail
	c.Out = func(f frame.Audio, at int64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sounds, h.order = append(h.sounds, sound{f, at}), append(h.order, at)
		h.when = append(h.when, time.Now())
	}
	return c
}

func (h *heard) gap(from, to int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gaps, h.order = append(h.gaps, span{from, to}), append(h.order, from)
}

func (h *heard) fail(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = append(h.failed, reason)
}

// count returns how many frames and sounds have come.
func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.frames) + len(h.sounds)
}

func (h *heard) inGap(at int64) bool {
	return slices.ContainsFunc(h.gaps, func(g span) bool { return g.from <= at && at < g.to })
}

// checkVideo holds what came out against what went in: each frame once, with its
// time, or in a gap; all in order; key frames where they were.
func (h *heard) checkVideo(t *testing.T, in []placed) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.IsSorted(h.order) {
		t.Error("frames and gaps did not come in order")
	}
	out := map[int64]placed{}
	for _, f := range h.frames {
		if _, twice := out[f.at]; twice {
			t.Errorf("the frame at %d came twice", f.at)
		}
		out[f.at] = f
	}
	for i, f := range in {
		got, ok := out[f.at]
		delete(out, f.at)
		switch {
		case ok == h.inGap(f.at):
			t.Errorf("frame %d at %d: came out %v, in a gap %v", i, f.at, ok, h.inGap(f.at))
		case ok && got.Key != f.Key:
			t.Errorf("frame %d: key %v, the source's %v", i, got.Key, f.Key)
		case ok && (got.Config != nil) != got.Key:
			t.Errorf("frame %d: key %v, configuration %v", i, got.Key, got.Config)
		}
		if t.Failed() && i > 100 {
			break
		}
	}
	if len(out) > 0 {
		t.Errorf("%d frames came out that never went in", len(out))
	}
}

func waitFor(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// ended waits until a sidecar has ended by itself.
func ended(t testing.TB, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the sidecar does not end")
	}
}

// logTo shows the log of a test that fails.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
