package cmaf

import (
	"bytes"
	"errors"
	"fmt"
)

// maxRecord is the most bytes of a decoder configuration record that are read.
const maxRecord = 4 * maxParameterSet

// ParseAVCRecord makes a VideoConfig of an AVCDecoderConfigurationRecord
// (14496-15, 5.3.3.1), as an avcC box or an RTMP sequence header has it. NAL
// unit lengths must have 4 bytes, and there must be one SPS and one PPS.
func ParseAVCRecord(record []byte) (VideoConfig, error) {
	r, err := openRecord("AVC", record)
	if err != nil {
		return VideoConfig{}, err
	}
	r.take(4) // version, profile, compatibility, level
	lengths := r.u8()
	sps := r.sameNALs(int(r.u8() & 31))
	pps := r.sameNALs(int(r.u8()))
	if r.err != nil {
		return VideoConfig{}, fmt.Errorf("AVC decoder configuration: %w", r.err)
	}
	if lengths&3 != 3 {
		return VideoConfig{}, fmt.Errorf("AVC decoder configuration: NAL unit lengths of %d bytes; 4 are supported", lengths&3+1)
	}
	return ParseAVC(sps, pps)
}

// ParseHEVCRecord makes a VideoConfig of an HEVCDecoderConfigurationRecord
// (14496-15, 8.3.3.1), as an hvcC box or an enhanced RTMP sequence header has
// it. NAL unit lengths must have 4 bytes, and there must be one VPS, SPS and
// PPS.
func ParseHEVCRecord(record []byte) (VideoConfig, error) {
	r, err := openRecord("HEVC", record)
	if err != nil {
		return VideoConfig{}, err
	}
	r.take(21)
	lengths := r.u8()
	var sets [3][]byte // VPS, SPS, PPS
	for range int(r.u8()) {
		kind := int(r.u8()&0x3f) - HEVCVPS
		count := int(r.u16())
		if kind >= 0 && kind < len(sets) {
			sets[kind] = r.sameNALs(count)
			continue
		}
		for i := 0; i < count && r.err == nil; i++ {
			r.take(int(r.u16()))
		}
	}
	if r.err != nil {
		return VideoConfig{}, fmt.Errorf("HEVC decoder configuration: %w", r.err)
	}
	if lengths&3 != 3 {
		return VideoConfig{}, fmt.Errorf("HEVC decoder configuration: NAL unit lengths of %d bytes; 4 are supported", lengths&3+1)
	}
	return ParseHEVC(sets[0], sets[1], sets[2])
}

// ParseAV1Record makes a VideoConfig of an AV1CodecConfigurationRecord (AV1 in
// ISOBMFF, 2.3.3), which must have the sequence header in it.
func ParseAV1Record(record []byte) (VideoConfig, error) {
	r, err := openRecord("AV1", record)
	if err != nil {
		return VideoConfig{}, err
	}
	r.take(4)
	if r.err != nil {
		return VideoConfig{}, fmt.Errorf("AV1 codec configuration: %w", r.err)
	}
	obus, err := SplitOBUs(r.b)
	if err != nil {
		return VideoConfig{}, fmt.Errorf("AV1 codec configuration: %w", err)
	}
	for _, obu := range obus {
		if OBUType(obu) == OBUSequenceHeader {
			return ParseAV1(obu)
		}
	}
	return VideoConfig{}, errors.New("AV1 codec configuration: it has no sequence header")
}

// ParseVPRecord makes a VideoConfig of a VPCodecConfigurationRecord ("VP Codec
// ISO Media File Format Binding"), with or without the version and flags of the
// vpcC box before it. It tells neither codec nor picture size: Codec is VP9,
// Width and Height are 0. Prefer ParseVP8 or ParseVP9 of the first key frame.
func ParseVPRecord(record []byte) (VideoConfig, error) {
	r, err := openRecord("VP", record)
	if err != nil {
		return VideoConfig{}, err
	}
	if bytes.HasPrefix(record, []byte{1, 0, 0, 0}) && len(record) >= 12 {
		r.take(4)
	}
	c := VPConfig{Profile: r.u8(), Level: r.u8()}
	depth := r.u8()
	c.BitDepth, c.ChromaSubsampling, c.FullRange = depth>>4, depth>>1&7, depth&1 == 1
	c.Primaries, c.Transfer, c.Matrix = r.u8(), r.u8(), r.u8()
	r.take(int(r.u16())) // codecInitializationData
	switch {
	case r.err != nil:
		return VideoConfig{}, fmt.Errorf("VP codec configuration: %w", r.err)
	case c.Profile > 3 || c.ChromaSubsampling > chroma444:
		return VideoConfig{}, fmt.Errorf("VP codec configuration: profile %d with chroma subsampling %d is not defined",
			c.Profile, c.ChromaSubsampling)
	case c.BitDepth != 8 && c.BitDepth != 10 && c.BitDepth != 12:
		return VideoConfig{}, fmt.Errorf("VP codec configuration: a bit depth of %d", c.BitDepth)
	}
	return VideoConfig{Codec: VP9, VP: c}, nil
}

func openRecord(name string, record []byte) (*fields, error) {
	if len(record) > maxRecord {
		return nil, fmt.Errorf("the %s configuration record has %d bytes, at most %d are read", name, len(record), maxRecord)
	}
	return &fields{b: record}, nil
}

// sameNALs reads count NAL units, each after its 16-bit length, that must all
// be the same, and returns it.
func (f *fields) sameNALs(count int) []byte {
	if count == 0 {
		return nil
	}
	nal := f.take(int(f.u16()))
	for i := 1; i < count && f.err == nil; i++ {
		if other := f.take(int(f.u16())); f.err == nil && !bytes.Equal(nal, other) {
			f.err = fmt.Errorf("it has %d different parameter sets of a kind, one is supported", count)
		}
	}
	return nal
}
