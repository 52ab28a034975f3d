package transcode

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// noLimits lets a test send faster than real time.
func noLimits() Limits { return Limits{QueueFrames: 10_000, QueueBytes: 1 << 30} }

// TestVideo has every codec made H264, frame for frame.
func TestVideo(t *testing.T) {
	tests := []struct {
		kind                         string
		width, height, rung          int
		outWidth, outHeight, offsets int
	}{
		{"H264", 1280, 720, 480, 854, 480, 0},
		{"H264", 640, 360, 480, 640, 360, 0}, // nothing is enlarged
		{"H264", 360, 640, 240, 240, 426, 0}, // a phone held upright
		{"H264-B", 640, 360, 240, 426, 240, 1},
		{"H265", 640, 360, 240, 426, 240, 0},
		{"VP8", 640, 360, 0, 640, 360, 0},
		{"VP9", 640, 360, 0, 640, 360, 0},
		{"AV1", 640, 360, 0, 640, 360, 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %dx%d to %d", tt.kind, tt.width, tt.height, tt.rung), func(t *testing.T) {
			picture := moving(tt.width, tt.height)
			in := makeVideo(t, tt.kind, picture, 75)
			h := &heard{}
			v := NewVideo(tools(t), h.video(VideoConfig{Height: tt.rung, Limits: noLimits()}), logTo(t))
			defer v.Close()
			for _, f := range in {
				v.Video(f.Video, f.at)
			}
			v.End()
			ended(t, v.Done())
			h.checkVideo(t, in)
			if len(h.gaps) > 0 || len(h.frames) != len(in) {
				t.Fatalf("%d frames of %d, gaps %v, %+v", len(h.frames), len(in), h.gaps, v.Stats())
			}
			c := h.frames[0].Config
			if c.Width != tt.outWidth || c.Height != tt.outHeight {
				t.Errorf("the picture has %dx%d pixels", c.Width, c.Height)
			}
			for i, f := range h.frames {
				nals := must(cmaf.SplitAVCC(f.Data))(t)
				kind := cmaf.NALType(nals[len(nals)-1])
				if f.Offset != int32(tt.offsets*tick) || kind != map[bool]int{true: cmaf.NALIDR, false: cmaf.NALSlice}[f.Key] {
					t.Fatalf("frame %d: offset %d, NAL unit %d", i, f.Offset, kind)
				}
			}
			samePictures(t, h.frames, picture)
		})
	}
}

// samePictures decodes frames and looks for each among the pictures that were
// encoded: the nearest must be its own.
func samePictures(t *testing.T, frames []placed, picture string) {
	t.Helper()
	const w, h = 160, 90
	var stream []byte
	for _, f := range frames {
		stream = must(appendElementary(stream, cmaf.H264, f.Config, f.Data))(t)
	}
	scale := []string{"-vf", fmt.Sprintf("scale=%d:%d,format=gray", w, h), "-fps_mode", "passthrough", "-f", "rawvideo", "-"}
	got := ffmpeg(t, stream, append([]string{"-v", "error", "-f", "h264", "-i", "-"}, scale...)...)
	want := ffmpeg(t, nil, append([]string{"-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", fmt.Sprint(len(frames))}, scale...)...)
	if len(got) != len(want) || len(got) != len(frames)*w*h {
		t.Fatalf("%d and %d bytes of pictures", len(got), len(want))
	}
	at := func(b []byte, i int) []byte { return b[i*w*h : (i+1)*w*h] }
	for i := range frames {
		best, nearest := -1, 1<<62
		for j := max(0, i-3); j < min(len(frames), i+4); j++ {
			if d := distance(at(got, i), at(want, j)); d < nearest {
				best, nearest = j, d
			}
		}
		if best != i {
			t.Fatalf("frame %d shows picture %d", i, best)
		}
	}
}

func distance(a, b []byte) int {
	sum := 0
	for i := range a {
		d := int(a[i]) - int(b[i])
		sum += d * d
	}
	return sum
}

func TestIVF(t *testing.T) {
	c := &cmaf.VideoConfig{Codec: cmaf.H264, SPS: []byte{0x67, 1}, PPS: []byte{0x68, 2}, Width: 640, Height: 360}
	b := appendIVFHeader(nil, c)
	b, err := appendIVFFrame(b, c.Codec, c, cmaf.AppendAVCC(nil, []byte{0x65, 3}), 90000)
	if err != nil {
		t.Fatal(err)
	}
	b, err = appendIVFFrame(b, c.Codec, nil, []byte{0, 0, 0, 9, 1}, 93000)
	want := "DKIF\x00\x00\x20\x00H264\x80\x02\x68\x01\x90\x5f\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x12\x00\x00\x00\x90\x5f\x01\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x01\x67\x01\x00\x00\x00\x01\x68\x02\x00\x00\x00\x01\x65\x03"
	if err == nil || !bytes.Equal(b, []byte(want)) {
		t.Errorf("a broken frame: %v; the stream: %q", err, b)
	}
}

// Both are taps.
var (
	_ frame.Tap = (*Video)(nil)
	_ frame.Tap = (*Audio)(nil)
)
