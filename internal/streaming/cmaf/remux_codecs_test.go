package cmaf

import (
	"context"
	"io"
	"math"
	"strings"
	"testing"
)

// Every codec survives a change of resolution and back, with B-frames or without.
func TestRemuxCodecs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, codec string
		video       []string
		audio       string
	}{
		{"H264 with B-frames", "", []string{"-bf", "3"}, "aac"},
		{"H265", "libx265", nil, "libopus"},
		{"H265 with B-frames", "libx265", []string{"-x265-params", "log-level=none:bframes=3:keyint=30:open-gop=0"}, "aac"},
		{"VP8", "libvpx", nil, ""},
		{"VP9", "libvpx-vp9", nil, "libopus"},
		{"AV1", "libaom-av1", nil, "libopus"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := &clock{}
			var sources []Source
			var names []string
			for _, size := range []string{"320x180", "640x360", "320x180"} {
				c := encode(t, clipSpec{size: size, seconds: 1, codec: test.codec, video: test.video, audio: test.audio})
				sources = append(sources, c.sources(at)...)
				if name := c.init.Video.CodecString(); !strings.Contains(strings.Join(names, " "), name) {
					names = append(names, name)
				}
			}
			r := remuxFile(t, sources)
			near(t, "the duration", r.duration(t), 3, 0.08) // whole frames of audio
			near(t, "the start", seconds(t, r.probe.Format.Start), 0, 0.001)
			if sizes, want := strings.Join(r.frameSizes(t), ", "), "320,180 x 30, 640,360 x 30, 320,180 x 30"; sizes != want {
				t.Errorf("decoded frames: %s, want %s", sizes, want)
			}
			if got := strings.Join(r.info.Codecs, " "); !strings.HasPrefix(got, strings.Join(names, " ")) {
				t.Errorf("the codecs are %s, want %s", got, names)
			}
		})
	}
}

// Pictures are presented in their order and at their times, the first one at 0,
// whether the offsets of B-frames are signed or all positive, and the sound
// keeps its place beside them.
func TestRemuxCompositionOffsets(t *testing.T) {
	t.Parallel()
	c := encode(t, clipSpec{size: "320x180", seconds: 2, audio: "aac", video: []string{"-bf", "3"}})
	var least int32
	for _, s := range c.video {
		least = min(least, s.CompositionOffset)
	}
	if least >= 0 {
		t.Fatal("the clip has no B-frames")
	}
	for name, raise := range map[string]int32{"signed": 0, "positive": -least, "before the decoding time": 2 * least} {
		t.Run(name, func(t *testing.T) {
			raised := c
			raised.video = append([]Sample(nil), c.video...)
			for i := range raised.video {
				raised.video[i].CompositionOffset += raise
			}
			r := remuxFile(t, raised.sources(&clock{video: 900_000, audio: 10 * uint64(c.init.Audio.SampleRate)}))
			var video, audio []float64
			for _, p := range probePackets(t, r.path) {
				if p.kind == "audio" {
					audio = append(audio, p.pts)
				} else {
					video = append(video, p.pts)
				}
			}
			// ffprobe may move all of a file whose offsets are negative, so what
			// counts is the order, the steps, and the distance to the sound.
			first, last := math.Inf(1), 0.0
			for _, v := range video {
				first, last = min(first, v), max(last, v)
			}
			near(t, "first to last picture", last-first, float64(len(video)-1)/30, 0.001)
			near(t, "the sound after the first picture", audio[0]-shown(t, r, "v"), -float64(raise)/VideoTimescale, 0.001)
			near(t, "the start", min(shown(t, r, "v"), shown(t, r, "a")), 0, 0.001)
		})
	}
}

// shown returns when a decoder shows the first frame of a track.
func shown(t *testing.T, r remuxed, kind string) float64 {
	t.Helper()
	out := tool(t, "ffprobe", "-select_streams", kind, "-read_intervals", "%+#1", "-show_entries", "frame=best_effort_timestamp_time",
		"-of", "csv=p=0", r.path)
	return seconds(t, strings.TrimSuffix(strings.Fields(string(out))[0], ","))
}

// Another codec in the course of a recording cannot be in its MP4.
func TestRemuxRefusesAnotherVideoCodec(t *testing.T) {
	vp8, err := ParseVP8(testVP8)
	if err != nil {
		t.Fatal(err)
	}
	media := (&Fragment{Video: &Run{Samples: []Sample{{Duration: 3000, Key: true, Data: []byte{1}}}}}).AppendTo(nil)
	_, err = Remux(context.Background(), io.Discard, []Source{
		memorySource{Init{Video: testVideo(t)}.Marshal(), media}, memorySource{Init{Video: &vp8}.Marshal(), media}}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "segment 2 of 2: the video changes from H264 to VP8") {
		t.Errorf("the error is %v", err)
	}
}
