// Package flv takes apart the audio and video messages of RTMP: the tags of the
// "Video File Format Specification", version 10.1 (annex E.4.2 and E.4.3), and
// their successors of enhanced RTMP, versions 1 and 2.
package flv

import (
	"encoding/binary"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Kind is what a message holds.
type Kind uint8

// The kinds. What is ignored is no media: commands, metadata, other tracks.
const (
	Ignored Kind = iota
	Header       // what a decoder needs before the first frame
	Frame
	End // of the sequence
)

// Video is a video message.
type Video struct {
	Kind  Kind
	Codec cmaf.VideoCodec
	Key   bool
	// Offset is presentation minus decoding time, in ms.
	Offset int32
	// Nano is to be added to the message's timestamp, in ns, below 1 ms.
	Nano uint32
	// Data is the decoder's configuration record, or the frame as in an MP4
	// file. It shares the message's bytes.
	Data []byte
	// Skipped says that other tracks were in the message.
	Skipped bool
}

// Audio is an audio message.
type Audio struct {
	Kind    Kind
	Codec   cmaf.AudioCodec
	Nano    uint32 // as of Video
	Data    []byte // AudioSpecificConfig or OpusHead, or a frame
	Skipped bool   // as of Video
}

var errShort = errors.New("it ends too early")

// fields reads a message from its beginning. The first failure sticks.
type fields struct {
	b   []byte
	err error
}

// take returns the next n bytes, nil when there are not as many.
func (f *fields) take(n int) []byte {
	if f.err != nil {
		return nil
	}
	if n > len(f.b) {
		f.err = errShort
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (f *fields) u8() uint8 {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) u16() int {
	if b := f.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *fields) u24() int {
	if b := f.take(3); b != nil {
		return int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	}
	return 0
}

// s24 is the signed composition time.
func (f *fields) s24() int32 { return int32(uint32(f.u24())<<8) >> 8 }

func (f *fields) fourCC() string { return string(f.take(4)) }

// enhanced is the part of an enhanced header that audio and video share.
type enhanced struct {
	packet  uint8 // packet type of the track
	fourCC  string
	nano    uint32
	none    bool // the message has no track 0
	skipped bool // or others too
}

// Packet types of both. Those of video are those of audio plus one from
// Multitrack on.
const (
	sequenceStart = 0
	codedFrames   = 1
	sequenceEnd   = 2
	codedFramesX  = 3 // video only
	modEx         = 7
)

// Multitrack types (AvMultitrackType).
const (
	oneTrack = iota
	manyTracks
	manyCodecs
)

// modifiers reads what stands before a header's real packet type
// (ExVideoTagHeader and ExAudioTagHeader, "ModEx").
func (f *fields) modifiers(e *enhanced) {
	for e.packet == modEx && f.err == nil {
		size := int(f.u8()) + 1
		if size == 256 {
			size = f.u16() + 1
		}
		data := f.take(size)
		next := f.u8()
		if next>>4 == 0 && len(data) >= 3 { // TimestampOffsetNano
			e.nano = min(uint32(data[0])<<16|uint32(data[1])<<8|uint32(data[2]), 999_999)
		}
		e.packet = next & 15
	}
}

// track goes to the bytes of track 0 (ExVideoTagBody and ExAudioTagBody).
// multitrack is the packet type that announces several.
func (f *fields) track(e *enhanced, multitrack uint8) {
	if e.packet != multitrack {
		e.fourCC = f.fourCC()
		return
	}
	kind := f.u8()
	e.packet = kind & 15
	kind >>= 4
	if kind > manyCodecs || e.packet == multitrack {
		f.err = errors.New("it has tracks in a form that is not defined")
	}
	if kind != manyCodecs {
		e.fourCC = f.fourCC()
	}
	var chosen []byte
	e.none = true
	for len(f.b) > 0 && f.err == nil {
		fourCC := e.fourCC
		if kind == manyCodecs {
			fourCC = f.fourCC()
		}
		id, size := f.u8(), len(f.b)
		if kind != oneTrack {
			size = f.u24()
		}
		data := f.take(size)
		if id != 0 || !e.none {
			e.skipped = true
			continue
		}
		e.none, e.fourCC, chosen = false, fourCC, data
	}
	f.b = chosen
}

func unsupported(kind, codec, use string) error {
	return errs.Newf(errs.Unsupported, "the %s codec %s is not taken over RTMP; use %s", kind, codec, use)
}

// printable keeps what a peer calls a codec harmless in logs.
func printable(fourCC string) string {
	b := []byte(fourCC)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
