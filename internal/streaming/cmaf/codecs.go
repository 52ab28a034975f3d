package cmaf

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

// CodecString returns the name for a CODECS attribute (RFC 6381), such as
// "avc1.42e01f" or "av01.0.05M.08". It is the bare sample entry when the
// configuration is none that a Parse function made.
func (c VideoConfig) CodecString() string {
	switch c.Codec {
	case H264:
		if len(c.SPS) >= 4 {
			return "avc1." + hex.EncodeToString(c.SPS[1:4])
		}
	case H265:
		if info, err := parseHEVCSPS(c.SPS); err == nil {
			return "hvc1." + info.codecString()
		}
	case VP8, VP9:
		return c.entryKind() + "." + c.VP.codecString()
	case AV1:
		if info, err := parseSequenceHeader(c.SequenceHeader); err == nil {
			return "av01." + info.codecString()
		}
	}
	return c.entryKind()
}

// entryKind returns the name of the sample entry.
func (c VideoConfig) entryKind() string {
	switch c.Codec {
	case H265:
		return "hvc1"
	case VP8:
		return "vp08"
	case VP9:
		return "vp09"
	case AV1:
		return "av01"
	}
	return "avc1"
}

// codecString is the part after "hvc1." (14496-15, annex E.3).
func (i hevcInfo) codecString() string {
	var b strings.Builder
	if i.profileSpace > 0 {
		b.WriteByte('A' + i.profileSpace - 1)
	}
	tier := 'L'
	if i.highTier {
		tier = 'H'
	}
	fmt.Fprintf(&b, "%d.%X.%c%d", i.profile, bits.Reverse32(i.compatibility), tier, i.level)
	last := len(i.constraints)
	for last > 0 && i.constraints[last-1] == 0 {
		last--
	}
	for _, c := range i.constraints[:last] {
		fmt.Fprintf(&b, ".%X", c)
	}
	return b.String()
}

// codecString is the part after "vp09." (VP Codec ISO Media File Format
// Binding, codecs parameter string). The colour follows when it is not that of
// ordinary video.
func (c VPConfig) codecString() string {
	s := fmt.Sprintf("%02d.%02d.%02d", c.Profile, c.Level, c.BitDepth)
	ordinary := c.Matrix == 1 || c.Matrix == colourUnspecified || c.Matrix == 5 || c.Matrix == 6
	if ordinary && c.ChromaSubsampling <= chroma420Colocated && !c.FullRange {
		return s
	}
	full := 0
	if c.FullRange {
		full = 1
	}
	return s + fmt.Sprintf(".%02d.%02d.%02d.%02d.%02d", c.ChromaSubsampling, c.Primaries, c.Transfer, c.Matrix, full)
}

// codecString is the part after "av01." (AV1 in ISOBMFF, section 5), without
// the optional fields.
func (i av1Info) codecString() string {
	tier := 'M'
	if i.tier == 1 {
		tier = 'H'
	}
	return fmt.Sprintf("%d.%02d%c.%02d", i.profile, i.level, tier, i.bitDepth())
}

// CodecString returns the name for a CODECS attribute (RFC 6381): "opus", or
// "mp4a.40." with the audio object type, 2 for AAC-LC.
func (c AudioConfig) CodecString() string {
	if c.Codec == Opus {
		return "opus"
	}
	if len(c.ASC) > 0 {
		return fmt.Sprintf("mp4a.40.%d", c.ASC[0]>>3)
	}
	return "mp4a.40.2"
}

// inBand returns the parameter sets as they stand in a sample; VP8 and VP9
// frames have no need of any.
func (c VideoConfig) inBand() []byte {
	switch c.Codec {
	case H264:
		return AppendAVCC(nil, c.SPS, c.PPS)
	case H265:
		return AppendAVCC(nil, c.VPS, c.SPS, c.PPS)
	}
	return bytes.Clone(c.SequenceHeader)
}
