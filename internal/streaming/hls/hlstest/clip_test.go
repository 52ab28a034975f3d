package hlstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Parameter sets of 320x180 and 640x360, Baseline.
func smallSPS() []byte {
	return []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9e, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0xa4, 0x80}
}

func largeSPS() []byte {
	return []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2e, 0x48}
}

// clip makes segments of 2 s: 25 pictures a second with 10 parts, and Opus. Some
// part of it may be told to be wrong.
type clip struct {
	init      cmaf.Init
	pictures  int // bytes of a picture
	startAt   uint64
	noKey     bool // no picture is a key frame
	noIDR     bool // key frames have no IDR slice
	everyKey  bool // all parts begin with key frames
	keyAt     int  // a part that begins with one besides the first of each segment
	audioOnly bool
}

func newClip(t testing.TB, sps []byte) *clip {
	t.Helper()
	video, err := cmaf.ParseAVC(sps, []byte{0x68, 0xcb, 0x83, 0xcb, 0x20})
	if err != nil {
		t.Fatal(err)
	}
	return &clip{init: cmaf.Init{Video: &video, Audio: &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2, PreSkip: 312}}, pictures: 1000}
}

// part returns a part of 0.2 s, the n-th since the start.
func (c *clip) part(n int) []byte {
	f := cmaf.Fragment{Sequence: uint32(n + 1), Audio: &cmaf.Run{BaseTime: c.startAt/90*48 + uint64(n)*9600}}
	for range 10 {
		f.Audio.Samples = append(f.Audio.Samples, cmaf.Sample{Duration: 960, Key: true, Data: []byte{0xfc, byte(n), 2}})
	}
	if !c.audioOnly {
		f.Video = &cmaf.Run{BaseTime: c.startAt + uint64(n)*18000}
	}
	for i := range 5 {
		if c.audioOnly {
			break
		}
		s := cmaf.Sample{Duration: 3600, Key: i == 0 && (n%10 == 0 || c.everyKey || n == c.keyAt) && !c.noKey, Data: make([]byte, c.pictures)}
		s.Data[2], s.Data[3] = byte((c.pictures-4)>>8), byte(c.pictures-4)
		s.Data[4] = 0x41
		if s.Key && !c.noIDR {
			s.Data[4] = 0x65
		}
		f.Video.Samples = append(f.Video.Samples, s)
	}
	return f.AppendTo(cmaf.AppendSegmentType(nil))
}

// segment returns the n-th segment with its parts.
func (c *clip) segment(n int) Loaded {
	s := Loaded{
		Segment: Segment{URI: fmt.Sprintf("1-%d.mp4", n), Duration: 2 * time.Second, Init: "init-1.mp4"},
		MSN:     uint64(n), InitData: c.init.Marshal(), IndependentSegments: true,
	}
	for i := range 10 {
		data := c.part(n*10 + i)
		s.Parts = append(s.Parts, Part{URI: fmt.Sprintf("1-%d.%d.mp4", n, i), Duration: 200 * time.Millisecond, Independent: i == 0 || c.everyKey || c.audioOnly})
		s.PartData = append(s.PartData, data)
		s.Data = append(s.Data, data...)
	}
	return s
}

// withGaps returns the n-th segment, whose first parts are gaps.
func (c *clip) withGaps(n, gaps int) Loaded {
	late := *c
	late.keyAt = n*10 + gaps
	s := late.segment(n)
	s.Data = nil
	for i := range s.Parts {
		if i < gaps {
			s.Parts[i].Gap, s.Parts[i].Independent, s.PartData[i] = true, false, nil
			continue
		}
		s.Parts[i].Independent = i == gaps
		s.Data = append(s.Data, s.PartData[i]...)
	}
	return s
}

// play adds segments to a Content until something is wrong.
func play(segments ...Loaded) (*Content, error) {
	var c Content
	for _, s := range segments {
		if err := c.Add(s); err != nil {
			return &c, err
		}
	}
	return &c, nil
}
