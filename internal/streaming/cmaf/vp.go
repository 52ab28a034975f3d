package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	colourUnspecified  = 2 // of primaries, transfer and matrix alike (23091-2)
	chroma420Colocated = 1 // of a vpcC; 0 is 4:2:0 too
	chroma422          = 2
	chroma444          = 3
)

// ParseVP8 makes a VideoConfig of a key frame (RFC 6386, 9.1).
func ParseVP8(keyFrame []byte) (VideoConfig, error) {
	switch {
	case len(keyFrame) < 10:
		return VideoConfig{}, fmt.Errorf("no VP8 key frame: it has %d bytes, at least 10 are needed", len(keyFrame))
	case keyFrame[0]&1 != 0:
		return VideoConfig{}, errors.New("no VP8 key frame: it is an inter frame")
	case keyFrame[3] != 0x9d || keyFrame[4] != 0x01 || keyFrame[5] != 0x2a:
		return VideoConfig{}, errors.New("no VP8 key frame: the start code is missing")
	}
	version := keyFrame[0] >> 1 & 7
	if version > 3 {
		return VideoConfig{}, fmt.Errorf("VP8 version %d is not defined", version)
	}
	// The upper two bits ask for scaling, which players do not do.
	width := int(binary.LittleEndian.Uint16(keyFrame[6:]) & 0x3fff)
	height := int(binary.LittleEndian.Uint16(keyFrame[8:]) & 0x3fff)
	if width == 0 || height == 0 {
		return VideoConfig{}, fmt.Errorf("a VP8 picture of %dx%d", width, height)
	}
	return VideoConfig{Codec: VP8, Width: width, Height: height, VP: VPConfig{
		Profile: version, Level: vpLevel(width, height), BitDepth: 8, ChromaSubsampling: chroma420Colocated,
		Primaries: colourUnspecified, Transfer: colourUnspecified, Matrix: colourUnspecified,
	}}, nil
}

// ParseVP9 makes a VideoConfig of a key frame, also of a superframe that begins
// with one (VP9 bitstream specification, 6.2).
func ParseVP9(keyFrame []byte) (VideoConfig, error) {
	r := &bitReader{data: keyFrame}
	marker := r.u(2)
	profile := uint8(r.u1() | r.u1()<<1)
	if profile == 3 {
		r.u1()
	}
	shown, inter := r.u1(), r.u1() // show_existing_frame, frame_type
	r.u(2)                         // show_frame, error_resilient_mode
	switch {
	case r.err != nil:
		return VideoConfig{}, fmt.Errorf("no VP9 key frame: %w", r.err)
	case marker != 2:
		return VideoConfig{}, errors.New("no VP9 key frame: the frame marker is missing")
	case shown == 1 || inter == 1:
		return VideoConfig{}, errors.New("no VP9 key frame: it is an inter frame")
	case r.u(24) != 0x498342:
		return VideoConfig{}, errors.New("no VP9 key frame: the sync code is missing")
	}
	c := VideoConfig{Codec: VP9, VP: VPConfig{Profile: profile}}
	if err := c.VP.colour(r); err != nil {
		return VideoConfig{}, fmt.Errorf("VP9 key frame: %w", err)
	}
	c.Width, c.Height = int(r.u(16))+1, int(r.u(16))+1
	if r.err != nil {
		return VideoConfig{}, fmt.Errorf("no VP9 key frame: %w", r.err)
	}
	if c.Width > maxPicture || c.Height > maxPicture {
		return VideoConfig{}, fmt.Errorf("the VP9 picture is larger than %d pixels a side", maxPicture)
	}
	c.VP.Level = vpLevel(c.Width, c.Height)
	return c, nil
}

// colour reads color_config (6.2.2) of a VP9 frame with the profile.
func (c *VPConfig) colour(r *bitReader) error {
	c.BitDepth = 8
	if c.Profile >= 2 {
		c.BitDepth = 10 + 2*uint8(r.u1())
	}
	c.ChromaSubsampling = chroma420Colocated
	space := r.u(3)
	c.setColour(space)
	full := c.Profile&1 == 1 // the profiles that may be other than 4:2:0
	if space == 7 {          // RGB
		if !full {
			return errors.New("RGB in a profile that has 4:2:0 only")
		}
		c.FullRange, c.ChromaSubsampling = true, chroma444
		r.u1()
		return nil
	}
	c.FullRange = r.u1() == 1
	if !full {
		return nil
	}
	switch x, y := r.u1(), r.u1(); {
	case x == 0 && y == 0:
		c.ChromaSubsampling = chroma444
	case x == 1 && y == 0:
		c.ChromaSubsampling = chroma422
	default: // 4:4:0; 4:2:0 has its own profiles
		return errors.New("a chroma subsampling that a vpcC cannot tell")
	}
	r.u1()
	return nil
}

// setColour names a color_space (7.2.2) in the terms of 23091-2.
func (c *VPConfig) setColour(space uint32) {
	v := [3]uint8{colourUnspecified, colourUnspecified, colourUnspecified}
	switch space {
	case 1, 3: // BT.601, SMPTE 170
		v = [3]uint8{6, 6, 6}
	case 2: // BT.709
		v = [3]uint8{1, 1, 1}
	case 4: // SMPTE 240
		v = [3]uint8{7, 7, 7}
	case 5: // BT.2020
		v = [3]uint8{9, 14, 9}
	case 7: // sRGB
		v = [3]uint8{1, 13, 0}
	}
	c.Primaries, c.Transfer, c.Matrix = v[0], v[1], v[2]
}

// vpLevel returns the lowest VP9 level, times ten, for pictures of the size
// with up to 60 frames a second, because a bitstream tells neither (VP9
// bitstream specification, annex A). VP8 has no levels; its vpcC borrows them.
func vpLevel(width, height int) uint8 {
	const fps = 60
	size := width * height
	for _, l := range [...]struct {
		level            uint8
		rate, size, side int
	}{
		{10, 829_440, 36_864, 512}, {11, 2_764_800, 73_728, 768},
		{20, 4_608_000, 122_880, 960}, {21, 9_216_000, 245_760, 1344},
		{30, 20_736_000, 552_960, 2048}, {31, 36_864_000, 983_040, 2752},
		{40, 83_558_400, 2_228_224, 4160}, {41, 160_432_128, 2_228_224, 4160},
		{50, 311_951_360, 8_912_896, 8384}, {51, 588_251_136, 8_912_896, 8384},
		{60, 1_176_502_272, 35_651_584, 16832}, {61, 2_353_004_544, 35_651_584, 16832},
	} {
		if size*fps <= l.rate && size <= l.size && max(width, height) <= l.side {
			return l.level
		}
	}
	return 62
}
