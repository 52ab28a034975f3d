package hlstest

import (
	"reflect"
	"slices"
	"time"
)

// CheckDelta checks a delta update against the full playlist of the same
// moment.
func CheckDelta(full, delta []byte) error {
	a, b, err := parseTwo(full, delta)
	if err != nil {
		return err
	}
	return checkDelta(a, b).err()
}

func checkDelta(a, b *Media) Findings {
	var f Findings
	var header Findings
	checkHeaderKept(&header, a, b)
	for _, h := range header {
		f.add("delta-header", "%s", h.Detail)
	}
	if a.MediaSequence != b.MediaSequence || a.DiscontinuitySequence != b.DiscontinuitySequence ||
		a.HasDiscontinuitySequence != b.HasDiscontinuitySequence {
		f.add("delta-header", "the sequence numbers differ")
	}
	if a.Hint != b.Hint || a.HintInit != b.HintInit || a.Ended != b.Ended || !slices.Equal(a.Reports, b.Reports) {
		f.add("delta-header", "hints, reports or the end differ")
	}
	if b.Skipped == 0 {
		f.add("delta-count", "nothing is skipped")
	}
	if b.Skipped+len(b.Segments) != len(a.Segments) {
		f.add("delta-count", "%d segments are skipped and %d listed, of %d", b.Skipped, len(b.Segments), len(a.Segments))
		return f
	}
	merged, ok := a.Merge(b)
	if !ok || !reflect.DeepEqual(a.Segments, merged.Segments) {
		f.add("delta-tail", "what is listed differs from the full playlist")
	}
	if b.Skipped > 0 && b.Skipped < len(a.Segments) && b.Segments[0].Init != "" &&
		b.Segments[0].Init == a.Segments[b.Skipped-1].Init {
		f.add("delta-tail", "EXT-X-MAP is said again after EXT-X-SKIP, though it is not new there")
	}
	a.checkBoundary(&f, b.Skipped)
	return f
}

// checkBoundary checks how many segments a delta update of the playlist skips.
func (m *Media) checkBoundary(f *Findings, skipped int) {
	var behind time.Duration
	due := 0
	for i := len(m.Segments) - 1; i >= 0 && due == 0; i-- {
		if behind > m.SkipUntil+steps(len(m.Segments)-i) {
			due = i + 1
		}
		behind += m.Segments[i].length()
	}
	behind = 0
	for i := len(m.Segments) - 1; i >= skipped; i-- {
		behind += m.Segments[i].length()
	}
	if skipped > 0 && behind < m.SkipUntil-steps(len(m.Segments)) {
		f.add("delta-boundary", "%v are listed; what is newer than %v may not be skipped", behind, m.SkipUntil)
	}
	if skipped < due {
		f.add("delta-all", "%d segments are skipped, %d are further from the end than %v", skipped, due, m.SkipUntil)
	}
}

// steps is how far the sum of some printed durations may be off.
func steps(n int) time.Duration { return time.Duration(n) * rounding }

// Merge returns the playlist that a player has after a delta update: what it
// skips is taken from the playlist before. It is not ok when that does not have
// it all, and the player must ask for the whole playlist (the draft, 6.3.7).
func (m *Media) Merge(delta *Media) (*Media, bool) {
	if delta.Skipped == 0 {
		return delta, true
	}
	end := delta.MediaSequence + uint64(delta.Skipped)
	if m.Skipped > 0 || delta.MediaSequence < m.MediaSequence || end > m.NextMSN() {
		return nil, false
	}
	old := m.Segments[delta.MediaSequence-m.MediaSequence : end-m.MediaSequence]
	merged := *delta
	merged.Skipped, merged.Version = 0, m.Version
	merged.Segments = slices.Concat(old, delta.Segments)
	for i := range merged.Segments[:len(old)] {
		merged.Segments[i].Parts = nil // they are beyond the skip boundary
	}
	init := old[len(old)-1].Init
	for i := len(old); i < len(merged.Segments); i++ {
		if merged.Segments[i].Init == "" {
			merged.Segments[i].Init = init
		}
	}
	return &merged, old[len(old)-1].URI != ""
}
