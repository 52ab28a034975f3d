package hlstest

import (
	"cmp"
	"net/url"
	"time"
)

// alignment is how far the same moment may be apart in two media playlists: an
// audio frame lasts up to 24 ms, a picture of 24 fps 42 ms.
const alignment = 50 * time.Millisecond

// Listed is a media playlist that a multivariant playlist names.
type Listed struct {
	URI      string // as resolved, so that it is the same in reports
	Playlist []byte
}

// CheckRenditions checks the media playlists of one moment against each other
// and their multivariant playlist, whose URI tells which of them are video.
func CheckRenditions(masterURI string, master []byte, listed []Listed) error {
	mv, err := ParseMultivariant(master)
	if err != nil {
		return err
	}
	var f Findings
	set := make([]rendition, 0, len(listed))
	for _, l := range listed {
		m, err := ParseMedia(l.Playlist)
		if err != nil {
			f.addErr(l.URI, err)
			continue
		}
		set = append(set, rendition{uri: l.URI, video: mv.isVideo(masterURI, l.URI), m: m})
	}
	checkSet(&f, mv, set)
	checkEnds(&f, set)
	for _, r := range set {
		checkReports(&f, r, set)
		for _, report := range r.m.Reports {
			for _, o := range set {
				if resolve(r.uri, report.URI) == o.uri && position(report.LastMSN, report.LastPart) != o.m.last() {
					f.add("report-current", "%s reports %d.%d of %s, which is at %s", r.uri, report.LastMSN, report.LastPart, o.uri, o.m.last())
				}
			}
		}
	}
	return f.err()
}

// rendition is a media playlist of a set.
type rendition struct {
	uri   string
	video bool
	m     *Media
}

// isVideo says whether a media playlist is a variant's with video.
func (m *Multivariant) isVideo(masterURI, uri string) bool {
	for i := range m.Variants {
		if resolve(masterURI, m.Variants[i].URI) == uri && m.Variants[i].hasVideo() {
			return true
		}
	}
	return false
}

// resolve returns the absolute URI of a reference; "" if it is none.
func resolve(base, ref string) string {
	b, err := url.Parse(base)
	if err != nil {
		return ""
	}
	u, err := b.Parse(ref)
	if err != nil {
		return ""
	}
	return u.String()
}

// checkSet checks what holds at any moment.
func checkSet(f *Findings, mv *Multivariant, set []rendition) {
	for _, r := range set {
		switch {
		case mv.IndependentSegments && r.m.IndependentSegments:
			f.add("independent-twice", "the multivariant playlist and %s have EXT-X-INDEPENDENT-SEGMENTS", r.uri)
		case r.video && !mv.IndependentSegments && !r.m.IndependentSegments:
			f.add("apple-9.12", "neither the multivariant playlist nor %s has EXT-X-INDEPENDENT-SEGMENTS", r.uri)
		}
	}
	for i := 1; i < len(set); i++ {
		a, b := set[0], set[i]
		if a.m.TargetDuration != b.m.TargetDuration {
			f.add("same-target", "%s has %v, %s has %v", a.uri, a.m.TargetDuration, b.uri, b.m.TargetDuration)
		}
		if a.m.Type != b.m.Type {
			f.add("same-type", "%s is %q, %s is %q", a.uri, a.m.Type, b.uri, b.m.Type)
		}
		if a.m.control() != b.m.control() {
			f.add("same-control", "%s has %v, %s has %v", a.uri, a.m.control(), b.uri, b.m.control())
		}
		checkAligned(f, a, b)
	}
}

// checkAligned compares the segments that two media playlists both have.
func checkAligned(f *Findings, a, b rendition) {
	disc := func(m *Media, upTo int) uint64 {
		n := m.DiscontinuitySequence
		for i := range m.Segments[:upTo+1] {
			if m.Segments[i].Discontinuity {
				n++
			}
		}
		return n
	}
	from := max(a.m.MediaSequence, b.m.MediaSequence)
	for n := from; n < min(a.m.NextMSN(), b.m.NextMSN()); n++ {
		i, j := int(n-a.m.MediaSequence), int(n-b.m.MediaSequence)
		x, y := &a.m.Segments[i], &b.m.Segments[j]
		// What has left a playlist still counts in its sequence number, but the
		// first one listed may have lost its tag's meaning in the other.
		if x.Discontinuity != y.Discontinuity || disc(a.m, i) != disc(b.m, j) {
			f.add("apple-8.15", "segment %d has discontinuity number %d in %s, %d in %s", n, disc(a.m, i), a.uri, disc(b.m, j), b.uri)
		}
		if !x.ProgramDateTime.IsZero() && !y.ProgramDateTime.IsZero() && x.ProgramDateTime.Sub(y.ProgramDateTime).Abs() > alignment {
			f.add("same-dates", "segment %d is at %v in %s, at %v in %s", n, x.ProgramDateTime, a.uri, y.ProgramDateTime, b.uri)
		}
		if x.URI != "" && y.URI != "" && (x.Duration-y.Duration).Abs() > alignment {
			f.add("apple-8.22", "segment %d lasts %v in %s, %v in %s", n, x.Duration, a.uri, y.Duration, b.uri)
		}
		if a.video && b.video {
			checkSameParts(f, n, x, y)
		}
	}
}

func checkSameParts(f *Findings, n uint64, x, y *Segment) {
	var p, q time.Duration
	for i := range min(len(x.Parts), len(y.Parts)) {
		p += x.Parts[i].Duration
		q += y.Parts[i].Duration
		if (p - q).Abs() > alignment {
			f.add("same-parts", "part %d.%d ends at %v or at %v of its segment", n, i, p, q)
			return
		}
	}
	if len(x.Parts) > 0 && len(y.Parts) > 0 && x.URI != "" && y.URI != "" && len(x.Parts) != len(y.Parts) {
		f.add("same-parts", "segment %d has %d or %d parts", n, len(x.Parts), len(y.Parts))
	}
}

// checkEnds checks that playlists of one moment end together.
func checkEnds(f *Findings, set []rendition) {
	for i := 1; i < len(set); i++ {
		a, b := set[0], set[i]
		ea, eb := a.m.endDate(), b.m.endDate()
		limit := cmp.Or(max(a.m.PartTarget, b.m.PartTarget), max(a.m.TargetDuration, b.m.TargetDuration))
		if !ea.IsZero() && !eb.IsZero() && ea.Sub(eb).Abs() > limit+alignment {
			f.add("in-sync", "%s ends %v from the end of %s", a.uri, ea.Sub(eb).Abs(), b.uri)
		}
	}
}

// endDate is the date of the playlist's end, zero if it has no dates.
func (m *Media) endDate() time.Time {
	var end time.Time
	for i := range m.Segments {
		if s := &m.Segments[i]; !s.ProgramDateTime.IsZero() {
			end = s.ProgramDateTime
		}
		if !end.IsZero() {
			end = end.Add(m.Segments[i].length())
		}
	}
	return end
}

// checkReports checks the reports of a media playlist by themselves.
func checkReports(f *Findings, r rendition, set []rendition) {
	if r.m.PartTarget == 0 {
		return
	}
	reports := map[string]int{}
	for _, report := range r.m.Reports {
		reports[resolve(r.uri, report.URI)]++
		checkReportSync(f, r, report)
	}
	for _, o := range set {
		want := 1
		if o.uri == r.uri {
			want = 0
		}
		if n := reports[o.uri]; n != want {
			f.add("report-each", "%s has %d reports on %s, not %d", r.uri, n, o.uri, want)
		}
	}
}

// checkReportSync: what a report tells is at most one part from where the
// playlist that has it is.
func checkReportSync(f *Findings, r rendition, report Report) {
	own, other := r.m.last(), position(report.LastMSN, report.LastPart)
	if own.part < 0 || other.part < 0 || r.m.Ended {
		return
	}
	low, high := own, other
	if high.before(low) {
		low, high = high, low
	}
	near := high.msn == low.msn && high.part-low.part <= 1 || high.msn == low.msn+1 && high.part == 0
	if !near {
		f.add("in-sync", "%s is at %s and reports %s of %s", r.uri, own, other, report.URI)
	}
}
