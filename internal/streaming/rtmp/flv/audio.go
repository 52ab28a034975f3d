package flv

import (
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Sound formats (AudioTagHeader).
const (
	formatEnhanced = 9
	formatAAC      = 10
)

const audioMultitrack = 5

// AudioCodecs names the codecs that ParseAudio takes, for people.
const AudioCodecs = "AAC or Opus"

// ParseAudio takes an audio message apart. Errors are those of ParseVideo. An
// empty message is a way to say silence, and ignored.
func ParseAudio(message []byte) (Audio, error) {
	if len(message) == 0 {
		return Audio{}, nil
	}
	f := &fields{b: message}
	first := f.u8()
	var a Audio
	var err error
	switch first >> 4 {
	case formatAAC:
		a.Codec = cmaf.AAC
		a.body(f, f.u8())
	case formatEnhanced:
		err = a.enhanced(f, first&15)
	default:
		err = unsupported("audio", legacyAudioName(first>>4), AudioCodecs)
	}
	if err == nil {
		err = f.err
	}
	if err != nil {
		return Audio{}, fmt.Errorf("an audio message: %w", err)
	}
	return a, nil
}

func (a *Audio) enhanced(f *fields, packet uint8) error {
	e := enhanced{packet: packet}
	f.modifiers(&e)
	f.track(&e, audioMultitrack)
	a.Nano, a.Skipped = e.nano, e.skipped
	if f.err != nil || e.none {
		return nil
	}
	switch e.fourCC {
	case "mp4a":
		a.Codec = cmaf.AAC
	case "Opus":
		a.Codec = cmaf.Opus
	default:
		return unsupported("audio", printable(e.fourCC), AudioCodecs)
	}
	a.body(f, e.packet)
	return nil
}

func (a *Audio) body(f *fields, packet uint8) {
	switch packet {
	case sequenceStart:
		a.Kind = Header
	case codedFrames:
		a.Kind = Frame
	case sequenceEnd:
		a.Kind = End
	}
	a.Data = f.b
	if a.Kind == Frame && len(a.Data) == 0 {
		a.Kind = Ignored
	}
}

func legacyAudioName(format uint8) string {
	switch format {
	case 0, 1, 3:
		return "PCM"
	case 2, 14:
		return "MP3"
	case 4, 5, 6:
		return "Nellymoser"
	case 7, 8:
		return "G.711"
	case 11:
		return "Speex"
	}
	return fmt.Sprintf("number %d", format)
}
