package hls

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// AppendTo appends the multivariant playlist to dst. URIs and names must be
// free of quotes and line breaks.
func (m *Multivariant) AppendTo(dst []byte) []byte {
	// Nothing in it needs a version; what it names has EXT-X-MAP (the draft, 8).
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:6\n"...)
	if m.IndependentSegments {
		dst = append(dst, "#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	}
	for i := range m.Renditions {
		dst = m.Renditions[i].appendTo(dst)
	}
	for i := range m.Variants {
		dst = m.Variants[i].appendTo(dst)
	}
	return dst
}

func (r *Rendition) appendTo(dst []byte) []byte {
	dst = append(dst, "#EXT-X-MEDIA:TYPE=AUDIO"...)
	dst = appendQuoted(dst, ",GROUP-ID=", r.GroupID)
	dst = appendQuoted(dst, ",NAME=", r.Name)
	dst = appendQuoted(dst, ",LANGUAGE=", cmp.Or(r.Language, "und"))
	if r.Default {
		dst = append(dst, ",DEFAULT=YES"...)
	}
	dst = append(dst, ",AUTOSELECT=YES"...)
	if r.Channels > 0 {
		dst = appendQuoted(dst, ",CHANNELS=", strconv.Itoa(r.Channels))
	}
	if r.URI != "" {
		dst = appendQuoted(dst, ",URI=", r.URI)
	}
	return append(dst, '\n')
}

func (v *Variant) appendTo(dst []byte) []byte {
	dst = append(dst, "#EXT-X-STREAM-INF:BANDWIDTH="...)
	dst = strconv.AppendInt(dst, int64(v.Bandwidth), 10)
	if v.AverageBandwidth > 0 {
		dst = append(dst, ",AVERAGE-BANDWIDTH="...)
		dst = strconv.AppendInt(dst, int64(v.AverageBandwidth), 10)
	}
	if len(v.Codecs) > 0 {
		dst = appendQuoted(dst, ",CODECS=", strings.Join(v.Codecs, ","))
	}
	if v.Width > 0 && v.Height > 0 {
		dst = append(dst, ",RESOLUTION="...)
		dst = strconv.AppendInt(dst, int64(v.Width), 10)
		dst = append(dst, 'x')
		dst = strconv.AppendInt(dst, int64(v.Height), 10)
	}
	if v.FrameRate > 0 {
		dst = append(dst, ",FRAME-RATE="...)
		dst = strconv.AppendFloat(dst, v.FrameRate, 'f', 3, 64)
	}
	if v.Range != "" {
		dst = append(dst, ",VIDEO-RANGE="...)
		dst = append(dst, v.Range...)
	}
	if v.Score > 0 {
		dst = append(dst, ",SCORE="...)
		dst = strconv.AppendFloat(dst, v.Score, 'f', -1, 64)
	}
	if v.AudioGroup != "" {
		dst = appendQuoted(dst, ",AUDIO=", v.AudioGroup)
	}
	dst = append(dst, '\n')
	dst = append(dst, v.URI...)
	return append(dst, '\n')
}

// NewVOD returns the playlist of a recording: all its segments, ended. The
// target duration is that of the longest.
func NewVOD(segments []Segment) *Media {
	longest := 1
	for i := range segments {
		longest = max(longest, int(math.Round(segments[i].Duration.Seconds())))
	}
	return &Media{
		Type: VOD, TargetDuration: longest, IndependentSegments: true,
		Segments: segments, Ended: true,
	}
}

// AppendTo appends the whole playlist to dst. URIs must be free of quotes and
// line breaks.
func (m *Media) AppendTo(dst []byte) []byte { return m.appendFrom(dst, 0) }

// AppendDelta appends the playlist without the segments that a client which
// reloads knows already (the draft, 6.2.5.1): those further from the end than
// SkipUntil. When there are none, that is the whole playlist.
func (m *Media) AppendDelta(dst []byte) []byte { return m.appendFrom(dst, m.skippable()) }

// skippable counts the segments that end before the skip boundary, which lies
// SkipUntil before the end of the last part.
func (m *Media) skippable() int {
	if m.SkipUntil <= 0 || m.Ended {
		return 0
	}
	var behind time.Duration
	for i := len(m.Segments) - 1; i >= 0; i-- {
		if behind > m.SkipUntil {
			return i + 1
		}
		behind += m.Segments[i].length()
	}
	return 0
}

// length is the segment's duration, also when it is still being made.
func (s *Segment) length() time.Duration {
	if s.URI != "" {
		return s.Duration
	}
	var d time.Duration
	for i := range s.Parts {
		d += s.Parts[i].Duration
	}
	return d
}

// appendFrom appends the playlist with the first segments skipped. What applied
// to those and still applies, their EXT-X-MAP, is not said again: it was
// replaced with them, and whoever asks for a delta update has it (the draft,
// 4.4.5.2, 6.3.7).
func (m *Media) appendFrom(dst []byte, skip int) []byte {
	dst = m.appendHeader(dst, skip > 0)
	init := ""
	if skip > 0 {
		dst = append(dst, "#EXT-X-SKIP:SKIPPED-SEGMENTS="...)
		dst = strconv.AppendInt(dst, int64(skip), 10)
		dst = append(dst, '\n')
		init = m.Segments[skip-1].Init
	}
	for i := skip; i < len(m.Segments); i++ {
		s := &m.Segments[i]
		if s.URI == "" && len(s.Parts) == 0 {
			continue // nothing to tell yet; its number is that of the hint
		}
		dst = s.appendTo(dst, s.Init != init)
		init = s.Init
	}
	if !m.Ended {
		dst = m.appendHints(dst)
	}
	for i := range m.Reports {
		dst = m.Reports[i].appendTo(dst)
	}
	if m.Ended {
		dst = append(dst, "#EXT-X-ENDLIST\n"...)
	}
	return dst
}

// appendHints appends the preload hints (the draft, 4.4.5.3).
func (m *Media) appendHints(dst []byte) []byte {
	if m.HintInit != "" {
		dst = appendQuoted(dst, "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=", m.HintInit)
		dst = append(dst, '\n')
	}
	if m.Hint != "" {
		dst = appendQuoted(dst, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=", m.Hint)
		dst = append(dst, '\n')
	}
	return dst
}

func (r *Report) appendTo(dst []byte) []byte {
	dst = appendQuoted(dst, "#EXT-X-RENDITION-REPORT:URI=", r.URI)
	dst = append(dst, ",LAST-MSN="...)
	dst = strconv.AppendUint(dst, r.LastMSN, 10)
	if r.LastPart >= 0 {
		dst = append(dst, ",LAST-PART="...)
		dst = strconv.AppendInt(dst, int64(r.LastPart), 10)
	}
	return append(dst, '\n')
}

func (m *Media) appendHeader(dst []byte, skips bool) []byte {
	version := "6" // EXT-X-MAP
	if skips {
		version = "9" // EXT-X-SKIP
	}
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = append(dst, version...)
	dst = append(dst, "\n#EXT-X-TARGETDURATION:"...)
	dst = strconv.AppendInt(dst, int64(m.TargetDuration), 10)
	dst = append(dst, '\n')
	dst = m.appendServerControl(dst)
	if m.PartTarget > 0 {
		dst = append(dst, "#EXT-X-PART-INF:PART-TARGET="...)
		dst = append(appendSeconds(dst, m.PartTarget), '\n')
	}
	dst = append(dst, "#EXT-X-MEDIA-SEQUENCE:"...)
	dst = append(strconv.AppendUint(dst, m.MediaSequence, 10), '\n')
	if m.Type == Live || m.DiscontinuitySequence > 0 {
		// A discontinuity may come at any time, and the tag must be there then
		// (Apple 8.17).
		dst = append(dst, "#EXT-X-DISCONTINUITY-SEQUENCE:"...)
		dst = append(strconv.AppendUint(dst, m.DiscontinuitySequence, 10), '\n')
	}
	if m.Type != Live {
		dst = append(dst, "#EXT-X-PLAYLIST-TYPE:"...)
		dst = append(dst, m.Type...)
		dst = append(dst, '\n')
	}
	if m.IndependentSegments {
		dst = append(dst, "#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	}
	return dst
}

// appendServerControl appends EXT-X-SERVER-CONTROL (the draft, 4.4.3.8). It
// stays when the playlist ends: EXT-X-PART-INF requires it, and no tag of the
// header may go (6.2.1). The server then ignores the directives.
func (m *Media) appendServerControl(dst []byte) []byte {
	if m.PartTarget == 0 && m.HoldBack == 0 && m.SkipUntil == 0 {
		return dst
	}
	dst = append(dst, "#EXT-X-SERVER-CONTROL:"...)
	first := len(dst)
	if m.PartTarget > 0 {
		dst = append(dst, "CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK="...)
		dst = append(appendSeconds(dst, m.PartHoldBack), ',')
	}
	if m.HoldBack > 0 {
		dst = append(dst, "HOLD-BACK="...)
		dst = append(appendSeconds(dst, m.HoldBack), ',')
	}
	if m.SkipUntil > 0 {
		dst = append(dst, "CAN-SKIP-UNTIL="...)
		dst = append(appendSeconds(dst, m.SkipUntil), ',')
	}
	if len(dst) > first {
		dst[len(dst)-1] = '\n'
	}
	return dst
}

func (s *Segment) appendTo(dst []byte, newInit bool) []byte {
	if s.Discontinuity {
		dst = append(dst, "#EXT-X-DISCONTINUITY\n"...)
	}
	if newInit && s.Init != "" {
		dst = appendQuoted(dst, "#EXT-X-MAP:URI=", s.Init)
		dst = append(dst, '\n')
	}
	if !s.ProgramDateTime.IsZero() {
		dst = append(dst, "#EXT-X-PROGRAM-DATE-TIME:"...)
		dst = s.ProgramDateTime.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		dst = append(dst, '\n')
	}
	for i := range s.Parts {
		dst = s.Parts[i].appendTo(dst)
	}
	if s.URI == "" {
		return dst
	}
	if s.Gap {
		dst = append(dst, "#EXT-X-GAP\n"...)
	}
	dst = append(dst, "#EXTINF:"...)
	dst = appendSeconds(dst, s.Duration)
	dst = append(dst, ",\n"...)
	dst = append(dst, s.URI...)
	return append(dst, '\n')
}

func (p *Part) appendTo(dst []byte) []byte {
	dst = append(dst, "#EXT-X-PART:DURATION="...)
	dst = appendSeconds(dst, p.Duration)
	dst = appendQuoted(dst, ",URI=", p.URI)
	if p.Independent {
		dst = append(dst, ",INDEPENDENT=YES"...)
	}
	if p.Gap {
		dst = append(dst, ",GAP=YES"...)
	}
	return append(dst, '\n')
}

// appendSeconds appends a decimal number of seconds with 5 decimals, rounded.
func appendSeconds(dst []byte, d time.Duration) []byte {
	const unit = 10 * time.Microsecond
	n := int64(max(d, 0)+unit/2) / int64(unit)
	dst = strconv.AppendInt(dst, n/100_000, 10)
	dst = append(dst, '.')
	frac := n % 100_000
	for div := int64(10_000); div > 0; div /= 10 {
		dst = append(dst, byte('0'+frac/div%10))
	}
	return dst
}

func appendQuoted(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, '"')
	dst = append(dst, value...)
	return append(dst, '"')
}
