package streamtest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

const (
	// stampID is the uuid_iso_iec_11578 of our stamp among user data.
	stampID = "SLV send stamp 1"
	// The time is in hexadecimal, so that nothing in it needs an emulation
	// prevention byte.
	stampDigits      = 16
	userUnregistered = 5 // payload type of SEI (14496-10, D.1)
)

// stamped puts an SEI message before the slices of an access unit (annex B): user
// data with the time (14496-10, D.1.7).
func stamped(unit []byte, now time.Time) []byte {
	out := make([]byte, 0, len(unit)+48)
	done := false
	for _, nal := range cmaf.SplitAnnexB(unit) {
		if t := cmaf.NALType(nal); !done && (t == cmaf.NALSlice || t == cmaf.NALIDR) {
			out = append(out, 0, 0, 0, 1)
			out = appendStamp(out, now)
			done = true
		}
		out = append(append(out, 0, 0, 0, 1), nal...)
	}
	return out
}

func appendStamp(dst []byte, now time.Time) []byte {
	dst = append(dst, cmaf.NALSEI, userUnregistered, byte(len(stampID)+stampDigits))
	dst = append(dst, stampID...)
	var ns [stampDigits / 2]byte
	binary.BigEndian.PutUint64(ns[:], uint64(now.UnixNano()))
	return append(hex.AppendEncode(dst, ns[:]), 0x80)
}

// StampsOf returns the times that Options.Stamp put into frames, in the order of
// media in any container that leaves NAL units whole.
func StampsOf(data []byte) []time.Time {
	var stamps []time.Time
	for {
		at := bytes.Index(data, []byte(stampID))
		if at < 0 || len(data) < at+len(stampID)+stampDigits {
			return stamps
		}
		data = data[at+len(stampID):]
		var ns [stampDigits / 2]byte
		if _, err := hex.Decode(ns[:], data[:stampDigits]); err == nil {
			stamps = append(stamps, time.Unix(0, int64(binary.BigEndian.Uint64(ns[:]))))
		}
	}
}
