package flv

import (
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Frame types (VideoTagHeader).
const (
	keyFrame     = 1
	generatedKey = 4
	commandFrame = 5
)

// Codec ids (VideoTagHeader). That of H265 is an older extension, which many
// encoders speak.
const (
	idAVC  = 7
	idHEVC = 12
)

const videoMultitrack = 6

// VideoCodecs names the codecs that ParseVideo takes, for people.
const VideoCodecs = "H264, H265, AV1 or VP9"

// ParseVideo takes a video message apart. Errors: errs.Unsupported for other
// codecs, naming those that are taken, and plain ones for what is damaged.
func ParseVideo(message []byte) (Video, error) {
	if len(message) == 0 {
		return Video{}, nil
	}
	f := &fields{b: message}
	first := f.u8()
	kind := first >> 4 & 7
	v := Video{Key: kind == keyFrame || kind == generatedKey}
	var err error
	if first&0x80 != 0 {
		err = v.enhanced(f, kind, first&15)
	} else {
		err = v.legacy(f, kind, first&15)
	}
	if err == nil {
		err = f.err
	}
	if err != nil {
		return Video{}, fmt.Errorf("a video message: %w", err)
	}
	return v, nil
}

func (v *Video) legacy(f *fields, kind, codec uint8) error {
	if kind == commandFrame {
		return nil
	}
	switch codec {
	case idAVC:
		v.Codec = cmaf.H264
	case idHEVC:
		v.Codec = cmaf.H265
	default:
		return unsupported("video", legacyVideoName(codec), VideoCodecs)
	}
	packet, offset := f.u8(), f.s24()
	switch packet {
	case sequenceStart:
		v.Kind = Header
	case codedFrames:
		v.Kind, v.Offset = Frame, offset
	case sequenceEnd:
		v.Kind = End
	}
	v.Data = f.b
	return nil
}

func (v *Video) enhanced(f *fields, kind, packet uint8) error {
	e := enhanced{packet: packet}
	f.modifiers(&e)
	const metadata, mpegTS = 4, 5
	if e.packet == metadata || e.packet == mpegTS || kind == commandFrame {
		return nil
	}
	f.track(&e, videoMultitrack)
	v.Nano, v.Skipped = e.nano, e.skipped
	if f.err != nil || e.none {
		return nil
	}
	switch e.fourCC {
	case "avc1":
		v.Codec = cmaf.H264
	case "hvc1":
		v.Codec = cmaf.H265
	case "av01":
		v.Codec = cmaf.AV1
	case "vp09":
		v.Codec = cmaf.VP9
	default:
		return unsupported("video", printable(e.fourCC), VideoCodecs)
	}
	v.enhancedBody(f, e.packet)
	return nil
}

// enhancedBody reads what follows the codec.
func (v *Video) enhancedBody(f *fields, packet uint8) {
	switch packet {
	case sequenceStart:
		v.Kind = Header
	case codedFrames:
		v.Kind = Frame
		if v.Codec == cmaf.H264 || v.Codec == cmaf.H265 {
			v.Offset = f.s24()
		}
	case codedFramesX:
		v.Kind = Frame
	case sequenceEnd:
		v.Kind = End
	}
	v.Data = f.b
}

func legacyVideoName(codec uint8) string {
	switch codec {
	case 2:
		return "Sorenson H.263"
	case 3, 6:
		return "Screen video"
	case 4, 5:
		return "VP6"
	}
	return fmt.Sprintf("number %d", codec)
}
