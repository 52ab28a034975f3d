package cmaf

// mdatHeader is the bytes of an mdat before its contents.
const mdatHeader = 8

// Sample flags (14496-12, 8.8.3.1): sample_depends_on and
// sample_is_non_sync_sample.
const (
	flagsKey    = 0x02000000
	flagsNonKey = 0x01010000
)

// Flags of tfhd (8.8.7.1) and trun (8.8.8.1).
const (
	tfhdDefaultDuration = 0x000008
	tfhdDefaultSize     = 0x000010
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

// AppendTo appends the fragment, moof and mdat, to dst: its head, then the
// samples of the video, then those of the audio. A box such as emsg that belongs
// to the fragment goes into dst before it. The fragment must be below 2 GB.
func (f *Fragment) AppendTo(dst []byte) []byte {
	if size := f.HeadSize() + f.Video.Size() + f.Audio.Size(); cap(dst)-len(dst) < size {
		grown := make([]byte, len(dst), 2*len(dst)+size) // so that appending again and again stays cheap
		copy(grown, dst)
		dst = grown
	}
	dst = f.AppendHead(dst)
	dst = AppendSamples(dst, f.Video)
	return AppendSamples(dst, f.Audio)
}

// AppendHead appends all of the fragment that stands before its samples: the
// moof and the header of the mdat. What follows must be the samples of Video,
// then those of Audio. So files that share samples, one with audio and one
// without, can be served from one copy of them: the head of each, and the same
// bytes after it.
func (f *Fragment) AppendHead(dst []byte) []byte {
	w := boxWriter{b: dst}
	runs := f.runs()
	moof := w.open("moof")
	mfhd := w.openFull("mfhd", 0, 0)
	w.u32(f.Sequence)
	w.close(mfhd)
	var offsets [2]int // where the data offsets of the truns stand
	for i, run := range runs {
		if run != nil {
			offsets[i] = w.traf(uint32(VideoTrackID+i), run)
		}
	}
	w.close(moof)
	media := mdatHeader
	mdat := w.open("mdat")
	for i, run := range runs {
		if run != nil {
			w.put32(offsets[i], uint32(mdat-moof+media))
			media += run.Size()
		}
	}
	w.put32(mdat, uint32(media))
	return w.b
}

// HeadSize returns the bytes that AppendHead appends.
func (f *Fragment) HeadSize() int {
	const moof, mfhd = 8, 16
	size := moof + mfhd + mdatHeader
	for _, run := range f.runs() {
		if run != nil {
			size += shapeOf(run.Samples).trafSize(len(run.Samples))
		}
	}
	return size
}

// AppendSamples appends the bytes of a run's samples; the run may be nil.
func AppendSamples(dst []byte, run *Run) []byte {
	if run == nil {
		return dst
	}
	for i := range run.Samples {
		dst = append(dst, run.Samples[i].Data...)
	}
	return dst
}

// Size returns the bytes of the run's samples, 0 for nil.
func (r *Run) Size() int {
	if r == nil {
		return 0
	}
	size := 0
	for i := range r.Samples {
		size += len(r.Samples[i].Data)
	}
	return size
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

// trafShape is how a run is written: what its samples share stands once, in the
// tfhd, the rest in columns of the trun.
type trafShape struct {
	tfhd, trun  uint32 // flags of the boxes
	first, rest uint32 // flags of the first sample and, if they are alike, of the others
}

// shapeOf chooses the shape for samples, of which there must be one.
func shapeOf(samples []Sample) trafShape {
	sameDuration, offsets := true, false
	key, other := false, false // some sample after the first is one, or is none
	for i := range samples {
		sameDuration = sameDuration && samples[i].Duration == samples[0].Duration
		offsets = offsets || samples[i].CompositionOffset != 0
		if i > 0 {
			key = key || samples[i].Key
			other = other || !samples[i].Key
		}
	}
	s := trafShape{
		tfhd: tfhdBaseIsMoof | tfhdDefaultFlags, trun: trunDataOffset | trunSize,
		first: flagsOf(samples[0].Key), rest: flagsOf(!other),
	}
	if len(samples) == 1 {
		s.rest = s.first
	}
	switch {
	case key && other:
		s.trun |= trunFlags
	case s.first != s.rest:
		s.trun |= trunFirstFlags
	}
	if sameDuration {
		s.tfhd |= tfhdDefaultDuration
	} else {
		s.trun |= trunDuration
	}
	if offsets {
		s.trun |= trunOffset
	}
	return s
}

// trafSize returns the bytes of a traf with n samples.
func (s trafShape) trafSize(n int) int {
	const traf, tfhd, tfdt, trun = 8, 20, 20, 20
	size := traf + tfhd + tfdt + trun + 4*n*columns(s.trun)
	if s.tfhd&tfhdDefaultDuration != 0 {
		size += 4
	}
	if s.trun&trunFirstFlags != 0 {
		size += 4
	}
	return size
}

// traf writes a track fragment with one run (8.8.6) and returns the place of
// the run's data offset.
func (w *boxWriter) traf(track uint32, run *Run) (dataOffset int) {
	shape := shapeOf(run.Samples)
	traf := w.open("traf")
	tfhd := w.openFull("tfhd", 0, shape.tfhd)
	w.u32(track)
	if shape.tfhd&tfhdDefaultDuration != 0 {
		w.u32(run.Samples[0].Duration)
	}
	w.u32(shape.rest)
	w.close(tfhd)
	tfdt := w.openFull("tfdt", 1, 0)
	w.u64(run.BaseTime)
	w.close(tfdt)
	trun := w.openFull("trun", 1, shape.trun)
	w.u32(uint32(len(run.Samples)))
	dataOffset = len(w.b)
	w.u32(0)
	if shape.trun&trunFirstFlags != 0 {
		w.u32(shape.first)
	}
	w.samples(run.Samples, shape.trun)
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
