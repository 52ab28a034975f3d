package cmaf

import (
	"errors"
	"fmt"
)

// Types of open bitstream units (AV1, 6.2.2) that matter to a packager.
const (
	OBUSequenceHeader    = 1
	OBUTemporalDelimiter = 2
	OBUFrameHeader       = 3
	OBUTileGroup         = 4
	OBUMetadata          = 5
	OBUFrame             = 6
	OBUTileList          = 8
	OBUPadding           = 15
)

// OBUType returns the type of an open bitstream unit, 0 for an empty one.
func OBUType(obu []byte) int {
	if len(obu) == 0 {
		return 0
	}
	return int(obu[0] >> 3 & 15)
}

// ParseAV1 makes a VideoConfig of a sequence header OBU. It may lack the size
// field, as in RTP; the copy that is kept has one.
func ParseAV1(sequenceHeader []byte) (VideoConfig, error) {
	header, payload, rest, err := splitOBU(sequenceHeader)
	if err != nil {
		return VideoConfig{}, fmt.Errorf("no usable AV1 sequence header: %w", err)
	}
	if len(rest) > 0 || len(payload) > maxParameterSet {
		return VideoConfig{}, fmt.Errorf("no usable AV1 sequence header: %d bytes, %d after it", len(payload), len(rest))
	}
	obu := AppendOBU(nil, header, payload)
	info, err := parseSequenceHeader(obu)
	if err != nil {
		return VideoConfig{}, fmt.Errorf("no usable AV1 sequence header: %w", err)
	}
	return VideoConfig{Codec: AV1, SequenceHeader: obu, Width: info.width, Height: info.height}, nil
}

// AppendOBU appends an open bitstream unit with a size field, which the form of
// a Sample wants (AV1, 5.3). header is its first byte, or two with an extension.
func AppendOBU(dst, header, payload []byte) []byte {
	if len(header) == 0 {
		return dst
	}
	dst = append(dst, header[0]|2)
	dst = append(dst, header[1:]...)
	size := len(payload)
	for size > 0x7f {
		dst = append(dst, byte(size)|0x80)
		size >>= 7
	}
	dst = append(dst, byte(size))
	return append(dst, payload...)
}

// SplitOBUs returns the open bitstream units of a sample, with their headers
// and sizes; they share its bytes. The last one may lack a size.
func SplitOBUs(sample []byte) ([][]byte, error) {
	var obus [][]byte
	for len(sample) > 0 {
		_, _, rest, err := splitOBU(sample)
		if err != nil {
			return nil, err
		}
		end := len(sample) - len(rest)
		obus = append(obus, sample[:end:end])
		sample = rest
	}
	return obus, nil
}

// splitOBU takes the first unit off data (AV1, 5.3.1). Without a size field it
// is all of data.
func splitOBU(data []byte) (header, payload, rest []byte, err error) {
	if len(data) == 0 {
		return nil, nil, nil, errShort
	}
	if data[0]&0x80 != 0 {
		return nil, nil, nil, errors.New("the forbidden bit of an OBU header is set")
	}
	n := 1 + int(data[0]>>2&1) // the extension
	if len(data) < n {
		return nil, nil, nil, errShort
	}
	header = data[:n]
	if data[0]&2 == 0 {
		return header, data[n:], nil, nil
	}
	size, used, err := leb128(data[n:])
	if err != nil {
		return nil, nil, nil, err
	}
	data = data[n+used:]
	if size > uint64(len(data)) {
		return nil, nil, nil, fmt.Errorf("an OBU of %d bytes in %d bytes", size, len(data))
	}
	return header, data[:size], data[size:], nil
}

// leb128 reads a little-endian number of 7 bits a byte (AV1, 4.10.5).
func leb128(data []byte) (v uint64, used int, err error) {
	for i := range min(len(data), 8) {
		v |= uint64(data[i]&0x7f) << (7 * i)
		if data[i]&0x80 == 0 {
			if v > 1<<32-1 {
				break
			}
			return v, i + 1, nil
		}
	}
	return 0, 0, errors.New("the size of an OBU cannot be read")
}

// av1Info is what the packager needs of a sequence header.
type av1Info struct {
	profile, level, tier    uint8
	highBitDepth, twelveBit uint8
	monochrome              uint8
	subsamplingX            uint8
	subsamplingY            uint8
	chromaPosition          uint8
	width, height           int
}

func (i av1Info) bitDepth() int {
	return 8 + 2*int(i.highBitDepth) + 2*int(i.twelveBit)
}

// parseSequenceHeader reads a sequence header OBU (AV1, 5.5.1).
func parseSequenceHeader(obu []byte) (av1Info, error) {
	header, payload, _, err := splitOBU(obu)
	if err != nil {
		return av1Info{}, err
	}
	if OBUType(header) != OBUSequenceHeader {
		return av1Info{}, fmt.Errorf("an OBU of type %d", OBUType(header))
	}
	r := &bitReader{data: payload}
	var info av1Info
	info.profile = uint8(r.u(3))
	if r.err == nil && info.profile > 2 {
		return av1Info{}, fmt.Errorf("profile %d is not defined", info.profile)
	}
	r.u1() // still_picture
	reduced := r.u1() == 1
	if reduced {
		info.level = uint8(r.u(5))
	} else {
		info.operatingPoints(r)
	}
	widthBits, heightBits := int(r.u(4))+1, int(r.u(4))+1
	info.width, info.height = int(r.u(widthBits))+1, int(r.u(heightBits))+1
	skipSequenceTools(r, reduced)
	info.colourConfig(r)
	r.u1() // film_grain_params_present
	if r.err != nil {
		return av1Info{}, r.err
	}
	if info.width > maxPicture || info.height > maxPicture {
		return av1Info{}, fmt.Errorf("the picture is larger than %d pixels a side", maxPicture)
	}
	return info, nil
}

// operatingPoints reads the timing and the operating points; the first one's
// level and tier count.
func (i *av1Info) operatingPoints(r *bitReader) {
	model, delayBits := false, 0
	if r.u1() == 1 { // timing_info_present_flag
		r.skip(64)
		if r.u1() == 1 { // equal_picture_interval
			r.ue() // num_ticks_per_picture_minus_1, whose uvlc is that code
		}
		if model = r.u1() == 1; model {
			delayBits = int(r.u(5)) + 1
			r.skip(32 + 5 + 5)
		}
	}
	displayDelay := r.u1() == 1
	for n := range int(r.u(5)) + 1 {
		r.u(12) // operating_point_idc
		level, tier := uint8(r.u(5)), uint8(0)
		if level > 7 {
			tier = uint8(r.u1())
		}
		if n == 0 {
			i.level, i.tier = level, tier
		}
		if model && r.u1() == 1 {
			r.skip(2*delayBits + 1)
		}
		if displayDelay && r.u1() == 1 {
			r.u(4)
		}
	}
}

// skipSequenceTools skips what stands between picture size and colour.
func skipSequenceTools(r *bitReader, reduced bool) {
	if !reduced && r.u1() == 1 { // frame_id_numbers_present_flag
		r.u(7)
	}
	r.u(3) // 128x128 superblocks, filter intra, intra edge filter
	if !reduced {
		r.u(4) // inter-intra and masked compound, warped motion, dual filter
		orderHint := r.u1() == 1
		if orderHint {
			r.u(2)
		}
		screenContent := uint32(2) // SELECT_SCREEN_CONTENT_TOOLS
		if chosen := r.u1(); chosen == 0 {
			screenContent = r.u1()
		}
		if screenContent > 0 && r.u1() == 0 {
			r.u1() // seq_force_integer_mv
		}
		if orderHint {
			r.u(3)
		}
	}
	r.u(3) // superres, cdef, restoration
}

// colourConfig reads color_config (5.5.2).
func (i *av1Info) colourConfig(r *bitReader) {
	i.highBitDepth = uint8(r.u1())
	if i.profile == 2 && i.highBitDepth == 1 {
		i.twelveBit = uint8(r.u1())
	}
	if i.profile != 1 {
		i.monochrome = uint8(r.u1())
	}
	primaries, transfer, matrix := uint32(colourUnspecified), uint32(colourUnspecified), uint32(colourUnspecified)
	if r.u1() == 1 {
		primaries, transfer, matrix = r.u(8), r.u(8), r.u(8)
	}
	if i.monochrome == 1 {
		r.u1() // color_range
		i.subsamplingX, i.subsamplingY = 1, 1
		return
	}
	if primaries == 1 && transfer == 13 && matrix == 0 { // sRGB
		r.u1() // separate_uv_delta_q
		return
	}
	r.u1() // color_range
	switch {
	case i.profile == 0:
		i.subsamplingX, i.subsamplingY = 1, 1
	case i.profile == 2 && i.twelveBit == 1:
		if i.subsamplingX = uint8(r.u1()); i.subsamplingX == 1 {
			i.subsamplingY = uint8(r.u1())
		}
	case i.profile == 2:
		i.subsamplingX = 1
	}
	if i.subsamplingX == 1 && i.subsamplingY == 1 {
		i.chromaPosition = uint8(r.u(2))
	}
	r.u1() // separate_uv_delta_q
}
