package rtmp

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

const (
	aacSamples = 1024 // of a frame
	// After this many frames in a row that are off by more than half a frame,
	// one was left out.
	offFrames = 16
)

// audioTrack is the publisher's audio.
type audioTrack struct {
	config *cmaf.AudioConfig // nil until its header came
	report reports

	begun bool
	next  int64 // where the next frame begins if none is missing, in samples
	off   int   // frames in a row that say otherwise
}

// header takes an AudioSpecificConfig or an OpusHead. Errors: errs.Unsupported
// for what cannot be taken, and for another format than before.
func (t *audioTrack) header(codec cmaf.AudioCodec, data []byte) error {
	var config cmaf.AudioConfig
	var err error
	if codec == cmaf.AAC {
		config, err = parseAAC(data)
	} else {
		if bytes.HasPrefix(data, []byte("OpusTags")) {
			return nil // the comments, which may come as a header too
		}
		config, err = parseOpusHead(data)
	}
	if err != nil {
		return &errs.Error{Code: errs.Unsupported, Message: "the " + codec.String() + " audio cannot be taken: " + err.Error(), Err: err}
	}
	if t.config != nil && !t.config.Equal(config) {
		return errs.New(errs.Unsupported, "the audio format has changed within the broadcast; publish anew")
	}
	t.config = &config
	return nil
}

// parseAAC refuses frames of 960 samples (14496-3, frameLengthFlag), which
// nothing else sends than digital radio.
func parseAAC(asc []byte) (cmaf.AudioConfig, error) {
	config, err := cmaf.ParseAAC(asc)
	if err != nil {
		return cmaf.AudioConfig{}, err
	}
	at := 13 // bits: object type, rate, channels
	if asc[0]&7 == 7 && asc[1]&0x80 != 0 {
		at += 24 // the rate as a number
	}
	if at/8 < len(asc) && asc[at/8]>>(7-at%8)&1 == 1 {
		return cmaf.AudioConfig{}, errors.New("AAC frames of 960 samples; 1024 are supported")
	}
	return config, nil
}

// parseOpusHead reads an identification header (RFC 7845, 5.1).
func parseOpusHead(head []byte) (cmaf.AudioConfig, error) {
	if len(head) < 19 || !bytes.HasPrefix(head, []byte("OpusHead")) || head[8]&0xf0 != 0 {
		return cmaf.AudioConfig{}, errors.New("it has no OpusHead of version 1")
	}
	channels, family := int(head[9]), head[18]
	if channels < 1 || channels > 2 || family != 0 {
		return cmaf.AudioConfig{}, errors.New("mono and stereo are supported")
	}
	return cmaf.AudioConfig{
		Codec: cmaf.Opus, Channels: channels,
		PreSkip: binary.LittleEndian.Uint16(head[10:]), SampleRate: int(binary.LittleEndian.Uint32(head[12:])),
	}, nil
}

// place returns where a frame begins, in the track's timescale. RTMP counts in
// ms, which no AAC frame is a whole number of: so the samples are counted, until
// the timestamps say something else. Opus packets are whole ms.
func (t *audioTrack) place(at mediaTime) int64 {
	place := at.ticks(int64(t.config.Timescale()))
	if t.config.Codec != cmaf.AAC {
		return place
	}
	diff := max(place-t.next, t.next-place)
	if diff > aacSamples/2 {
		t.off++
	} else {
		t.off = 0
	}
	if !t.begun || diff > aacSamples || t.off >= offFrames {
		t.begun, t.next, t.off = true, place, 0
	}
	place = t.next
	t.next += aacSamples
	return place
}
