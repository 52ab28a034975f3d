package cmaf

import (
	"bytes"
	"errors"
	"fmt"
)

// NAL unit types of H.265 (23008-2, table 7-1) that matter to a packager. Those
// from HEVCFirstIRAP to HEVCLastIRAP begin a key frame.
const (
	HEVCFirstIRAP = 16
	HEVCLastIRAP  = 23
	HEVCVPS       = 32
	HEVCSPS       = 33
	HEVCPPS       = 34
	HEVCAUD       = 35
	HEVCPrefixSEI = 39
	HEVCSuffixSEI = 40
)

// HEVCNALType returns the type of an H.265 NAL unit, -1 for one without a header.
func HEVCNALType(nal []byte) int {
	if len(nal) < 2 {
		return -1
	}
	return int(nal[0] >> 1 & 0x3f)
}

// ParseHEVC makes a VideoConfig of a video, a sequence and a picture parameter
// set, NAL units without start code. It keeps copies. The error says what is
// wrong with them.
func ParseHEVC(vps, sps, pps []byte) (VideoConfig, error) {
	for _, set := range []struct {
		name string
		kind int
		nal  []byte
	}{{"VPS", HEVCVPS, vps}, {"PPS", HEVCPPS, pps}} {
		if HEVCNALType(set.nal) != set.kind || len(set.nal) < 3 || len(set.nal) > maxParameterSet {
			return VideoConfig{}, fmt.Errorf("no usable H.265 %s: NAL unit of type %d with %d bytes",
				set.name, HEVCNALType(set.nal), len(set.nal))
		}
	}
	info, err := parseHEVCSPS(sps)
	if err != nil {
		return VideoConfig{}, fmt.Errorf("no usable H.265 SPS: %w", err)
	}
	return VideoConfig{
		Codec: H265,
		VPS:   bytes.Clone(vps), SPS: bytes.Clone(sps), PPS: bytes.Clone(pps),
		Width: info.width, Height: info.height,
	}, nil
}

// hevcInfo is what the packager needs of a sequence parameter set.
type hevcInfo struct {
	profileSpace, profile, level uint8
	highTier                     bool
	compatibility                uint32
	constraints                  [6]byte // general_progressive_source_flag and what follows
	subLayers                    uint8   // temporal, at least 1
	nested                       bool    // sps_temporal_id_nesting_flag
	chromaFormat                 uint8   // chroma_format_idc
	bitDepthL, bitDepthC         uint8   // minus 8
	width, height                int
}

// parseHEVCSPS reads a sequence parameter set up to the bit depth (23008-2, 7.3.2.2.1).
func parseHEVCSPS(nal []byte) (hevcInfo, error) {
	if HEVCNALType(nal) != HEVCSPS || len(nal) > maxParameterSet {
		return hevcInfo{}, fmt.Errorf("NAL unit of type %d with %d bytes", HEVCNALType(nal), len(nal))
	}
	r := &bitReader{data: unescape(nal[2:])}
	var info hevcInfo
	r.u(4) // sps_video_parameter_set_id
	more := int(r.u(3))
	info.subLayers = uint8(more + 1)
	info.nested = r.u1() == 1
	info.profileTierLevel(r, more)
	r.ue() // sps_seq_parameter_set_id
	chroma := r.ue()
	separate := chroma == 3 && r.u1() == 1
	width, height := r.ue(), r.ue()
	var crop [4]uint32 // left, right, top, bottom
	if r.u1() == 1 {
		for i := range crop {
			crop[i] = r.ue()
		}
	}
	depthL, depthC := r.ue(), r.ue()
	switch {
	case r.err != nil:
		return hevcInfo{}, r.err
	case more > 6:
		return hevcInfo{}, errors.New("it has more than 7 sub-layers")
	case chroma > 3:
		return hevcInfo{}, fmt.Errorf("chroma_format_idc is %d, at most 3 is defined", chroma)
	case depthL > 7 || depthC > 7:
		return hevcInfo{}, errors.New("the bit depth is above 15")
	}
	info.chromaFormat, info.bitDepthL, info.bitDepthC = uint8(chroma), uint8(depthL), uint8(depthC)
	return info, info.setSize(width, height, separate, crop)
}

// profileTierLevel reads profile_tier_level (7.3.3) with more sub-layers than one.
func (i *hevcInfo) profileTierLevel(r *bitReader, more int) {
	i.profileSpace = uint8(r.u(2))
	i.highTier = r.u1() == 1
	i.profile = uint8(r.u(5))
	i.compatibility = r.u(32)
	for n := range i.constraints {
		i.constraints[n] = uint8(r.u(8))
	}
	i.level = uint8(r.u(8))
	var profiles, levels [8]bool
	for n := range more {
		profiles[n], levels[n] = r.u1() == 1, r.u1() == 1
	}
	if more > 0 {
		r.u(2 * (8 - more))
	}
	for n := range more {
		if profiles[n] {
			r.skip(88)
		}
		if levels[n] {
			r.skip(8)
		}
	}
}

// setSize computes the cropped picture size (7.4.3.2.1).
func (i *hevcInfo) setSize(width, height uint32, separate bool, crop [4]uint32) error {
	if width > maxPicture || height > maxPicture {
		return fmt.Errorf("the picture is larger than %d pixels a side", maxPicture)
	}
	cropX, cropY := 1, 1
	if !separate && (i.chromaFormat == 1 || i.chromaFormat == 2) {
		cropX = 2
	}
	if !separate && i.chromaFormat == 1 {
		cropY = 2
	}
	for _, c := range crop {
		if c > maxPicture {
			return errors.New("the cropping is larger than the picture")
		}
	}
	i.width = int(width) - cropX*int(crop[0]+crop[1])
	i.height = int(height) - cropY*int(crop[2]+crop[3])
	if i.width <= 0 || i.height <= 0 {
		return errors.New("the cropping is larger than the picture")
	}
	return nil
}
