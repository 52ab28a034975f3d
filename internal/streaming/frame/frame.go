// Package frame is what the parts of streaming hand to each other: encoded
// pictures and sounds with their times.
package frame

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Video is one access unit.
type Video struct {
	Data   []byte            // in the form of a cmaf.Sample; nobody changes it
	Key    bool              // decodable without any other
	Config *cmaf.VideoConfig // of a key frame: what a decoder must know; nil otherwise
	// Timestamp is the decoding time by the sender's clock, 90 kHz, modulo 2^32.
	Timestamp uint32
	Offset    int32 // presentation minus decoding time, 90 kHz; not 0 with B-frames only
	Arrival   time.Time
}

// Audio is one packet of Opus or frame of AAC.
type Audio struct {
	Data []byte // nobody changes it
	// Timestamp by the sender's clock, in the track's timescale, modulo 2^32.
	Timestamp uint32
	Arrival   time.Time
}

// Report ties a sender's clock of one track to the clock that all its tracks
// share, as an RTCP sender report does (RFC 3550, 6.4.1).
type Report struct {
	NTP       uint64 // 32.32 fixed point seconds
	Timestamp uint32 // in the track's timescale
}

// Tap hears the frames of a stream as they go into its packager, with their
// places on the stream's timeline. It is called under the stream's lock, so it
// must not block, and not call the stream.
type Tap interface {
	// Video takes the next access unit; at is its decoding time in ticks of 90 kHz
	// since the stream's first key frame.
	Video(f Video, at int64)
	// Audio takes the next packet; at is its time in the track's timescale.
	Audio(f Audio, at int64)
	// Break says that the publisher was away or another one came: the next
	// picture is a key frame, and times may jump.
	Break()
	// End is the last call.
	End()
}
