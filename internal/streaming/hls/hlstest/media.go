package hlstest

import (
	"math"
	"net/url"
	"time"
)

const (
	// rounding is how far a printed duration may be from the true one.
	rounding = 10 * time.Microsecond
	// steadiness is how far a date may be from where the one before and the
	// durations put it: clocks are slewed, not set.
	steadiness = 250 * time.Millisecond
)

// CheckMedia reads a media playlist and checks it by itself. The error is nil or
// holds every rule that is broken; see FindingsOf.
func CheckMedia(data []byte) error {
	m, err := ParseMedia(data)
	if err != nil {
		return err
	}
	return m.check().err()
}

// CheckVOD is CheckMedia for the playlist of a recording.
func CheckVOD(data []byte) error {
	m, err := ParseMedia(data)
	if err != nil {
		return err
	}
	return m.checkVOD().err()
}

func (m *Media) checkVOD() Findings {
	f := m.check()
	if m.Type != "VOD" {
		f.add("apple-8.6", "the type is %q, not VOD", m.Type)
	}
	return f
}

func (m *Media) check() Findings {
	var f Findings
	m.checkHeader(&f)
	m.checkControl(&f)
	m.checkSegments(&f)
	m.checkDates(&f)
	m.checkLive(&f)
	m.checkParts(&f)
	m.checkNames(&f)
	m.checkEnd(&f)
	return f
}

// msn is the number of the segment at a place of Segments.
func (m *Media) msn(i int) uint64 { return m.MediaSequence + uint64(m.Skipped+i) }

func (m *Media) checkHeader(f *Findings) {
	need := uint64(6) // EXT-X-MAP; durations with decimals need 3
	if m.Skipped > 0 {
		need = 9
	}
	if m.Version < need {
		f.add("version", "EXT-X-VERSION is %d, the tags need %d", m.Version, need)
	}
	if m.Version > need {
		f.add("version-high", "EXT-X-VERSION is %d, the tags need only %d", m.Version, need)
	}
	if m.TargetDuration == 0 {
		f.add("target-duration", "EXT-X-TARGETDURATION is missing or 0")
	}
	if m.Type == "VOD" && !m.Ended {
		f.add("vod-ended", "a VOD playlist has no EXT-X-ENDLIST")
	}
	if m.Type != "" && m.MediaSequence != 0 {
		f.add("type-removal", "an %s playlist begins at segment %d; nothing may be removed from it", m.Type, m.MediaSequence)
	}
	if len(m.Segments) == 0 {
		f.add("not-empty", "the playlist has no segment")
	}
}

func (m *Media) checkControl(f *Findings) {
	if m.HoldBack > 0 && m.HoldBack < 3*m.TargetDuration {
		f.add("hold-back", "HOLD-BACK is %v, less than 3 target durations of %v", m.HoldBack, m.TargetDuration)
	}
	if m.SkipUntil > 0 && m.SkipUntil < 6*m.TargetDuration {
		f.add("skip-until", "CAN-SKIP-UNTIL is %v, less than 6 target durations of %v", m.SkipUntil, m.TargetDuration)
	}
	if m.Skipped > 0 && (m.SkipUntil == 0 || m.Ended) {
		f.add("skip-offered", "segments are skipped without CAN-SKIP-UNTIL, or in an ended playlist")
	}
	if m.PartTarget == 0 {
		return
	}
	if !m.CanBlockReload {
		f.add("server-control", "a playlist with parts has no CAN-BLOCK-RELOAD=YES")
	}
	if m.PartHoldBack == 0 {
		f.add("server-control", "a playlist with parts has no PART-HOLD-BACK")
	} else if m.PartHoldBack < 3*m.PartTarget {
		f.add("apple-14.3", "PART-HOLD-BACK is %v, less than 3 part targets of %v", m.PartHoldBack, m.PartTarget)
	}
}

func (m *Media) checkSegments(f *Findings) {
	for i := range m.Segments {
		s, n := &m.Segments[i], m.msn(i)
		if math.Round(s.Duration.Seconds()) > m.TargetDuration.Seconds() {
			f.add("segment-duration", "segment %d lasts %v, more than the target duration %v", n, s.Duration, m.TargetDuration)
		}
		if s.Duration > m.TargetDuration+time.Second/2 {
			f.add("apple-7.7", "segment %d lasts %v, more than %v and 0.5 s", n, s.Duration, m.TargetDuration)
		}
		if s.URI != "" && s.Duration == 0 {
			f.add("segment-zero", "segment %d has no duration", n)
		}
		if s.Init == "" && m.Skipped == 0 {
			f.add("map", "segment %d has no EXT-X-MAP", n)
		}
		if i > 0 && s.Init != m.Segments[i-1].Init && !s.Discontinuity && m.Segments[i-1].Init != "" {
			f.add("map-discontinuity", "segment %d has another EXT-X-MAP and no EXT-X-DISCONTINUITY", n)
		}
		s.checkGap(f, n)
	}
}

func (s *Segment) checkGap(f *Findings, n uint64) {
	gaps := 0
	for _, p := range s.Parts {
		if p.Gap {
			gaps++
		}
	}
	all := gaps == len(s.Parts)
	switch {
	case len(s.Parts) == 0 || s.URI == "":
	case s.Gap && !all:
		f.add("gap-parts", "segment %d is a gap, %d of its %d parts are", n, gaps, len(s.Parts))
	case !s.Gap && all:
		f.add("gap-parts", "all parts of segment %d are gaps, it is none", n)
	}
}

// checkDates checks EXT-X-PROGRAM-DATE-TIME.
func (m *Media) checkDates(f *Findings) {
	if len(m.Segments) > 0 && m.Segments[0].ProgramDateTime.IsZero() && m.Type != "VOD" && m.Skipped == 0 {
		f.add("apple-8.4", "the first segment of a live playlist has no EXT-X-PROGRAM-DATE-TIME")
	}
	var due time.Time // where the segment begins by the last date and the durations
	var before time.Duration
	for i := range m.Segments {
		s, n := &m.Segments[i], m.msn(i)
		date := s.ProgramDateTime
		if date.IsZero() {
			if s.Discontinuity && !due.IsZero() {
				f.add("date-discontinuity", "segment %d has EXT-X-DISCONTINUITY and no date", n)
			}
		} else if !due.IsZero() {
			checkDate(f, s, n, date.Sub(due), before)
		}
		if !date.IsZero() {
			due = date
		}
		before = s.length()
		if !due.IsZero() {
			due = due.Add(before)
		}
	}
}

// checkDate checks the date of a segment; off is how far it is from where the
// segment before, which lasts as told, ends.
func checkDate(f *Findings, s *Segment, n uint64, off, before time.Duration) {
	if off < 0 && (-off >= time.Second || -off >= before) {
		f.add("date-order", "segment %d is dated %v before the end of the one before, which lasts %v", n, -off, before)
	}
	if !s.Discontinuity && off.Abs() > steadiness {
		f.add("date-steady", "the date of segment %d is %v off without a discontinuity", n, off)
	}
}

// checkLive checks what only playlists that go on must keep.
func (m *Media) checkLive(f *Findings) {
	if m.Type == "" && !m.HasDiscontinuitySequence {
		f.add("apple-8.17", "a live playlist has no EXT-X-DISCONTINUITY-SEQUENCE")
	}
	if m.Ended || m.Type != "" {
		return
	}
	total := m.Length()
	if m.MediaSequence > 0 && m.Skipped == 0 {
		complete := len(m.Segments)
		if complete > 0 && m.Segments[complete-1].URI == "" {
			complete--
		}
		if complete < 6 {
			f.add("apple-8.11", "%d complete segments are left in the playlist, less than 6", complete)
		}
		if total < 3*m.TargetDuration {
			f.add("three-targets", "%v are left in the playlist, less than 3 target durations of %v", total, m.TargetDuration)
		}
	}
	if total > 2*time.Minute && m.SkipUntil == 0 {
		f.add("apple-14.4", "the playlist lasts %v and offers no delta updates", total)
	}
}

func (m *Media) checkParts(f *Findings) {
	var behind time.Duration
	without := -1 // the oldest segment after which parts are still to be found
	for i := len(m.Segments) - 1; i >= 0; i-- {
		s, n := &m.Segments[i], m.msn(i)
		switch {
		case len(s.Parts) == 0 && without < 0:
			without = i
		case len(s.Parts) > 0:
			if m.PartTarget == 0 {
				f.add("part-inf", "segment %d has parts without EXT-X-PART-INF", n)
				return
			}
			if without >= 0 {
				f.add("part-order", "segment %d has parts, %d after it has none", n, m.msn(without))
			}
			if behind > 3*m.TargetDuration {
				f.add("part-old", "segment %d has parts, %v before the end; they go after 3 target durations", n, behind)
			}
			m.checkPartsOf(f, s, n)
		}
		behind += s.length()
	}
}

func (m *Media) checkPartsOf(f *Findings, s *Segment, n uint64) {
	var sum time.Duration
	independent := s.URI == "" || s.Gap
	for i, p := range s.Parts {
		sum += p.Duration
		independent = independent || p.Independent
		if p.Duration > m.PartTarget {
			f.add("part-long", "part %d.%d lasts %v, more than the part target %v", n, i, p.Duration, m.PartTarget)
		}
		last := i+1 == len(s.Parts)
		exempt := p.Independent || p.Gap || last || s.Parts[i+1].Gap
		if !exempt && p.Duration < m.PartTarget*85/100 {
			f.add("part-short", "part %d.%d lasts %v, less than 85 %% of the part target %v", n, i, p.Duration, m.PartTarget)
		}
		if p.Duration == 0 {
			f.add("part-zero", "part %d.%d has no duration", n, i)
		}
	}
	if !independent {
		f.add("part-independent", "no part of segment %d is independent", n)
	}
	if m.IndependentSegments && !s.Parts[0].Independent && !s.Parts[0].Gap {
		f.add("part-first", "segment %d begins with a part that is not independent", n)
	}
	tolerance := rounding * time.Duration(len(s.Parts)+1)
	if diff := (sum - s.Duration).Abs(); s.URI != "" && diff > tolerance {
		f.add("part-sum", "segment %d lasts %v, its parts %v", n, s.Duration, sum)
	}
}

func (m *Media) checkNames(f *Findings) {
	seen := map[string]bool{}
	once := func(uri string) {
		if uri != "" && seen[uri] {
			f.add("uri-once", "%s stands twice", uri)
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

// checkEnd checks what stands after the segments.
func (m *Media) checkEnd(f *Findings) {
	switch {
	case m.Ended && (m.Hint != "" || m.HintInit != ""):
		f.add("hint-ended", "an ended playlist has a preload hint")
	case !m.Ended && m.PartTarget > 0 && m.Hint == "":
		f.add("hint", "the hint at the next part is missing")
	case m.PartTarget == 0 && m.Hint != "":
		f.add("part-inf", "a preload hint without EXT-X-PART-INF")
	}
	if n := len(m.Segments); n > 0 && m.Segments[n-1].URI == "" && m.Ended {
		f.add("ended-complete", "the playlist ends with a segment that is not complete")
	}
	for _, r := range m.Reports {
		u, err := url.Parse(r.URI)
		if err != nil || u.IsAbs() || u.Host != "" {
			f.add("report-uri", "the report's URI %s is not relative", r.URI)
		}
		if m.PartTarget > 0 && r.LastPart < 0 {
			f.add("report-values", "the report on %s has no LAST-PART", r.URI)
		}
	}
}
