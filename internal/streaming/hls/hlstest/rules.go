package hlstest

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// rounding is how far a printed duration may be from the true one.
const rounding = 10 * time.Microsecond

// findings collects broken rules.
type findings []error

func (f *findings) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf(format, args...))
}

// CheckMedia reads a media playlist and checks it by itself. The error joins
// every rule that is broken.
func CheckMedia(data []byte) error {
	m, err := ParseMedia(data)
	if err != nil {
		return err
	}
	var f findings
	m.checkHeader(&f)
	m.checkControl(&f)
	m.checkSegments(&f)
	m.checkParts(&f)
	m.checkNames(&f)
	m.checkEnd(&f)
	return errors.Join(f...)
}

// checkHeader: the draft, 4.4.1.2, 4.4.3, 8.
func (m *Media) checkHeader(f *findings) {
	if m.Version < 6 {
		f.add("EXT-X-VERSION is %d; EXT-X-MAP needs 6", m.Version)
	}
	if m.Version < 9 && (m.Skipped > 0 || m.SkipUntil > 0) {
		f.add("EXT-X-VERSION is %d; EXT-X-SKIP needs 9", m.Version)
	}
	if m.TargetDuration == 0 {
		f.add("EXT-X-TARGETDURATION is missing")
	}
	if m.Type == "VOD" && !m.Ended {
		f.add("a VOD playlist has no EXT-X-ENDLIST")
	}
	if m.Type != "" && m.MediaSequence != 0 {
		f.add("an %s playlist begins at segment %d; nothing may be removed from it", m.Type, m.MediaSequence)
	}
	if len(m.Segments) == 0 {
		f.add("the playlist has no segment")
	}
}

// checkControl: the draft, 4.4.3.7, 4.4.3.8.
func (m *Media) checkControl(f *findings) {
	if m.HoldBack > 0 && m.HoldBack < 3*m.TargetDuration {
		f.add("HOLD-BACK is %v, less than 3 target durations of %v", m.HoldBack, m.TargetDuration)
	}
	if m.SkipUntil > 0 && m.SkipUntil < 6*m.TargetDuration {
		f.add("CAN-SKIP-UNTIL is %v, less than 6 target durations of %v", m.SkipUntil, m.TargetDuration)
	}
	if m.Skipped > 0 && m.SkipUntil == 0 {
		f.add("segments are skipped without CAN-SKIP-UNTIL")
	}
	if m.PartTarget == 0 || m.Ended {
		return
	}
	if !m.CanBlockReload {
		f.add("a playlist with parts has no CAN-BLOCK-RELOAD=YES")
	}
	if m.PartHoldBack < 3*m.PartTarget {
		f.add("PART-HOLD-BACK is %v, less than 3 part targets of %v", m.PartHoldBack, m.PartTarget)
	}
}

// checkSegments: the draft, 4.4.3.1, 4.4.4, 6.2.2.
func (m *Media) checkSegments(f *findings) {
	var total time.Duration
	for i := range m.Segments {
		s := &m.Segments[i]
		n := m.MediaSequence + uint64(m.Skipped+i)
		total += s.length()
		if rounded := math.Round(s.Duration.Seconds()); rounded > m.TargetDuration.Seconds() {
			f.add("segment %d lasts %v, more than the target duration %v", n, s.Duration, m.TargetDuration)
		}
		if s.URI != "" && s.Duration == 0 {
			f.add("segment %d has no duration", n)
		}
		if s.Init == "" {
			f.add("segment %d has no EXT-X-MAP", n)
		}
		if i == 0 {
			if s.ProgramDateTime.IsZero() && m.Type != "VOD" && m.Skipped == 0 {
				f.add("the first segment of a live playlist has no EXT-X-PROGRAM-DATE-TIME")
			}
			continue
		}
		before := &m.Segments[i-1]
		if s.Init != before.Init && !s.Discontinuity {
			f.add("segment %d has another EXT-X-MAP and no EXT-X-DISCONTINUITY", n)
		}
		if !s.ProgramDateTime.IsZero() && s.ProgramDateTime.Before(before.ProgramDateTime) {
			f.add("segment %d has a date before that of segment %d", n, n-1)
		}
	}
	if m.MediaSequence > 0 && !m.Ended && m.Skipped == 0 && total < 3*m.TargetDuration {
		f.add("%v are left in the playlist, less than 3 target durations of %v", total, m.TargetDuration)
	}
}

// length is the duration of a segment, of its parts while it is being made.
func (s *Segment) length() time.Duration {
	if s.URI != "" {
		return s.Duration
	}
	var d time.Duration
	for _, p := range s.Parts {
		d += p.Duration
	}
	return d
}

// checkParts: the draft, 4.4.4.9, B.1.
func (m *Media) checkParts(f *findings) {
	var behind time.Duration
	for i := len(m.Segments) - 1; i >= 0; i-- {
		s := &m.Segments[i]
		n := m.MediaSequence + uint64(m.Skipped+i)
		if len(s.Parts) > 0 {
			if m.PartTarget == 0 {
				f.add("segment %d has parts without EXT-X-PART-INF", n)
				return
			}
			if behind > 3*m.TargetDuration {
				f.add("segment %d has parts, %v before the end; they go after 3 target durations", n, behind)
			}
			m.checkPartsOf(f, s, n)
		}
		behind += s.length()
	}
}

func (m *Media) checkPartsOf(f *findings, s *Segment, n uint64) {
	var sum time.Duration
	for i, p := range s.Parts {
		sum += p.Duration
		if p.Duration > m.PartTarget {
			f.add("part %d.%d lasts %v, more than the part target %v", n, i, p.Duration, m.PartTarget)
		}
		last := i+1 == len(s.Parts)
		exempt := p.Independent || p.Gap || last || s.Parts[i+1].Gap
		if !exempt && p.Duration < m.PartTarget*85/100 {
			f.add("part %d.%d lasts %v, less than 85 %% of the part target %v", n, i, p.Duration, m.PartTarget)
		}
		if p.Duration == 0 {
			f.add("part %d.%d has no duration", n, i)
		}
	}
	if m.IndependentSegments && !s.Parts[0].Independent && !s.Parts[0].Gap {
		f.add("segment %d begins with a part that is not independent", n)
	}
	tolerance := rounding * time.Duration(len(s.Parts)+1)
	if diff := (sum - s.Duration).Abs(); s.URI != "" && diff > tolerance {
		f.add("segment %d lasts %v, its parts %v", n, s.Duration, sum)
	}
}

// checkNames: one URI is one resource.
func (m *Media) checkNames(f *findings) {
	seen := map[string]bool{}
	once := func(uri string) {
		if uri != "" && seen[uri] {
			f.add("%s stands twice", uri)
		}
		seen[uri] = true
	}
	for i := range m.Segments {
		once(m.Segments[i].URI)
		for _, p := range m.Segments[i].Parts {
			once(p.URI)
		}
	}
	once(m.Hint)
}

// checkEnd: the draft, 4.4.5.3, B.1. A low-latency playlist always hints at
// the next part, an ended one never.
func (m *Media) checkEnd(f *findings) {
	switch {
	case m.Ended && m.Hint != "":
		f.add("an ended playlist has a preload hint")
	case !m.Ended && m.PartTarget > 0 && m.Hint == "":
		f.add("the preload hint is missing")
	case m.PartTarget == 0 && m.Hint != "":
		f.add("a preload hint without EXT-X-PART-INF")
	}
	if n := len(m.Segments); n > 0 && m.Segments[n-1].URI == "" && m.Ended {
		f.add("the playlist ends with a segment that is not complete")
	}
}
