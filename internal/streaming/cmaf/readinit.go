package cmaf

import (
	"errors"
	"fmt"
)

// ParseInit reads an init segment that Init.Marshal wrote. Tracks are told
// apart by their ids.
func ParseInit(data []byte) (Init, error) {
	if len(data) > maxInit {
		return Init{}, fmt.Errorf("the init segment has %d bytes, at most %d are read", len(data), maxInit)
	}
	moov, err := find(data, "moov")
	if err != nil {
		return Init{}, fmt.Errorf("init segment: %w", err)
	}
	boxes, err := children(moov)
	if err != nil {
		return Init{}, fmt.Errorf("moov: %w", err)
	}
	var init Init
	for _, b := range boxes {
		if b.kind != "trak" {
			continue
		}
		if err := init.addTrack(b.body); err != nil {
			return Init{}, fmt.Errorf("trak: %w", err)
		}
	}
	if init.Video == nil && init.Audio == nil {
		return Init{}, errors.New("the init segment has no track")
	}
	return init, nil
}

func (i *Init) addTrack(trak []byte) error {
	stsd, err := find(trak, "mdia", "minf", "stbl", "stsd")
	if err != nil {
		return err
	}
	if len(stsd) < 8 {
		return errShort
	}
	entries, err := children(stsd[8:])
	if err != nil {
		return fmt.Errorf("stsd: %w", err)
	}
	if len(entries) != 1 {
		return fmt.Errorf("it has %d sample entries, not 1", len(entries))
	}
	entry := entries[0]
	switch entry.kind {
	case "avc1":
		if i.Video != nil {
			return errors.New("a second video track")
		}
		c, err := parseAvc1(entry.body)
		if err != nil {
			return fmt.Errorf("avc1: %w", err)
		}
		i.Video = &c
	case "Opus", "mp4a":
		if i.Audio != nil {
			return errors.New("a second audio track")
		}
		c, err := parseAudioEntry(entry)
		if err != nil {
			return fmt.Errorf("%s: %w", entry.kind, err)
		}
		i.Audio = &c
	default:
		return fmt.Errorf("a sample entry %q", entry.kind)
	}
	return nil
}

func parseAvc1(body []byte) (VideoConfig, error) {
	const fixed = 78 // bytes before the boxes in a visual sample entry
	if len(body) < fixed {
		return VideoConfig{}, errShort
	}
	avcC, err := find(body[fixed:], "avcC")
	if err != nil {
		return VideoConfig{}, err
	}
	r := fields{b: avcC}
	r.take(4)
	if lengths, count := r.u8(), r.u8(); r.err == nil && (lengths&3 != 3 || count&31 != 1) {
		return VideoConfig{}, errors.New("avcC: NAL unit lengths must have 4 bytes and one SPS")
	}
	sps := r.take(int(r.u16()))
	if n := r.u8(); r.err == nil && n != 1 {
		return VideoConfig{}, errors.New("avcC: it must have one PPS")
	}
	pps := r.take(int(r.u16()))
	if r.err != nil {
		return VideoConfig{}, fmt.Errorf("avcC: %w", r.err)
	}
	return ParseAVC(sps, pps)
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
