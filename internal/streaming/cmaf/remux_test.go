package cmaf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// remuxed is a file that Remux wrote, looked at with ffprobe.
type remuxed struct {
	path  string
	info  Info
	probe probed
}

// remuxFile remuxes and checks what holds for every file: it decodes without a
// complaint, moov stands before mdat, and Info says what ffprobe says.
func remuxFile(t *testing.T, sources []Source) remuxed {
	t.Helper()
	return remuxBoth(t, sources, nil)
}

// remuxBoth is remuxFile with an audio rendition beside the video.
func remuxBoth(t *testing.T, video, audio []Source) remuxed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "video.mp4")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var lastDone, lastTotal int64
	info, err := Remux(context.Background(), f, video, audio, func(done, total int64) {
		if done < lastDone || done > total {
			t.Errorf("progress %d of %d after %d", done, total, lastDone)
		}
		lastDone, lastTotal = done, total
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	stat, _ := os.Stat(path)
	if stat.Size() != info.Size || lastDone != info.Size || lastTotal != info.Size {
		t.Errorf("the file has %d bytes, Info says %d, progress ended at %d of %d", stat.Size(), info.Size, lastDone, lastTotal)
	}
	decode(t, path)
	r := remuxed{path, info, probe(t, path)}
	if got, want := r.duration(t), float64(info.DurationMS)/1000; math.Abs(got-want) > 0.002 {
		t.Errorf("ffprobe says %.3f s, Info %.3f s", got, want)
	}
	for _, s := range r.probe.Streams {
		want := info.AudioSamples
		if s.CodecType == "video" {
			want = info.VideoSamples
			if s.Frames != strconv.Itoa(want) {
				t.Errorf("%s frames decode, Info says %d", s.Frames, want)
			}
		}
		if s.Packets != strconv.Itoa(want) {
			t.Errorf("%s: %s packets, Info says %d", s.CodecName, s.Packets, want)
		}
	}
	if order := topBoxes(t, path); order != "ftyp moov mdat" {
		t.Errorf("the file has %s", order)
	}
	return r
}

func (r remuxed) duration(t *testing.T) float64 { return seconds(t, r.probe.Format.Duration) }

func topBoxes(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	r := bytes.NewReader(data)
	for at := int64(0); at < int64(len(data)); {
		kind, _, size, err := boxAt(r, at, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, kind)
		at += size
	}
	return strings.Join(kinds, " ")
}

// pixel decodes the frame at a time and returns the colour of its middle.
func (r remuxed) pixel(t *testing.T, at string) [3]byte {
	t.Helper()
	out := tool(t, "ffmpeg", "-i", r.path, "-ss", at, "-frames:v", "1",
		"-vf", "crop=2:2,scale=1:1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	if len(out) < 3 {
		t.Fatalf("no frame at %s", at)
	}
	return [3]byte(out)
}

// frameSizes lists the distinct sizes of the decoded frames with their counts.
func (r remuxed) frameSizes(t *testing.T) []string {
	t.Helper()
	out := tool(t, "ffprobe", "-select_streams", "v", "-show_entries", "frame=width,height", "-of", "csv=p=0", r.path)
	var sizes []string
	var last string
	count := 0
	for _, line := range append(strings.Fields(string(out)), "") {
		line = strings.TrimSuffix(line, ",")
		if line != last && count > 0 {
			sizes = append(sizes, last+" x "+strconv.Itoa(count))
			count = 0
		}
		last = line
		count++
	}
	return sizes
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s is %.4f, want %.4f", what, got, want)
	}
}

func TestRemux(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		spec   clipSpec
		codecs int
	}{
		{"Opus", clipSpec{size: "320x180", seconds: 4, audio: "libopus"}, 2},
		{"AAC", clipSpec{size: "320x180", seconds: 4, audio: "aac"}, 2},
		{"video alone", clipSpec{size: "320x180", seconds: 3}, 1},
		{"B-frames", clipSpec{size: "320x180", seconds: 3, audio: "libopus", video: []string{"-bf", "3"}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := encode(t, test.spec)
			r := remuxFile(t, c.sources(&clock{}))
			near(t, "the duration", r.duration(t), test.spec.seconds, 0.05)
			if r.info.Width != 320 || r.info.Height != 180 || len(r.info.Codecs) != test.codecs {
				t.Errorf("Info is %+v", r.info)
			}
			if r.info.VideoSamples != len(c.video) || r.info.AudioSamples != len(c.audio) {
				t.Errorf("%d and %d samples went in, Info is %+v", len(c.video), len(c.audio), r.info)
			}
		})
	}
}

// A browser that raises its resolution: both sides of the change decode, with
// their own size and picture, also after the change back.
func TestRemuxResolutionChange(t *testing.T) {
	t.Parallel()
	small := encode(t, clipSpec{size: "640x360", seconds: 2, audio: "libopus", colour: "red"})
	large := encode(t, clipSpec{size: "1280x720", seconds: 3, audio: "libopus", colour: "lime"})
	again := encode(t, clipSpec{size: "640x360", seconds: 1, audio: "libopus", colour: "blue"})
	at := &clock{}
	var sources []Source
	for _, c := range []clip{small, large, again} {
		sources = append(sources, c.sources(at)...)
	}
	r := remuxFile(t, sources)
	near(t, "the duration", r.duration(t), 6, 0.07)
	if r.info.Width != 1280 || r.info.Height != 720 {
		t.Errorf("Info says %dx%d", r.info.Width, r.info.Height)
	}
	sizes := strings.Join(r.frameSizes(t), ", ")
	if want := "640,360 x 60, 1280,720 x 90, 640,360 x 30"; sizes != want {
		t.Errorf("decoded frames: %s, want %s", sizes, want)
	}
	for at, main := range map[string]int{"1": 0, "1.95": 0, "2.05": 1, "4.95": 1, "5.05": 2, "5.9": 2} {
		got := r.pixel(t, at)
		for i, v := range got {
			if (i == main) != (v > 128) {
				t.Errorf("the colour at %s s is %v", at, got)
				break
			}
		}
	}
}

// Where the parameter set changes, every key frame tells its own, also before
// the change, so that a player which does not heed sample entries can seek. A
// recording with one is copied as it is.
func TestRemuxInBandParameterSets(t *testing.T) {
	t.Parallel()
	small := encode(t, clipSpec{size: "320x180", seconds: 2})
	large := encode(t, clipSpec{size: "640x360", seconds: 2})
	at := &clock{}
	both := remuxFile(t, append(small.sources(at), large.sources(at)...))
	for _, c := range []clip{small, large} {
		if n := both.count(t, c.init.Video); n != 2 {
			t.Errorf("%d key frames of 2 have their parameter set in-band", n)
		}
	}
	one := remuxFile(t, small.sources(&clock{}))
	if n := one.count(t, small.init.Video); n != 0 {
		t.Errorf("%d key frames have the only parameter set in-band", n)
	}
}

// count counts a parameter set as it stands in samples.
func (r remuxed) count(t *testing.T, c *VideoConfig) int {
	t.Helper()
	data, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(data, AppendAVCC(nil, c.SPS, c.PPS))
}

// Gaps do not count: after a reconnect with a jump, and after a restart that
// counts from 0 again, the timeline goes on where it was.
func TestRemuxReconnect(t *testing.T) {
	t.Parallel()
	c := encode(t, clipSpec{size: "320x180", seconds: 2, audio: "libopus"})
	for name, next := range map[string]*clock{
		"jump":    {video: 60 * VideoTimescale, audio: 60 * OpusTimescale},
		"restart": {},
	} {
		t.Run(name, func(t *testing.T) {
			at := &clock{video: 7 * VideoTimescale, audio: 7 * OpusTimescale}
			sources := append(c.sources(at), c.sources(next)...)
			r := remuxFile(t, sources)
			near(t, "the duration", r.duration(t), 4, 0.05)
			near(t, "the start", seconds(t, r.probe.Format.Start), 0, 0.001)
		})
	}
}

// Tracks that end apart are joined each to its own, over a reconnect too: no
// frame is held and no sound is missing.
func TestRemuxSkewedReconnect(t *testing.T) {
	audio := func(base uint64, n int) *Run {
		r := &Run{BaseTime: base}
		for range n {
			r.Samples = append(r.Samples, Sample{Duration: 960, Key: true, Data: []byte{1}})
		}
		return r
	}
	video := func(base uint64, n int) *Run {
		r := &Run{BaseTime: base}
		for range n {
			r.Samples = append(r.Samples, Sample{Duration: 3000, Key: true, Data: []byte{1}})
		}
		return r
	}
	init := Init{Video: testVideo(t), Audio: testOpus()}.Marshal()
	source := func(f Fragment) Source { return memorySource{init, f.AppendTo(nil)} }
	plan := newRemuxPlan()
	err := plan.readAll(context.Background(), []Source{
		source(Fragment{Video: video(0, 60), Audio: audio(0, 60)}), // 2 s and 1.2 s
		source(Fragment{Video: video(180_000, 60), Audio: audio(57_600, 100)}),
		source(Fragment{Video: video(9_000_000, 60), Audio: audio(4_761_600, 100)}), // 100 s and 99.2 s
		source(Fragment{Video: video(0, 60)}),
		source(Fragment{Audio: audio(0, 50)}),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := plan.video.deltas, []repeat{{240, 3000}}; !slices.Equal(got, want) {
		t.Errorf("video durations %v, want %v", got, want)
	}
	if got, want := plan.audio.deltas, []repeat{{310, 960}}; !slices.Equal(got, want) {
		t.Errorf("audio durations %v, want %v", got, want)
	}
}

// A track that starts later does so in the file.
func TestRemuxLateAudio(t *testing.T) {
	t.Parallel()
	c := encode(t, clipSpec{size: "320x180", seconds: 3, audio: "libopus"})
	c.init.Audio.PreSkip = 0
	sources := c.sources(&clock{audio: OpusTimescale / 2})
	r := remuxFile(t, sources)
	for _, s := range r.probe.Streams {
		want := 0.0
		if s.CodecType == "audio" {
			want = 0.5
		}
		near(t, s.CodecType+" start", seconds(t, s.StartTime), want, 0.001)
	}
	near(t, "the duration", r.duration(t), 3.5, 0.05)
}

// A recording that loses its audio and gets it back keeps the two together.
func TestRemuxAudioComesAndGoes(t *testing.T) {
	t.Parallel()
	with := encode(t, clipSpec{size: "320x180", seconds: 2, audio: "libopus"})
	without := encode(t, clipSpec{size: "320x180", seconds: 2})
	at := &clock{}
	sources := append(with.sources(at), without.sources(at)...)
	at.audio = at.video * OpusTimescale / VideoTimescale
	second := at.audio
	sources = append(sources, with.sources(at)...)
	r := remuxFile(t, sources)
	near(t, "the duration", r.duration(t), 6, 0.05)
	out := tool(t, "ffprobe", "-select_streams", "a", "-show_entries", "packet=dts_time", "-of", "csv=p=0", r.path)
	times := strings.Fields(string(out))
	skip := float64(with.init.Audio.PreSkip) / OpusTimescale
	near(t, "the second part's first audio", seconds(t, strings.TrimSuffix(times[len(with.audio)], ",")),
		float64(second)/OpusTimescale, skip+0.002)
}

func TestRemuxLargeFile(t *testing.T) {
	t.Parallel()
	c := encode(t, clipSpec{size: "320x180", seconds: 2, audio: "libopus"})
	path := filepath.Join(t.TempDir(), "wide.mp4")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := remux(context.Background(), f, c.sources(&clock{}), nil, func(int64, int64) {}, 0); err != nil {
		t.Fatal(err)
	}
	decode(t, path)
	head := make([]byte, 64<<10)
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !bytes.Contains(head, []byte("co64")) || bytes.Contains(head, []byte("stco")) {
		t.Error("the chunk offsets do not have 64 bits")
	}
}

func TestRemuxRefuses(t *testing.T) {
	opus := Init{Audio: &AudioConfig{Codec: Opus, SampleRate: 48000, Channels: 2}}
	aac, err := ParseAAC([]byte{0x12, 0x10})
	if err != nil {
		t.Fatal(err)
	}
	frame := Sample{Duration: 960, Key: true, Data: []byte{1, 2, 3}}
	good := memorySource{opus.Marshal(), (&Fragment{Audio: &Run{Samples: []Sample{frame}}}).AppendTo(nil)}
	video := (&Fragment{Video: &Run{Samples: []Sample{frame}}}).AppendTo(nil)
	far := (&Fragment{Audio: &Run{BaseTime: math.MaxUint64, Samples: []Sample{frame}}}).AppendTo(nil)
	huge := bytes.Clone(good.data)
	binary.BigEndian.PutUint32(huge, math.MaxUint32)
	for _, test := range []struct {
		name, says string
		sources    []Source
	}{
		{"nothing", "no samples", nil},
		{"no samples", "no samples", []Source{memorySource{opus.Marshal(), nil}}},
		{"another codec", "from Opus at 48000 Hz to AAC at 44100 Hz", []Source{good, memorySource{Init{Audio: &aac}.Marshal(), good.data}}},
		{"a track without init", "segment 2 of 2: it has a track", []Source{good, memorySource{opus.Marshal(), video}}},
		{"a broken init", "segment 1 of 1: init segment", []Source{memorySource{[]byte("nonsense"), good.data}}},
		{"an init as segment", "not a media segment", []Source{memorySource{opus.Marshal(), opus.Marshal()}}},
		{"cut off", "segment 1 of 1", []Source{memorySource{opus.Marshal(), good.data[:len(good.data)-1]}}},
		{"a box too large", "says it has", []Source{memorySource{opus.Marshal(), huge}}},
		{"a time out of this world", "cannot be right", []Source{memorySource{opus.Marshal(), far}}},
		{"gone", "segment 1 of 1: its init segment: file does not exist", []Source{goneSource{}}},
		{"shortened", "became shorter", []Source{&shrinkingSource{memorySource: good}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Remux(context.Background(), io.Discard, test.sources, nil, nil)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, it should say %q", err, test.says)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Remux(ctx, io.Discard, []Source{good}, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v after a cancel", err)
	}
	full := writerFunc(func([]byte) (int, error) { return 0, io.ErrShortWrite })
	if _, err := Remux(context.Background(), full, []Source{good}, nil, nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("the error is %v from a writer that fails", err)
	}
}

type goneSource struct{}

func (goneSource) Init(context.Context) ([]byte, error) { return nil, os.ErrNotExist }
func (goneSource) Open(context.Context) (io.ReadSeekCloser, error) {
	return nil, os.ErrNotExist
}

// shrinkingSource loses its last byte after it has been opened once.
type shrinkingSource struct {
	memorySource
	opened int
}

func (s *shrinkingSource) Open(ctx context.Context) (io.ReadSeekCloser, error) {
	if s.opened++; s.opened > 1 {
		s.data = s.data[:len(s.data)-1]
	}
	return s.memorySource.Open(ctx)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
