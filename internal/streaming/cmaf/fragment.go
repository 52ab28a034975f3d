package cmaf

// Sample flags (14496-12, 8.8.3.1): sample_depends_on and
// sample_is_non_sync_sample.
const (
	flagsKey    = 0x02000000
	flagsNonKey = 0x01010000
)

// Flags of tfhd (8.8.7.1) and trun (8.8.8.1).
const (
	tfhdDefaultDuration = 0x000008
	tfhdDefaultFlags    = 0x000020
	tfhdBaseIsMoof      = 0x020000

	trunDataOffset = 0x001
	trunFirstFlags = 0x004
	trunDuration   = 0x100
	trunSize       = 0x200
	trunFlags      = 0x400
	trunOffset     = 0x800
)

// AppendSegmentType appends the styp box that may begin a segment (14496-12, 8.16.2).
func AppendSegmentType(dst []byte) []byte {
	w := boxWriter{b: dst}
	at := w.open("styp")
	w.text("msdh")
	w.u32(0)
	w.text("msdhiso6")
	w.close(at)
	return w.b
}

// AppendTo appends the fragment, moof and mdat, to dst. In the mdat all video
// stands before all audio. A box such as emsg that belongs to the fragment
// goes into dst before it. The fragment must be below 2 GB.
func (f *Fragment) AppendTo(dst []byte) []byte {
	w := boxWriter{b: dst}
	moof := w.open("moof")
	mfhd := w.openFull("mfhd", 0, 0)
	w.u32(f.Sequence)
	w.close(mfhd)
	var offsets [2]int // where the data offsets of the truns stand
	for i, run := range f.runs() {
		if run != nil {
			offsets[i] = w.traf(uint32(VideoTrackID+i), run)
		}
	}
	w.close(moof)
	mdat := w.open("mdat")
	for i, run := range f.runs() {
		if run == nil {
			continue
		}
		w.put32(offsets[i], uint32(len(w.b)-moof))
		for j := range run.Samples {
			w.bytes(run.Samples[j].Data)
		}
	}
	w.close(mdat)
	return w.b
}

// runs returns the tracks in the order of their ids; a track without samples is nil.
func (f *Fragment) runs() [2]*Run {
	runs := [2]*Run{f.Video, f.Audio}
	for i, r := range runs {
		if r != nil && len(r.Samples) == 0 {
			runs[i] = nil
		}
	}
	return runs
}

// runShape is what the samples of a run have in common.
type runShape struct {
	sameDuration bool
	offsets      bool // some composition offset is not 0
	keyElsewhere bool // a sample after the first is a key sample
	nonKey       bool // a sample after the first is none
}

func shapeOf(samples []Sample) runShape {
	s := runShape{sameDuration: true}
	for i := range samples {
		s.sameDuration = s.sameDuration && samples[i].Duration == samples[0].Duration
		s.offsets = s.offsets || samples[i].CompositionOffset != 0
		if i > 0 {
			s.keyElsewhere = s.keyElsewhere || samples[i].Key
			s.nonKey = s.nonKey || !samples[i].Key
		}
	}
	return s
}

// traf writes a track fragment with one run (8.8.6) and returns the place of
// the run's data offset. What all samples share is written once, in the tfhd.
func (w *boxWriter) traf(track uint32, run *Run) (dataOffset int) {
	shape := shapeOf(run.Samples)
	mixed := shape.keyElsewhere && shape.nonKey
	rest := uint32(flagsKey) // of the samples after the first
	if shape.nonKey {
		rest = flagsNonKey
	}
	first := flagsOf(run.Samples[0].Key)

	traf := w.open("traf")
	flags := uint32(tfhdBaseIsMoof | tfhdDefaultFlags)
	if shape.sameDuration {
		flags |= tfhdDefaultDuration
	}
	tfhd := w.openFull("tfhd", 0, flags)
	w.u32(track)
	if shape.sameDuration {
		w.u32(run.Samples[0].Duration)
	}
	if len(run.Samples) == 1 {
		rest = first
	}
	w.u32(rest)
	w.close(tfhd)
	tfdt := w.openFull("tfdt", 1, 0)
	w.u64(run.BaseTime)
	w.close(tfdt)

	flags = trunDataOffset | trunSize
	switch {
	case mixed:
		flags |= trunFlags
	case first != rest:
		flags |= trunFirstFlags
	}
	if !shape.sameDuration {
		flags |= trunDuration
	}
	if shape.offsets {
		flags |= trunOffset
	}
	trun := w.openFull("trun", 1, flags)
	w.u32(uint32(len(run.Samples)))
	dataOffset = len(w.b)
	w.u32(0)
	if flags&trunFirstFlags != 0 {
		w.u32(first)
	}
	w.samples(run.Samples, flags)
	w.close(trun)
	w.close(traf)
	return dataOffset
}

// samples writes the table of a trun with the columns that flags names.
func (w *boxWriter) samples(samples []Sample, flags uint32) {
	for i := range samples {
		s := &samples[i]
		if flags&trunDuration != 0 {
			w.u32(s.Duration)
		}
		w.u32(uint32(len(s.Data)))
		if flags&trunFlags != 0 {
			w.u32(flagsOf(s.Key))
		}
		if flags&trunOffset != 0 {
			w.u32(uint32(s.CompositionOffset))
		}
	}
}

func flagsOf(key bool) uint32 {
	if key {
		return flagsKey
	}
	return flagsNonKey
}
