package transcode

import (
	"encoding/binary"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// IVF is the container of libvpx's tools: a header, then frames, each after its
// size and time. It has no place for parameter sets: H264, H265 and AV1 carry
// theirs in the stream. ffmpeg reads it frame by frame, keeping none back.

// appendIVFHeader appends the header of a stream of a codec with times in
// ticks of cmaf.VideoTimescale.
func appendIVFHeader(dst []byte, c *cmaf.VideoConfig) []byte {
	le := binary.LittleEndian
	dst = append(dst, "DKIF"...)
	dst = le.AppendUint16(dst, 0)  // version
	dst = le.AppendUint16(dst, 32) // bytes of this header
	dst = append(dst, fourCC(c.Codec)...)
	dst = le.AppendUint16(dst, uint16(c.Width))
	dst = le.AppendUint16(dst, uint16(c.Height))
	dst = le.AppendUint32(dst, cmaf.VideoTimescale)
	dst = le.AppendUint32(dst, 1)
	return append(dst, make([]byte, 8)...) // frames: unknown; reserved
}

// appendIVFFrame appends a frame, data as of a cmaf.Sample, with its presentation
// time. c is the configuration of a key frame, nil for other frames.
func appendIVFFrame(dst []byte, codec cmaf.VideoCodec, c *cmaf.VideoConfig, data []byte, pts int64) ([]byte, error) {
	at := len(dst)
	dst = append(dst, make([]byte, 12)...)
	dst, err := appendElementary(dst, codec, c, data)
	if err != nil {
		return dst[:at], err
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-12))
	binary.LittleEndian.PutUint64(dst[at+4:], uint64(pts))
	return dst, nil
}

// appendElementary appends a frame as it stands in a stream without container:
// NAL units after start codes (14496-10, annex B), parameter sets before a key
// frame.
func appendElementary(dst []byte, codec cmaf.VideoCodec, c *cmaf.VideoConfig, data []byte) ([]byte, error) {
	switch codec {
	case cmaf.H264, cmaf.H265:
		if c != nil {
			dst = appendStartCoded(dst, c.VPS, c.SPS, c.PPS)
		}
		nals, err := cmaf.SplitAVCC(data)
		return appendStartCoded(dst, nals...), err
	case cmaf.AV1:
		dst = append(dst, 0x12, 0) // a temporal delimiter (AV1, 7.5: each temporal unit begins with one)
		if c != nil {
			dst = append(dst, c.SequenceHeader...)
		}
	}
	return append(dst, data...), nil
}

func appendStartCoded(dst []byte, nals ...[]byte) []byte {
	for _, nal := range nals {
		if len(nal) > 0 {
			dst = append(append(dst, 0, 0, 0, 1), nal...)
		}
	}
	return dst
}

func fourCC(c cmaf.VideoCodec) string {
	switch c {
	case cmaf.H265:
		return "HEVC"
	case cmaf.VP8:
		return "VP80"
	case cmaf.VP9:
		return "VP90"
	case cmaf.AV1:
		return "AV01"
	}
	return "H264"
}

// shown tells whether a frame gives a picture. VP8 has frames that are only
// there to be referred to (RFC 6386, 9.1: show_frame); the other codecs hide
// theirs inside of samples that do show one.
func shown(codec cmaf.VideoCodec, data []byte) bool {
	return codec != cmaf.VP8 || len(data) == 0 || data[0]&0x10 != 0
}
