package recorder

// slot is a place in the timeline that all rungs of a recording share.
type slot struct {
	Segment             // of the best rung that has it
	has           []int // by rung: the place among its segments, -1 if it lacks it
	discontinuity bool  // before it, on every rung
}

// timeline puts the rungs side by side. A segment that some rungs have is a gap
// on the others. One that none has is missing from the timeline, which is
// discontinuous there; so it is where the epoch changes, or any rung says so.
func (r Recording) timeline() []slot {
	next := make([]int, len(r.Rungs))
	var slots []slot
	for {
		first := -1
		for i, rung := range r.Rungs {
			if next[i] < len(rung.Segments) && (first < 0 || rung.Segments[next[i]].before(r.Rungs[first].Segments[next[first]])) {
				first = i
			}
		}
		if first < 0 {
			return slots
		}
		s := slot{Segment: r.Rungs[first].Segments[next[first]], has: make([]int, len(r.Rungs))}
		for i, rung := range r.Rungs {
			s.has[i] = -1
			if next[i] < len(rung.Segments) && !s.before(rung.Segments[next[i]]) {
				s.has[i] = next[i]
				s.discontinuity = s.discontinuity || rung.Segments[next[i]].Discontinuity
				next[i]++
			}
		}
		if len(slots) > 0 {
			last := slots[len(slots)-1]
			s.discontinuity = s.discontinuity || last.Epoch != s.Epoch || last.MSN+1 != s.MSN
		}
		slots = append(slots, s)
	}
}

// lacks returns how much of the timeline a rung lacks, and all of it, in ticks.
func lacks(slots []slot, rung int) (missing, all int64) {
	for _, s := range slots {
		all += s.Ticks
		if s.has[rung] < 0 {
			missing += s.Ticks
		}
	}
	return missing, all
}
