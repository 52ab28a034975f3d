package cmaf

import (
	"bytes"
	"strconv"
	"testing"
)

// What a player gets, init and segments, decodes without a complaint and has
// every frame that went in.
func TestSegmentsDecode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		spec clipSpec
	}{
		{"H264 and Opus", clipSpec{size: "320x180", seconds: 2, audio: "libopus"}},
		{"H264 and AAC", clipSpec{size: "320x180", seconds: 2, audio: "aac"}},
		{"video alone", clipSpec{size: "320x180", seconds: 2}},
		{"B-frames", clipSpec{size: "320x180", seconds: 3, audio: "libopus", video: []string{"-bf", "2", "-profile:v", "high"}}},
		{"4:4:4", clipSpec{size: "322x182", seconds: 1, video: []string{"-pix_fmt", "yuv444p"}}},
		{"H265 and AAC", clipSpec{size: "320x180", seconds: 2, audio: "aac", codec: "libx265"}},
		{"H265 with B-frames", clipSpec{size: "320x180", seconds: 2, codec: "libx265", video: []string{"-x265-params", "log-level=none:bframes=3"}}},
		{"VP8", clipSpec{size: "322x182", seconds: 1, codec: "libvpx"}},
		{"VP9 and Opus", clipSpec{size: "320x180", seconds: 2, audio: "libopus", codec: "libvpx-vp9"}},
		{"AV1 and Opus", clipSpec{size: "320x180", seconds: 2, audio: "libopus", codec: "libaom-av1"}},
		{"AV1 of SVT", clipSpec{size: "320x180", seconds: 1, codec: "libsvtav1"}},
		{"baseline, odd cropping", clipSpec{size: "426x238", seconds: 1, video: []string{"-profile:v", "baseline"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := encode(t, test.spec)
			segments := c.segments(&clock{})
			path := writeFile(t, "live.mp4", c.init.Marshal(), bytes.Join(segments, nil))
			decode(t, path)
			p := probe(t, path)
			for _, s := range p.Streams {
				want := len(c.audio)
				if name := map[string]string{"": "h264", "libx265": "hevc", "libvpx": "vp8", "libvpx-vp9": "vp9",
					"libaom-av1": "av1", "libsvtav1": "av1"}[test.spec.codec]; s.CodecType == "video" && s.CodecName != name {
					t.Errorf("ffprobe says it is %s", s.CodecName)
				}
				if s.CodecType == "video" {
					want = len(c.video)
					if size := strconv.Itoa(s.Width) + "x" + strconv.Itoa(s.Height); size != test.spec.size {
						t.Errorf("ffprobe says %s", size)
					}
				}
				if s.Packets != strconv.Itoa(want) {
					t.Errorf("%s: %s packets, want %d", s.CodecName, s.Packets, want)
				}
			}
			if c.init.Video.Width*c.init.Video.Height == 0 {
				t.Error("no picture size")
			}
		})
	}
}

// The size in an SPS is the one that ffprobe finds.
func TestParseAVCSizes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size, codec string
		width       int
		height      int
		video       []string
	}{
		{"640x360", "avc1.42c01e", 640, 360, []string{"-profile:v", "baseline"}},
		{"1920x1080", "avc1.4d4028", 1920, 1080, []string{"-profile:v", "main", "-preset", "veryfast"}},
		{"854x480", "avc1.64001f", 854, 480, []string{"-profile:v", "high", "-preset", "veryfast", "-x264-params", "cqm=jvt"}},
		{"322x182", "avc1.7a000d", 322, 182, []string{"-profile:v", "high422", "-pix_fmt", "yuv422p10le"}},
		{"321x181", "avc1.f4000d", 321, 181, []string{"-profile:v", "high444", "-pix_fmt", "yuv444p"}},
		{"720x576", "avc1.4d401f", 720, 576, []string{"-profile:v", "main", "-preset", "veryfast", "-flags", "+ildct+ilme", "-x264-params", "tff=1"}},
	} {
		t.Run(test.size, func(t *testing.T) {
			t.Parallel()
			c := encode(t, clipSpec{size: test.size, seconds: 0.2, video: test.video})
			v := c.init.Video
			if v.Width != test.width || v.Height != test.height {
				t.Errorf("%dx%d, want %s", v.Width, v.Height, test.size)
			}
			if v.CodecString()[:7] != test.codec[:7] {
				t.Errorf("codec %s, want %s", v.CodecString(), test.codec)
			}
		})
	}
}
