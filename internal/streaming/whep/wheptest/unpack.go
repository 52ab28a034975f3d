package wheptest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// unpacker takes the payloads of an access unit apart. It is pion's: what the
// server makes is read by other code than its own.
type unpacker interface {
	Unmarshal(payload []byte) ([]byte, error)
}

func newUnpacker(mime string) unpacker {
	switch strings.ToLower(mime) {
	case strings.ToLower(webrtc.MimeTypeH265):
		return &codecs.H265Depacketizer{}
	case strings.ToLower(webrtc.MimeTypeVP8):
		return &codecs.VP8Packet{}
	case strings.ToLower(webrtc.MimeTypeVP9):
		return &codecs.VP9Packet{}
	case strings.ToLower(webrtc.MimeTypeAV1):
		return &codecs.AV1Depacketizer{}
	}
	return &codecs.H264Packet{}
}

// isKey says whether an access unit can be decoded without any other.
func isKey(mime string, unit []byte) bool {
	var err error
	switch strings.ToLower(mime) {
	case strings.ToLower(webrtc.MimeTypeH264):
		return hasAll(unit, func(nal []byte) uint8 { return nal[0] & 0x1f }, 7, 5) // parameter sets, IDR
	case strings.ToLower(webrtc.MimeTypeH265):
		return hasAll(unit, func(nal []byte) uint8 { return nal[0] >> 1 & 0x3f }, 32, 33) // VPS, SPS
	case strings.ToLower(webrtc.MimeTypeVP8):
		_, err = cmaf.ParseVP8(unit)
	case strings.ToLower(webrtc.MimeTypeVP9):
		_, err = cmaf.ParseVP9(unit)
	case strings.ToLower(webrtc.MimeTypeAV1):
		obus, err := cmaf.SplitOBUs(unit)
		return err == nil && slices.ContainsFunc(obus, func(obu []byte) bool { return cmaf.OBUType(obu) == cmaf.OBUSequenceHeader })
	default:
		return false
	}
	return err == nil
}

// hasAll says whether there are NAL units of all types in an access unit.
func hasAll(unit []byte, kind func(nal []byte) uint8, types ...uint8) bool {
	for _, nal := range bytes.Split(unit, []byte{0, 0, 0, 1}) {
		if len(nal) > 0 {
			types = slices.DeleteFunc(types, func(t uint8) bool { return t == kind(nal) })
		}
	}
	return len(types) == 0
}
