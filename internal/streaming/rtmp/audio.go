package rtmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

const (
	aacSamples = 1024 // of a frame
	// After this many frames in a row that are off by more than half a frame,
	// one was left out.
	offFrames = 16
	// How many frames the difference of both clocks is averaged over: long enough
	// for timestamps that jump about, short enough for clocks that go apart.
	lagFrames = 64
)

// audioTrack is the publisher's audio.
type audioTrack struct {
	config *cmaf.AudioConfig // nil until its header came
	report reports

	begun bool
	next  int64   // where the next frame begins if none is missing, in samples
	lag   float64 // of the samples behind the timestamps, in samples
	off   int     // frames in a row that say otherwise
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

// place returns where a frame begins, in the track's timescale, and when that is
// by the clock that both tracks share. RTMP counts in ms, which no AAC frame is a
// whole number of, and often by another clock than the sound card's: so the
// samples are counted, and how the timestamps go away from them is followed
// slowly, for the picture to follow the sound. Frames are missing where they
// jump. Opus packets are whole ms.
func (t *audioTrack) place(at mediaTime) (ticks int64, shared mediaTime) {
	rate := int64(t.config.Timescale())
	if t.config.Codec != cmaf.AAC {
		return at.ticks(rate), at
	}
	stamped := at.ticks(rate)
	diff := float64(stamped-t.next) - t.lag
	t.off++
	switch off := math.Abs(diff); {
	case !t.begun:
		t.begun, t.next, t.off = true, stamped, 0
	case off > aacSamples || off > aacSamples/2 && t.off >= offFrames:
		t.next += int64(math.Round(diff))
		t.off = 0
	case off <= aacSamples/2:
		t.lag += diff / lagFrames
		t.off = 0
	}
	ticks = t.next
	t.next += aacSamples
	return ticks, mediaTime((float64(ticks%rate)+t.lag)*float64(time.Second)/float64(rate)) + mediaTime(ticks/rate*int64(time.Second))
}
