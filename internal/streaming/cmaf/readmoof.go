package cmaf

import (
	"errors"
	"fmt"
)

// parseMoof reads the contents of the moof that stands at a place of a segment
// with end bytes.
func parseMoof(body []byte, at, end int64) (FragmentInfo, error) {
	boxes, err := children(body)
	if err != nil {
		return FragmentInfo{}, err
	}
	var f FragmentInfo
	for _, b := range boxes {
		switch b.kind {
		case "mfhd":
			r := fields{b: b.body}
			r.u32()
			f.Sequence = r.u32()
			if r.err != nil {
				return FragmentInfo{}, fmt.Errorf("mfhd: %w", r.err)
			}
		case "traf":
			if err := f.addTraf(b.body, at, end); err != nil {
				return FragmentInfo{}, fmt.Errorf("traf: %w", err)
			}
		}
	}
	return f, nil
}

func (f *FragmentInfo) addTraf(body []byte, at, end int64) error {
	tfhd, err := find(body, "tfhd")
	if err != nil {
		return err
	}
	track, defaults, err := parseTfhd(tfhd)
	if err != nil {
		return fmt.Errorf("tfhd: %w", err)
	}
	run := &RunInfo{}
	slot := &f.Video
	if track == AudioTrackID {
		slot = &f.Audio
	}
	if track != VideoTrackID && track != AudioTrackID || *slot != nil {
		return fmt.Errorf("track %d is unknown or stands twice", track)
	}
	tfdt, err := find(body, "tfdt")
	if err != nil {
		return err
	}
	r := fields{b: tfdt}
	if r.u32()>>24 == 1 {
		run.BaseTime = r.u64()
	} else {
		run.BaseTime = uint64(r.u32())
	}
	if r.err != nil {
		return fmt.Errorf("tfdt: %w", r.err)
	}
	trun, err := find(body, "trun")
	if err != nil {
		return err
	}
	if err := run.addTrun(trun, defaults, at, end); err != nil {
		return fmt.Errorf("trun: %w", err)
	}
	if len(run.Samples) > 0 {
		*slot = run
	}
	return nil
}

// trafDefaults is what a tfhd says of all samples.
type trafDefaults struct{ duration, size, flags uint32 }

func parseTfhd(body []byte) (track uint32, d trafDefaults, err error) {
	r := fields{b: body}
	flags := r.u32() & 0xffffff
	track = r.u32()
	if flags&tfhdBaseIsMoof == 0 || flags&1 != 0 {
		return 0, d, errors.New("offsets do not count from the moof")
	}
	if flags&2 != 0 {
		r.u32() // sample_description_index
	}
	if flags&tfhdDefaultDuration != 0 {
		d.duration = r.u32()
	}
	if flags&0x10 != 0 {
		d.size = r.u32()
	}
	if flags&tfhdDefaultFlags != 0 {
		d.flags = r.u32()
	}
	return track, d, r.err
}

func (run *RunInfo) addTrun(body []byte, d trafDefaults, at, end int64) error {
	r := fields{b: body}
	flags := r.u32() & 0xffffff
	count := r.u32()
	if count > maxRunSamples {
		return fmt.Errorf("it has %d samples, at most %d are read", count, maxRunSamples)
	}
	if flags&trunDataOffset == 0 {
		return errors.New("it has no data offset")
	}
	offset := at + int64(int32(r.u32()))
	first := d.flags
	if flags&trunFirstFlags != 0 {
		first = r.u32()
	}
	if r.err == nil && uint64(count)*uint64(columns(flags))*4 > uint64(len(r.b)) {
		r.err = errShort
	}
	if r.err != nil {
		return r.err
	}
	run.Samples = make([]SampleInfo, count)
	for i := range run.Samples {
		s := &run.Samples[i]
		s.Offset, s.Duration, s.Size = offset, d.duration, d.size
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
		if offset < 0 || int64(s.Size) > end-offset {
			return fmt.Errorf("sample %d lies outside the segment", i)
		}
		offset += int64(s.Size)
	}
	return r.err
}

// columns counts the 32-bit columns of a trun's table.
func columns(flags uint32) int {
	n := 0
	for _, f := range []uint32{trunDuration, trunSize, trunFlags, trunOffset} {
		if flags&f != 0 {
			n++
		}
	}
	return n
}
