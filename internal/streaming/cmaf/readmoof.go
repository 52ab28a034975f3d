package cmaf

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// moofReader reads the contents of a moof.
type moofReader struct {
	tracks  []track
	at, end int64 // where the moof stands, and the file ends
	f       FragmentInfo
}

// parseMoof reads the contents of the moof that stands at a place of a file
// with end bytes.
func parseMoof(body []byte, at, end int64, tracks []track) (FragmentInfo, error) {
	boxes, err := children(body)
	if err != nil {
		return FragmentInfo{}, err
	}
	m := moofReader{tracks: tracks, at: at, end: end}
	for _, b := range boxes {
		switch b.kind {
		case "mfhd":
			r := fields{b: b.body}
			r.u32()
			m.f.Sequence = r.u32()
			if r.err != nil {
				return FragmentInfo{}, fmt.Errorf("mfhd: %w", r.err)
			}
		case "traf":
			if err := m.addTraf(b.body); err != nil {
				return FragmentInfo{}, fmt.Errorf("traf: %w", err)
			}
		}
	}
	return m.f, nil
}

// addTraf reads a track fragment with one run or more (14496-12, 8.8.6).
func (m *moofReader) addTraf(body []byte) error {
	boxes, err := children(body)
	if err != nil {
		return err
	}
	tfhd, err := find(body, "tfhd")
	if err != nil {
		return err
	}
	t, d, err := m.parseTfhd(tfhd)
	if err != nil {
		return fmt.Errorf("tfhd: %w", err)
	}
	slot := &m.f.Audio
	if t.video {
		slot = &m.f.Video
	}
	if *slot != nil {
		return fmt.Errorf("track %d stands twice", t.id)
	}
	run := &RunInfo{}
	if run.BaseTime, err = parseTfdt(body); err != nil {
		return err
	}
	next := int64(-1) // where a run without a place of its own starts
	for _, b := range boxes {
		if b.kind != "trun" {
			continue
		}
		if next, err = m.addTrun(run, b.body, d, next); err != nil {
			return fmt.Errorf("trun: %w", err)
		}
	}
	if len(run.Samples) > 0 {
		*slot = run
	}
	return nil
}

// trafDefaults is what a trex or tfhd says of all samples.
type trafDefaults struct{ duration, size, flags uint32 }

// parseTfhd returns the track of a track fragment and its defaults (8.8.7).
func (m *moofReader) parseTfhd(body []byte) (track, trafDefaults, error) {
	r := fields{b: body}
	flags := r.u32() & 0xffffff
	id := r.u32()
	i := slices.IndexFunc(m.tracks, func(t track) bool { return t.id == id })
	switch {
	case r.err != nil:
		return track{}, trafDefaults{}, r.err
	case i < 0:
		return track{}, trafDefaults{}, fmt.Errorf("track %d is unknown", id)
	case flags&tfhdBaseIsMoof == 0 || flags&1 != 0:
		return track{}, trafDefaults{}, errors.New("offsets do not count from the moof (default-base-is-moof)")
	}
	d := m.tracks[i].defaults
	if flags&2 != 0 {
		r.u32() // sample_description_index
	}
	if flags&tfhdDefaultDuration != 0 {
		d.duration = r.u32()
	}
	if flags&tfhdDefaultSize != 0 {
		d.size = r.u32()
	}
	if flags&tfhdDefaultFlags != 0 {
		d.flags = r.u32()
	}
	return m.tracks[i], d, r.err
}

// parseTfdt returns the decoding time of a track fragment (8.8.12).
func parseTfdt(traf []byte) (uint64, error) {
	tfdt, err := find(traf, "tfdt")
	if err != nil {
		return 0, err
	}
	r := fields{b: tfdt}
	var t uint64
	if r.u32()>>24 == 1 {
		t = r.u64()
	} else {
		t = uint64(r.u32())
	}
	if r.err != nil {
		return 0, fmt.Errorf("tfdt: %w", r.err)
	}
	return t, nil
}

// addTrun adds the samples of a trun (8.8.8). next is where the run before it
// ended, -1 for the first; the answer is the same of this one.
func (m *moofReader) addTrun(run *RunInfo, body []byte, d trafDefaults, next int64) (int64, error) {
	r := fields{b: body}
	flags := r.u32() & 0xffffff
	count := r.u32()
	if uint64(count)+uint64(len(run.Samples)) > maxRunSamples {
		return 0, fmt.Errorf("it has %d samples, at most %d are read", count, maxRunSamples)
	}
	if flags&trunDataOffset != 0 {
		next = m.at + int64(int32(r.u32()))
	} else if next < 0 {
		return 0, errors.New("it has no data offset")
	}
	first := d.flags
	if flags&trunFirstFlags != 0 {
		first = r.u32()
	}
	if r.err == nil && uint64(count)*uint64(columns(flags))*4 > uint64(len(r.b)) {
		r.err = errShort
	}
	if r.err != nil {
		return 0, r.err
	}
	run.Samples = slices.Grow(run.Samples, int(count))
	for i := range count {
		s := SampleInfo{Offset: next, Duration: d.duration, Size: d.size}
		sampleFlags := d.flags
		if i == 0 {
			sampleFlags = first
		}
		if flags&trunDuration != 0 {
			s.Duration = r.u32()
		}
		if flags&trunSize != 0 {
			s.Size = r.u32()
		}
		if flags&trunFlags != 0 {
			sampleFlags = r.u32()
		}
		if flags&trunOffset != 0 {
			s.CompositionOffset = int32(r.u32())
		}
		s.Key = sampleFlags&0x10000 == 0
		if next < 0 || int64(s.Size) > m.end-next {
			return 0, fmt.Errorf("sample %d lies outside the segment", i)
		}
		next += int64(s.Size)
		run.Samples = append(run.Samples, s)
	}
	return next, r.err
}

// columns counts the 32-bit columns of a trun's table.
func columns(flags uint32) int {
	return bits.OnesCount32(flags & (trunDuration | trunSize | trunFlags | trunOffset))
}
