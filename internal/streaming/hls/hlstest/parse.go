// Package hlstest reads playlists as strictly as a player may, and checks them,
// the media that they list and how it is delivered by the rules of
// draft-pantos-hls-rfc8216bis-22 ("the draft"; its Appendix B is the low-latency
// server profile), of the HLS Authoring Specification for Apple Devices
// ("Apple"), and of this project. It is for tests and tools: what it refuses is a
// fault of the server. Rules lists what it knows; docs/hls.md shows it.
package hlstest

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Media is a media playlist that was read.
type Media struct {
	Version                  uint64
	TargetDuration           time.Duration
	PartTarget               time.Duration // 0: no EXT-X-PART-INF
	CanBlockReload           bool
	HoldBack                 time.Duration
	PartHoldBack             time.Duration
	SkipUntil                time.Duration
	MediaSequence            uint64
	DiscontinuitySequence    uint64
	HasDiscontinuitySequence bool
	Type                     string // "", EVENT or VOD
	IndependentSegments      bool
	Skipped                  int // SKIPPED-SEGMENTS of a delta update
	Segments                 []Segment
	Hint                     string // URI of EXT-X-PRELOAD-HINT of type PART
	HintInit                 string // the same of type MAP
	Reports                  []Report
	Ended                    bool

	once map[string]bool // tags seen that may stand once
}

// Segment is a media segment with what applies to it. The last one of a live
// playlist may have parts and no URI yet.
type Segment struct {
	URI             string
	Duration        time.Duration
	Init            string // URI of its EXT-X-MAP; in a delta update "" until it says one
	ProgramDateTime time.Time
	Discontinuity   bool
	Gap             bool
	Parts           []Part
}

// Part is a partial segment.
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool
	Gap         bool
}

// Report is a rendition report.
type Report struct {
	URI      string
	LastMSN  uint64
	LastPart int // -1: none
}

// NextMSN is the number after that of the last segment listed, complete or not.
func (m *Media) NextMSN() uint64 {
	return m.MediaSequence + uint64(m.Skipped+len(m.Segments))
}

// Next is the number of the part that comes next, and of its segment. Without
// parts it is the next segment and -1.
func (m *Media) Next() (msn uint64, part int) {
	msn = m.NextMSN()
	if m.PartTarget == 0 {
		return msn, -1
	}
	if n := len(m.Segments); n > 0 && m.Segments[n-1].URI == "" {
		return msn - 1, len(m.Segments[n-1].Parts)
	}
	return msn, 0
}

// Length is the time from the playlist's begin to its end, without what a delta
// update skips.
func (m *Media) Length() time.Duration {
	var d time.Duration
	for i := range m.Segments {
		d += m.Segments[i].length()
	}
	return d
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

// mediaParser goes through the lines of a media playlist.
type mediaParser struct {
	m       *Media
	next    Segment // tags seen for the segment whose URI is to come
	hasNext bool
	hasInf  bool
	tail    string // the first tag after the last segment
	init    string
}

// ParseMedia reads a media playlist. It knows the tags that this server writes
// and refuses any other, as it does wrong places and wrong values. The error is a
// Finding.
func ParseMedia(data []byte) (*Media, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, err
	}
	p := mediaParser{m: &Media{once: map[string]bool{}}}
	for i, line := range lines {
		if err := p.line(line); err != nil {
			return nil, at(err, i+2, line)
		}
	}
	if p.hasInf {
		return nil, broken("extinf", "an EXTINF has no URI after it")
	}
	p.closeOpen()
	return p.m, nil
}

// closeOpen adds the segment that has tags and parts but no URI.
func (p *mediaParser) closeOpen() {
	if p.hasNext {
		p.next.Init = p.init
		p.m.Segments = append(p.m.Segments, p.next)
		p.next, p.hasNext = Segment{}, false
	}
}

// splitLines checks the frame of any playlist (the draft, 4.1) and returns the
// lines after #EXTM3U.
func splitLines(data []byte) ([]string, error) {
	if !utf8.Valid(data) {
		return nil, broken("text", "the playlist is not UTF-8")
	}
	text := string(data)
	if strings.HasPrefix(text, "\ufeff") {
		return nil, broken("text", "the playlist has a byte order mark")
	}
	for _, r := range text {
		if r != '\n' && r != '\r' && unicode.IsControl(r) {
			return nil, broken("text", "the playlist has the control character %q", r)
		}
	}
	text, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return nil, broken("lines", "the last line has no end")
	}
	lines := strings.Split(text, "\n")
	if lines[0] != "#EXTM3U" {
		return nil, broken("extm3u", "the first line is not #EXTM3U")
	}
	for i, line := range lines {
		if line == "" || strings.TrimSpace(line) != line {
			return nil, broken("lines", "line %d is empty or has space around it", i+1)
		}
	}
	return lines[1:], nil
}

func (p *mediaParser) line(line string) error {
	if p.m.Ended {
		return broken("tag-place", "something follows EXT-X-ENDLIST")
	}
	if !strings.HasPrefix(line, "#") {
		if p.tail != "" {
			return broken("tag-place", "something follows %s", p.tail)
		}
		return p.uri(line)
	}
	tag, value, _ := strings.Cut(line, ":")
	if p.hasInf && tag != "#EXT-X-GAP" {
		return broken("extinf", "a tag stands between EXTINF and its URI")
	}
	if tag == "#EXT-X-STREAM-INF" || tag == "#EXT-X-MEDIA" {
		return broken("playlist-kind", "the tag belongs into a multivariant playlist")
	}
	if done, err := p.tailTag(tag, value); done {
		return err
	}
	if p.tail != "" {
		return broken("tag-place", "something follows %s", p.tail)
	}
	if done, err := p.header(tag, value); done {
		if err == nil && (p.hasNext || len(p.m.Segments) > 0) {
			err = broken("tag-place", "it belongs before the first segment")
		}
		return err
	}
	return p.segmentTag(tag, value)
}

// tailTag reads the tags that stand after the last segment.
func (p *mediaParser) tailTag(tag, value string) (done bool, err error) {
	switch tag {
	case "#EXT-X-PRELOAD-HINT":
		err = p.hint(value)
	case "#EXT-X-RENDITION-REPORT":
		err = p.report(value)
	case "#EXT-X-ENDLIST":
		p.m.Ended = true
		return true, nil
	default:
		return false, nil
	}
	if p.tail == "" {
		p.tail = tag[1:]
	}
	return true, err
}

func (p *mediaParser) uri(line string) error {
	if !p.hasInf {
		return broken("extinf", "the URI has no EXTINF")
	}
	p.next.URI, p.next.Init = line, p.init
	p.m.Segments = append(p.m.Segments, p.next)
	p.next, p.hasNext, p.hasInf = Segment{}, false, false
	return nil
}
