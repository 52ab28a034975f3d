package transcode

import (
	"bytes"
	"context"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// segmentOf makes an init segment and a segment of one second, the first frame
// of which is a key frame.
func segmentOf(t *testing.T, kind string) (init, segment []byte) {
	t.Helper()
	frames := makeVideo(t, kind, "color=red:size=640x360:rate=30", 30)
	run := &cmaf.Run{}
	for _, f := range frames {
		run.Samples = append(run.Samples, cmaf.Sample{Duration: tick, Key: f.Key, Data: f.Data, CompositionOffset: f.Offset})
	}
	return cmaf.Init{Video: frames[0].Config}.Marshal(), (&cmaf.Fragment{Sequence: 1, Video: run}).AppendTo(cmaf.AppendSegmentType(nil))
}

func TestStill(t *testing.T) {
	for _, kind := range []string{"H264", "VP8", "VP9", "AV1", "H265"} {
		t.Run(kind, func(t *testing.T) {
			init, segment := segmentOf(t, kind)
			for _, tt := range []struct{ width, w, h int }{{320, 320, 180}, {1280, 640, 360}, {101, 100, 56}} {
				picture := must(NewStills(tools(t), 1).Still(t.Context(), init, segment, tt.width))(t)
				img := must(jpeg.Decode(bytes.NewReader(picture)))(t)
				if b := img.Bounds(); b.Dx() != tt.w || b.Dy() != tt.h {
					t.Errorf("width %d: %v", tt.width, b)
				}
				if r, g, b, _ := img.At(20, 20).RGBA(); r < 0xe000 || g > 0x2000 || b > 0x2000 {
					t.Errorf("the colour is %x %x %x", r, g, b)
				}
			}
		})
	}
}

func TestStillRefuses(t *testing.T) {
	init, segment := segmentOf(t, "H264")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		tools   Tools
		ctx     context.Context
		segment []byte
		width   int
		code    errs.Code
		says    string
	}{
		"no ffmpeg":   {Tools{}, t.Context(), segment, 320, errs.Unsupported, "no ffmpeg"},
		"no width":    {tools(t), t.Context(), segment, 0, errs.Invalid, "0 pixels wide"},
		"rubbish":     {tools(t), t.Context(), []byte("rubbish"), 320, errs.Internal, "picture"},
		"nothing":     {tools(t), t.Context(), nil, 320, errs.Internal, "picture"},
		"it hangs":    {script(t, "sleep 600 & wait"), t.Context(), segment, 320, errs.Internal, "too long"},
		"it fails":    {script(t, "echo out of luck >&2; exit 1"), t.Context(), segment, 320, errs.Internal, "out of luck"},
		"it is mad":   {script(t, "yes"), t.Context(), segment, 320, errs.Internal, "picture"},
		"not waiting": {tools(t), gone, segment, 320, errs.Unavailable, "too many"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := NewStills(tt.tools, 1)
			s.timeout = time.Second
			if name == "not waiting" {
				s.slots <- struct{}{} // somebody else's
			}
			picture, err := s.Still(tt.ctx, init, tt.segment, tt.width)
			if errs.CodeOf(err) != tt.code || picture != nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%d bytes, %v", len(picture), err)
			}
		})
	}
}
