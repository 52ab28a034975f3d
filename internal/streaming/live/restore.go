package live

import (
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// mayBeShown is how much longer than its decoding time the last stored picture
// may be shown: the depth of B-frames, which no listing tells. In ticks.
const mayBeShown = ticksPerSecond / 10

// Restored is what the object store has of one rung of a broadcast that another
// process began.
type Restored struct {
	Rung     string
	Formats  cmaf.Formats // of all its init segments
	Segments []Segment    // in order
}

// Restore continues a broadcast where its stored segments end. It comes before
// the first Attach. Epoch is that of the segments to come, higher than all of
// theirs. Without segments of the source rung nothing is restored.
func (s *Stream) Restore(rungs []Restored, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(rungs, func(r Restored) bool { return r.Rung == Source })
	if i < 0 || len(rungs[i].Segments) == 0 {
		return
	}
	all := withoutHoles(rungs[i].Segments)
	for _, r := range rungs {
		w := s.rung(r.Rung)
		if w == nil {
			continue
		}
		r.Segments = like(all, r.Segments)
		init, end := w.restore(r, epoch)
		if r.Rung == Source {
			p := s.packager
			p.init, p.end90, p.videoEnd, p.discontinuity = init, end, end+mayBeShown, true
			if p.sound != nil {
				p.sound.begin(end)
			}
		}
		for _, f := range s.packager.followers {
			if o := f.out(); o.rung == r.Rung {
				o.init = init
			}
		}
		if r.Rung == AAC {
			s.aac.queue.begin(end)
		}
	}
}

// withoutHoles puts a gap in the place of each segment that was lost.
func withoutHoles(segments []Segment) []Segment {
	var all []Segment
	for _, s := range segments {
		for n := len(all); n > 0 && all[n-1].MSN+1 < s.MSN; n = len(all) {
			all = append(all, gapLike(all[n-1], all[n-1].MSN+1, all[n-1].Init))
		}
		all = append(all, s)
	}
	return all
}

// like returns a rung's segments under the numbers of the source's, with gaps
// where it has none.
func like(source, own []Segment) []Segment {
	all := make([]Segment, len(source))
	init := 1
	for i, s := range source {
		at := slices.IndexFunc(own, func(o Segment) bool { return o.MSN == s.MSN && o.Epoch == s.Epoch })
		if at < 0 {
			all[i] = gapLike(s, s.MSN, init)
			all[i].Discontinuity = s.Discontinuity
			continue
		}
		all[i] = own[at]
		init = own[at].Init
		own = own[at:]
	}
	return all
}

func gapLike(s Segment, msn uint64, init int) Segment {
	return Segment{Epoch: s.Epoch, MSN: msn, Init: init, Start: s.Start, Ticks: s.Ticks, lost: true}
}

// restore makes the window of stored segments, and returns the highest version
// of their init segments and where they end.
func (w *window) restore(r Restored, epoch int64) (init int, end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.formats, w.epoch = r.Formats, epoch
	for i := range r.Segments {
		s := r.Segments[i]
		s.uri, s.start, s.complete, s.released = segmentName(s.Epoch, s.MSN), end, true, true
		end += s.Ticks
		init = max(init, s.Init)
		w.count(&s)
		w.segments = append(w.segments, &s)
		w.next = s.MSN + 1
	}
	w.listed = len(w.segments)
	w.interval = ticksPerSecond / 30
	w.aligned = true
	w.trim()
	w.busiest = w.averageListed()
	w.publish()
	return init, end
}
