package transcode

import (
	"encoding/binary"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

const (
	nutMaxDistance = 32768 // bytes between two sync points
	nutPTSShift    = 7     // bits of a time that stands for its low bits alone; ours are whole
)

// nutWriter makes the NUT stream of one audio track.
type nutWriter struct {
	written   int64 // bytes
	syncpoint int64 // where the last one begins; -1: there is none
}

// header returns the beginning of the stream. Times count in the track's
// timescale.
func (w *nutWriter) header(c cmaf.AudioConfig) []byte {
	w.syncpoint = -1
	b := appendNUTPacket([]byte(nutID), nutMain, nutMainHeader(uint64(c.Timescale())))
	b = appendNUTPacket(b, nutStream, nutAudioHeader(c))
	w.written = int64(len(b))
	return b
}

func nutMainHeader(timescale uint64) []byte {
	var b []byte
	for _, n := range []uint64{3, 1, nutMaxDistance, 1, 1, timescale} { // version, streams, distance, time bases: 1/timescale
		b = appendVarint(b, n)
	}
	// Frame codes: 0 is a key frame that states its time and size, the others are
	// unused. A row: flags, fields that follow, time delta, size multiplier,
	// stream, size, reserved, how many codes. 'N' does not count.
	for _, n := range []uint64{nutFlagKey | nutFlagCodedPTS | nutFlagSizeMSB, 6, 0, 1, 0, 0, 0, 1} {
		b = appendVarint(b, n)
	}
	for _, n := range []uint64{nutFlagInvalid, 6, 0, 1, 0, 0, 0, 254} {
		b = appendVarint(b, n)
	}
	return appendVarint(b, 0) // elided headers
}

func nutAudioHeader(c cmaf.AudioConfig) []byte {
	fourcc, private := []byte{0xff, 0, 0, 0}, c.ASC
	if c.Codec == cmaf.Opus {
		fourcc, private = []byte("Opus"), opusHead(c.Channels)
	}
	b := appendVarint(appendVarint(nil, 0), nutAudio) // stream 0
	b = appendNUTBytes(b, fourcc)
	for _, n := range []uint64{0, nutPTSShift, uint64(c.Timescale()), 0, 0} { // time base, shift, longest step, reordering, flags
		b = appendVarint(b, n)
	}
	b = appendNUTBytes(b, private)
	for _, n := range []uint64{uint64(c.Timescale()), 1, uint64(c.Channels)} {
		b = appendVarint(b, n)
	}
	return b
}

// opusHead is the identification header of RFC 7845, 5.1, with a pre-skip of 0:
// the live timeline says where a packet plays, so none of it may be cut off.
func opusHead(channels int) []byte {
	b := append([]byte("OpusHead"), 1, byte(channels), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, cmaf.OpusTimescale)
	return append(b, 0, 0, 0) // gain, mapping family
}

// appendFrame appends a frame and, where one is due, the sync point before it.
// pts must not be negative.
func (w *nutWriter) appendFrame(dst, data []byte, pts int64) []byte {
	begin := len(dst)
	if w.syncpoint < 0 || w.written-w.syncpoint+int64(len(data))+64 > nutMaxDistance {
		back := int64(0) // to the sync point before, in 16 bytes
		if w.syncpoint >= 0 {
			back = (w.written - w.syncpoint) / 16
		}
		w.syncpoint = w.written
		payload := appendVarint(nil, uint64(pts)) // in time base 0 of 1
		dst = appendNUTPacket(dst, nutSyncpoint, appendVarint(payload, uint64(back)))
	}
	dst = append(dst, 0) // the frame code
	dst = appendVarint(dst, uint64(pts)+1<<nutPTSShift)
	dst = appendVarint(dst, uint64(len(data)))
	dst = append(dst, data...)
	w.written += int64(len(dst) - begin)
	return dst
}
