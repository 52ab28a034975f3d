package cmaf

import (
	"fmt"
	"math"
	"math/bits"
)

// trackPlan collects the sample tables of one track of the progressive file.
type trackPlan struct {
	timescale uint32
	sizes     []uint32 // bytes of each sample
	deltas    []repeat // durations, run-length coded
	offsets   []repeat // composition offsets, the same
	keys      []uint32 // numbers of the key samples, from 1
	chunks    []*chunk // in the order of time
	last      struct { // the newest sample, whose duration is not final
		start    int64
		duration uint32
	}
	entry                int   // sample entry of the newest chunk
	start                int64 // decoding time of the first sample
	skip                 int64 // samples that a decoder drops at the start (Opus pre-skip)
	shownFrom, lastShown int64 // presentation: first start, last end
}

// repeat is a value that stands count times.
type repeat struct {
	count uint32
	value int64
}

// chunk is samples that lie side by side in the file (14496-12, 8.7.4).
type chunk struct {
	startNS int64
	start   int64 // decoding time
	samples uint32
	entry   int // sample entry, from 0
	pieces  []piece
	size    int64
	offset  int64 // from the start of the media
}

// piece is bytes of a source's segment, or with source -1 the in-band
// parameter sets with the number offset.
type piece struct {
	source       int
	offset, size int64
}

// maxRunTime is the longest run of a fragment, in seconds: a day.
const maxRunTime = 86400

// add appends the samples of a fragment of a source. shift, in nanoseconds, is
// added to their times. inBand, which may be empty, goes before key samples.
func (t *trackPlan) add(source, entry int, run *RunInfo, shift int64, inBand []byte) error {
	base, err := toNS(run.BaseTime, t.timescale)
	if err != nil {
		return err
	}
	if d := run.Duration(); d > maxRunTime*uint64(t.timescale) || base+shift > maxTime {
		return fmt.Errorf("a run of %d/%d s cannot be right", d, t.timescale)
	}
	if uint64(len(t.sizes))+uint64(len(run.Samples)) > math.MaxUint32 {
		return fmt.Errorf("a track has at most %d samples", uint32(math.MaxUint32))
	}
	start := int64(run.BaseTime) + fromNS(shift, t.timescale)
	for i := range run.Samples {
		s := &run.Samples[i]
		if err := t.addSample(start, entry, s); err != nil {
			return err
		}
		c := t.chunks[len(t.chunks)-1]
		size := s.Size
		if s.Key && len(inBand) > 0 {
			extra := int64(len(inBand))
			c.pieces = append(c.pieces, piece{source: -1, offset: int64(entry), size: extra})
			c.size += extra
			size += uint32(extra)
		}
		c.addBytes(source, s.Offset, int64(s.Size))
		t.sizes = append(t.sizes, size)
		start += int64(s.Duration)
	}
	return nil
}

// addSample enters a sample's times. The last sample lasts until this one
// starts, so holes and overlaps of a tick or a frame even out.
func (t *trackPlan) addSample(start int64, entry int, s *SampleInfo) error {
	if len(t.sizes) == 0 {
		start = max(start, 0)
		t.start, t.shownFrom = start, math.MaxInt64
	} else {
		start = max(start, t.last.start+1)
		delta := start - t.last.start
		if delta > math.MaxUint32 {
			return fmt.Errorf("a sample lasts %d s", delta/int64(t.timescale))
		}
		t.deltas = appendRepeat(t.deltas, delta)
	}
	t.last.start, t.last.duration = start, s.Duration
	t.offsets = appendRepeat(t.offsets, int64(s.CompositionOffset))
	shown := start + int64(s.CompositionOffset)
	t.shownFrom = min(t.shownFrom, shown)
	t.lastShown = max(t.lastShown, shown+int64(s.Duration))
	if s.Key {
		t.keys = append(t.keys, uint32(len(t.sizes)+1))
	}
	n := len(t.chunks)
	if n == 0 || entry != t.entry || start-t.chunks[n-1].start >= int64(t.timescale)/2 {
		t.chunks = append(t.chunks, &chunk{start: start, startNS: t.ns(start), entry: entry})
		n++
	}
	t.entry = entry
	t.chunks[n-1].samples++
	return nil
}

// addBytes appends bytes of a source, joined to the last piece when they follow it.
func (c *chunk) addBytes(source int, offset, size int64) {
	c.size += size
	if n := len(c.pieces); n > 0 {
		last := &c.pieces[n-1]
		if last.source == source && last.offset+last.size == offset {
			last.size += size
			return
		}
	}
	c.pieces = append(c.pieces, piece{source: source, offset: offset, size: size})
}

// dropInBand takes the parameter sets out again; there are extra bytes of them
// before each key sample.
func (t *trackPlan) dropInBand(extra int) {
	for _, n := range t.keys {
		t.sizes[n-1] -= uint32(extra)
	}
	for _, c := range t.chunks {
		kept := c.pieces[:0]
		for _, p := range c.pieces {
			if p.source < 0 {
				c.size -= p.size
				continue
			}
			kept = append(kept, p)
		}
		c.pieces = kept
	}
}

// finish enters the last sample's duration.
func (t *trackPlan) finish() {
	t.deltas = appendRepeat(t.deltas, int64(t.last.duration))
}

// end returns the end of the newest sample in nanoseconds, 0 without samples.
func (t *trackPlan) end() int64 {
	if len(t.sizes) == 0 {
		return 0
	}
	return t.ns(t.last.start + int64(t.last.duration))
}

// firstShown returns when the first sample that is not dropped is presented.
func (t *trackPlan) firstShown() int64 { return t.shownFrom + t.skip }

// length returns the duration of all samples in the timescale.
func (t *trackPlan) length() uint64 {
	return uint64(t.last.start - t.start + int64(t.last.duration))
}

// ns converts a time of the track, which may be a little negative.
func (t *trackPlan) ns(v int64) int64 { return scale(v, second, int64(t.timescale)) }

// fromNS converts nanoseconds to the timescale.
func fromNS(ns int64, timescale uint32) int64 { return scale(ns, int64(timescale), second) }

// scale returns v*mul/div, rounded, without overflow in between.
func scale(v, mul, div int64) int64 {
	sign := int64(1)
	if v < 0 {
		v, sign = -v, -1
	}
	hi, lo := bits.Mul64(uint64(v), uint64(mul))
	lo, carry := bits.Add64(lo, uint64(div/2), 0)
	quotient, _ := bits.Div64((hi+carry)%uint64(div), lo, uint64(div))
	return sign * int64(quotient)
}

// fits tells whether scale can give the value.
func fits(v, mul, div int64) bool {
	hi, lo := bits.Mul64(uint64(v), uint64(mul))
	_, carry := bits.Add64(lo, uint64(div), 0)
	return hi+carry < uint64(div)/4
}

func appendRepeat(list []repeat, value int64) []repeat {
	if n := len(list); n > 0 && list[n-1].value == value {
		list[n-1].count++
		return list
	}
	return append(list, repeat{count: 1, value: value})
}
