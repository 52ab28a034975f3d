package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// parseVideoEntry reads a visual sample entry.
func parseVideoEntry(entry box) (VideoConfig, error) {
	const fixed = 78 // bytes before the boxes
	if len(entry.body) < fixed {
		return VideoConfig{}, errShort
	}
	var record string
	var parse func([]byte) (VideoConfig, error)
	switch entry.kind {
	case "avc1", "avc3":
		record, parse = "avcC", ParseAVCRecord
	case "hvc1", "hev1":
		record, parse = "hvcC", ParseHEVCRecord
	case "av01":
		record, parse = "av1C", ParseAV1Record
	default:
		record, parse = "vpcC", ParseVPRecord
	}
	body, err := find(entry.body[fixed:], record)
	if err != nil {
		return VideoConfig{}, err
	}
	c, err := parse(body)
	if err != nil || record != "vpcC" {
		return c, err
	}
	// This record alone does not tell these.
	if entry.kind == "vp08" {
		c.Codec = VP8
	}
	c.Width, c.Height = int(binary.BigEndian.Uint16(entry.body[24:])), int(binary.BigEndian.Uint16(entry.body[26:]))
	if c.Width == 0 || c.Height == 0 {
		return VideoConfig{}, errors.New("the picture has no size")
	}
	return c, nil
}

func parseAudioEntry(entry box) (AudioConfig, error) {
	const fixed = 28 // bytes before the boxes in an audio sample entry
	if len(entry.body) < fixed {
		return AudioConfig{}, errShort
	}
	if entry.kind == "Opus" {
		return parseDOps(entry.body[fixed:])
	}
	return parseESDS(entry.body[fixed:])
}

func parseDOps(body []byte) (AudioConfig, error) {
	dOps, err := find(body, "dOps")
	if err != nil {
		return AudioConfig{}, err
	}
	r := fields{b: dOps}
	r.u8() // version
	c := AudioConfig{Codec: Opus, Channels: int(r.u8()), PreSkip: r.u16(), SampleRate: int(r.u32())}
	r.u16() // OutputGain
	family := r.u8()
	if r.err != nil {
		return AudioConfig{}, fmt.Errorf("dOps: %w", r.err)
	}
	if family != 0 || c.Channels < 1 || c.Channels > 2 {
		return AudioConfig{}, fmt.Errorf("dOps: %d channels in mapping family %d; mono and stereo in family 0 are read", c.Channels, family)
	}
	return c, nil
}

// parseESDS takes the AudioSpecificConfig out of the nested descriptors
// (14496-1, 7.2.6).
func parseESDS(body []byte) (AudioConfig, error) {
	esds, err := find(body, "esds")
	if err != nil {
		return AudioConfig{}, err
	}
	r := fields{b: esds}
	r.u32()
	es := descriptor(&r, 3)
	es.take(3)
	decoder := descriptor(&es, 4)
	decoder.take(13)
	asc := descriptor(&decoder, 5)
	if asc.err != nil {
		return AudioConfig{}, fmt.Errorf("esds: %w", asc.err)
	}
	return ParseAAC(asc.b)
}

// descriptor opens the next descriptor, which must have the tag.
func descriptor(r *fields, tag uint8) fields {
	if got := r.u8(); r.err == nil && got != tag {
		r.err = fmt.Errorf("descriptor %d where %d belongs", got, tag)
	}
	size := 0
	for range 4 {
		b := r.u8()
		size = size<<7 | int(b&0x7f)
		if b&0x80 == 0 {
			break
		}
	}
	body := r.take(size)
	return fields{b: body, err: r.err}
}
