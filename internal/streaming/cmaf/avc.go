package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// NAL unit types (14496-10, table 7-1) that matter to a packager.
const (
	NALSlice = 1
	NALIDR   = 5
	NALSEI   = 6
	NALSPS   = 7
	NALPPS   = 8
	NALAUD   = 9
)

const (
	maxParameterSet = 4096  // bytes; real ones have under 100
	maxPicture      = 16384 // pixels a side; level 6.2 ends far below
)

// NALType returns the type of a NAL unit, 0 for an empty one.
func NALType(nal []byte) int {
	if len(nal) == 0 {
		return 0
	}
	return int(nal[0] & 0x1f)
}

// ParseAVC makes a VideoConfig of a sequence and a picture parameter set, NAL
// units without start code. It keeps copies of both. The error says what is
// wrong with them.
func ParseAVC(sps, pps []byte) (VideoConfig, error) {
	if NALType(pps) != NALPPS || len(pps) < 2 || len(pps) > maxParameterSet {
		return VideoConfig{}, fmt.Errorf("no usable H.264 PPS: NAL unit of type %d with %d bytes", NALType(pps), len(pps))
	}
	info, err := parseSPS(sps)
	if err != nil {
		return VideoConfig{}, fmt.Errorf("no usable H.264 SPS: %w", err)
	}
	return VideoConfig{
		Codec: H264,
		SPS:   append([]byte(nil), sps...), PPS: append([]byte(nil), pps...),
		Width: info.width, Height: info.height,
	}, nil
}

// spsInfo is what the packager needs of a sequence parameter set.
type spsInfo struct {
	width, height        int
	chromaFormat         uint32 // chroma_format_idc
	bitDepthL, bitDepthC uint32 // minus 8
}

// highProfile tells whether an SPS of the profile has the chroma fields
// (14496-10, 7.3.2.1.1).
func highProfile(profile byte) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

// parseSPS reads a sequence parameter set up to the cropping (14496-10, 7.3.2.1.1).
func parseSPS(nal []byte) (spsInfo, error) {
	if NALType(nal) != NALSPS || len(nal) < 5 || len(nal) > maxParameterSet {
		return spsInfo{}, fmt.Errorf("NAL unit of type %d with %d bytes", NALType(nal), len(nal))
	}
	profile := nal[1]
	r := &bitReader{data: unescape(nal[4:])}
	info := spsInfo{chromaFormat: 1}
	r.ue() // seq_parameter_set_id
	separate := false
	if highProfile(profile) {
		info.chromaFormat = r.ue()
		if info.chromaFormat > 3 {
			return spsInfo{}, fmt.Errorf("chroma_format_idc is %d, at most 3 is defined", info.chromaFormat)
		}
		if info.chromaFormat == 3 {
			separate = r.u1() == 1
		}
		info.bitDepthL, info.bitDepthC = r.ue(), r.ue()
		if info.bitDepthL > 6 || info.bitDepthC > 6 {
			return spsInfo{}, errors.New("the bit depth is above 14")
		}
		r.u1() // qpprime_y_zero_transform_bypass_flag
		skipScalingMatrix(r, info.chromaFormat)
	}
	skipPictureOrder(r)
	r.ue() // max_num_ref_frames
	r.u1() // gaps_in_frame_num_value_allowed_flag
	widthMbs, heightUnits := r.ue(), r.ue()
	frameOnly := r.u1()
	if frameOnly == 0 {
		r.u1() // mb_adaptive_frame_field_flag
	}
	r.u1()             // direct_8x8_inference_flag
	var crop [4]uint32 // left, right, top, bottom
	if r.u1() == 1 {
		for i := range crop {
			crop[i] = r.ue()
		}
	}
	if r.err != nil {
		return spsInfo{}, r.err
	}
	return info, info.setSize(widthMbs, heightUnits, frameOnly, separate, crop)
}

// setSize computes the cropped picture size (14496-10, 7.4.2.1.1).
func (s *spsInfo) setSize(widthMbs, heightUnits, frameOnly uint32, separate bool, crop [4]uint32) error {
	if widthMbs >= maxPicture/16 || heightUnits >= maxPicture/16 {
		return fmt.Errorf("the picture is larger than %d pixels a side", maxPicture)
	}
	cropX, cropY := 1, 1
	if !separate && (s.chromaFormat == 1 || s.chromaFormat == 2) {
		cropX = 2
	}
	if !separate && s.chromaFormat == 1 {
		cropY = 2
	}
	fields := 2 - int(frameOnly)
	width, height := (int(widthMbs)+1)*16, (int(heightUnits)+1)*16*fields
	for _, c := range crop {
		if c > maxPicture {
			return errors.New("the cropping is larger than the picture")
		}
	}
	s.width = width - cropX*int(crop[0]+crop[1])
	s.height = height - cropY*fields*int(crop[2]+crop[3])
	if s.width <= 0 || s.height <= 0 {
		return errors.New("the cropping is larger than the picture")
	}
	return nil
}

// skipScalingMatrix skips the scaling lists (14496-10, 7.3.2.1.1.1).
func skipScalingMatrix(r *bitReader, chromaFormat uint32) {
	if r.u1() == 0 {
		return
	}
	lists := 8
	if chromaFormat == 3 {
		lists = 12
	}
	for i := range lists {
		if r.u1() == 0 {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + r.se()) & 0xff
			}
			if next != 0 {
				last = next
			}
		}
	}
}

// skipPictureOrder skips log2_max_frame_num_minus4 and the picture order count.
func skipPictureOrder(r *bitReader) {
	r.ue()
	switch r.ue() {
	case 0:
		r.ue()
	case 1:
		r.u1()
		r.se()
		r.se()
		n := r.ue()
		if n > 255 {
			r.err = errors.New("num_ref_frames_in_pic_order_cnt_cycle is above 255")
		}
		for i := uint32(0); i < n && r.err == nil; i++ {
			r.se()
		}
	}
}

// unescape drops the emulation prevention bytes of a NAL unit's payload.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	zeros := 0
	for _, c := range b {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if c == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}

// AppendAVCC appends NAL units to dst, each after its 4-byte length.
func AppendAVCC(dst []byte, nals ...[]byte) []byte {
	for _, nal := range nals {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(nal)))
		dst = append(dst, nal...)
	}
	return dst
}

// SplitAVCC returns the NAL units of an AVCC sample; they share its bytes.
func SplitAVCC(sample []byte) ([][]byte, error) {
	var nals [][]byte
	for len(sample) > 0 {
		if len(sample) < 4 {
			return nil, fmt.Errorf("an AVCC sample ends inside a length: %d bytes left", len(sample))
		}
		n := binary.BigEndian.Uint32(sample)
		if uint64(n) > uint64(len(sample)-4) {
			return nil, fmt.Errorf("a NAL unit of %d bytes in %d bytes of sample", n, len(sample)-4)
		}
		if n > 0 {
			nals = append(nals, sample[4:4+n])
		}
		sample = sample[4+n:]
	}
	return nals, nil
}

// SplitAnnexB returns the NAL units of a byte stream (14496-10, annex B); they
// share its bytes. What stands before the first start code is not one.
func SplitAnnexB(stream []byte) [][]byte {
	var nals [][]byte
	start := -1
	for i := 0; i+2 < len(stream); {
		if stream[i+2] > 1 {
			i += 3
			continue
		}
		if stream[i] != 0 || stream[i+1] != 0 || stream[i+2] != 1 {
			i++
			continue
		}
		if start >= 0 {
			nals = appendNAL(nals, stream[start:i])
		}
		i += 3
		start = i
	}
	if start >= 0 {
		nals = appendNAL(nals, stream[start:])
	}
	return nals
}

// appendNAL appends nal without its trailing zeros, which belong to the next
// start code; a NAL unit itself never ends in one.
func appendNAL(nals [][]byte, nal []byte) [][]byte {
	for len(nal) > 0 && nal[len(nal)-1] == 0 {
		nal = nal[:len(nal)-1]
	}
	if len(nal) == 0 {
		return nals
	}
	return append(nals, nal)
}
