// Package cmaf writes and reads fragmented MP4 as CMAF wants it, and copies
// such fragments into one progressive MP4. It is pure: bytes in, bytes out.
//
// Boxes follow ISO/IEC 14496-12 (ISOBMFF), H.264 and H.265 in them 14496-15, the
// profile of it all 23000-19 (CMAF), AV1 and Opus "AV1 Codec ISO Media File
// Format Binding" and "Encapsulation of Opus in ISOBMFF", VP8 and VP9 "VP Codec
// ISO Media File Format Binding". A file has at most one video track (id 1) and
// one audio track (id 2); Reader alone takes files with other ids.
package cmaf

import "bytes"

// Track ids and the timescale of video, in units per second. Audio counts in
// its sample rate, see AudioConfig.Timescale.
const (
	VideoTrackID   = 1
	AudioTrackID   = 2
	VideoTimescale = 90000
	OpusTimescale  = 48000
)

// VideoCodec is a codec that a video track can have.
type VideoCodec uint8

// The video codecs.
const (
	H264 VideoCodec = iota + 1
	H265
	VP8
	VP9
	AV1
)

func (c VideoCodec) String() string {
	switch c {
	case H264:
		return "H264"
	case H265:
		return "H265"
	case VP8:
		return "VP8"
	case VP9:
		return "VP9"
	case AV1:
		return "AV1"
	}
	return "unknown video codec"
}

// VideoConfig is what a decoder must know before the first picture. Make it with
// one of the Parse functions.
type VideoConfig struct {
	Codec VideoCodec
	// NAL units without start code or length: H264 has SPS and PPS, H265 all three.
	VPS, SPS, PPS []byte
	// SequenceHeader is AV1's sequence header OBU, with its header and size.
	SequenceHeader []byte
	VP             VPConfig // VP8 and VP9
	Width, Height  int      // pixels, after cropping
}

// VPConfig is the fields of a vpcC box ("VP Codec ISO Media File Format Binding").
type VPConfig struct {
	Profile, Level, BitDepth, ChromaSubsampling uint8
	FullRange                                   bool
	Primaries, Transfer, Matrix                 uint8
}

// Equal tells whether both are the same configuration, so that a player need
// not be told of a new one.
func (c VideoConfig) Equal(o VideoConfig) bool {
	return c.Codec == o.Codec && bytes.Equal(c.VPS, o.VPS) && bytes.Equal(c.SPS, o.SPS) && bytes.Equal(c.PPS, o.PPS) &&
		bytes.Equal(c.SequenceHeader, o.SequenceHeader) && c.VP == o.VP && c.Width == o.Width && c.Height == o.Height
}

// AudioCodec is a codec that an audio track can have.
type AudioCodec uint8

// The audio codecs.
const (
	Opus AudioCodec = iota + 1
	AAC
)

func (c AudioCodec) String() string {
	switch c {
	case Opus:
		return "Opus"
	case AAC:
		return "AAC"
	}
	return "unknown audio codec"
}

// AudioConfig describes an audio track.
type AudioConfig struct {
	Codec      AudioCodec
	SampleRate int    // Hz; of Opus: the encoder's input, for information only; of HE-AAC: the core's
	Channels   int    // 1 or 2
	PreSkip    uint16 // Opus only: samples at 48 kHz to drop at the start
	ASC        []byte // AAC only: the AudioSpecificConfig (14496-3, 1.6.2.1)
}

// Timescale returns the units per second of the track: 48000 for Opus,
// whatever was encoded, else the sample rate.
func (c AudioConfig) Timescale() uint32 {
	if c.Codec == Opus {
		return OpusTimescale
	}
	return uint32(c.SampleRate)
}

// Equal tells whether both describe the same track.
func (c AudioConfig) Equal(o AudioConfig) bool {
	return c.Codec == o.Codec && c.SampleRate == o.SampleRate && c.Channels == o.Channels &&
		c.PreSkip == o.PreSkip && bytes.Equal(c.ASC, o.ASC)
}

// Init describes the tracks of an init segment; one of them may be nil.
type Init struct {
	Video *VideoConfig
	Audio *AudioConfig
}

// Codecs returns the codecs of the tracks for a CODECS attribute, video first.
func (i Init) Codecs() []string {
	var codecs []string
	if i.Video != nil {
		codecs = append(codecs, i.Video.CodecString())
	}
	if i.Audio != nil {
		codecs = append(codecs, i.Audio.CodecString())
	}
	return codecs
}

// Sample is one access unit: a video picture or an audio frame.
type Sample struct {
	Duration          uint32 // in the track's timescale
	CompositionOffset int32  // presentation minus decoding time, same units
	Key               bool   // decodable without any other; always so for audio
	// Data of video: H264 and H265 as NAL units, each after its 4-byte length and
	// without parameter sets; AV1 as OBUs with sizes, without temporal delimiters;
	// VP8 and VP9 as frames.
	Data []byte
}

// Run is the samples of one track in a fragment, in decoding order.
type Run struct {
	BaseTime uint64 // decoding time of the first sample, in the track's timescale
	Samples  []Sample
}

// Duration returns the length of the run in the track's timescale.
func (r *Run) Duration() uint64 {
	var d uint64
	for i := range r.Samples {
		d += uint64(r.Samples[i].Duration)
	}
	return d
}

// Fragment is one moof with its mdat. A track without samples is nil.
type Fragment struct {
	Sequence     uint32
	Video, Audio *Run
}
