// Package hlstest reads playlists as strictly as a player may, and checks them
// by the rules of draft-pantos-hls-rfc8216bis ("the draft") and of this
// project. It is for tests: what it refuses is a fault of the server.
package hlstest

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Media is a media playlist that was read.
type Media struct {
	Version               uint64
	TargetDuration        time.Duration
	PartTarget            time.Duration // 0: no EXT-X-PART-INF
	CanBlockReload        bool
	HoldBack              time.Duration
	PartHoldBack          time.Duration
	SkipUntil             time.Duration
	MediaSequence         uint64
	DiscontinuitySequence uint64
	Type                  string // "", EVENT or VOD
	IndependentSegments   bool
	Skipped               int // SKIPPED-SEGMENTS of a delta update
	Segments              []Segment
	Hint                  string // URI of EXT-X-PRELOAD-HINT
	Ended                 bool

	hasControl bool
	once       map[string]bool // tags seen that may stand once
}

// Segment is a media segment with what applies to it. The last one of a live
// playlist may have parts and no URI yet.
type Segment struct {
	URI             string
	Duration        time.Duration
	Init            string
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

// NextMSN is the number after that of the last segment listed, complete or not.
func (m *Media) NextMSN() uint64 {
	return m.MediaSequence + uint64(m.Skipped+len(m.Segments))
}

// mediaParser goes through the lines of a media playlist.
type mediaParser struct {
	m       *Media
	next    Segment // tags seen for the segment whose URI is to come
	hasNext bool
	hasInf  bool
	init    string
}

// ParseMedia reads a media playlist. It knows the tags that this server writes
// and refuses any other, as it does wrong places and wrong values.
func ParseMedia(data []byte) (*Media, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, err
	}
	p := mediaParser{m: &Media{once: map[string]bool{}}}
	for i, line := range lines {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("line %d, %s: %w", i+2, line, err)
		}
	}
	if p.hasInf {
		return nil, fmt.Errorf("an EXTINF has no URI after it")
	}
	if p.hasNext {
		p.next.Init = p.init
		p.m.Segments = append(p.m.Segments, p.next)
	}
	return p.m, nil
}

// splitLines checks the frame of any playlist (the draft, 4.1) and returns the
// lines after #EXTM3U.
func splitLines(data []byte) ([]string, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("the playlist is not UTF-8")
	}
	text, ok := strings.CutSuffix(string(data), "\n")
	if !ok {
		return nil, fmt.Errorf("the last line has no end")
	}
	lines := strings.Split(text, "\n")
	if lines[0] != "#EXTM3U" {
		return nil, fmt.Errorf("the first line is not #EXTM3U")
	}
	for i, line := range lines {
		if line == "" || strings.TrimSpace(line) != line {
			return nil, fmt.Errorf("line %d is empty or has space around it", i+1)
		}
	}
	return lines[1:], nil
}

func (p *mediaParser) line(line string) error {
	if p.m.Ended {
		return fmt.Errorf("something follows EXT-X-ENDLIST")
	}
	if !strings.HasPrefix(line, "#") {
		return p.uri(line)
	}
	tag, value, _ := strings.Cut(line, ":")
	if p.hasInf && tag != "#EXT-X-GAP" {
		return fmt.Errorf("a tag stands between EXTINF and its URI")
	}
	if p.m.Hint != "" && tag != "#EXT-X-ENDLIST" {
		return fmt.Errorf("something follows EXT-X-PRELOAD-HINT")
	}
	if done, err := p.header(tag, value); done {
		if err == nil && (p.hasNext || len(p.m.Segments) > 0) {
			err = fmt.Errorf("it belongs before the first segment")
		}
		return err
	}
	return p.segmentTag(tag, value)
}

// header reads the tags that apply to the whole playlist; done says that the
// tag is one of them.
func (p *mediaParser) header(tag, value string) (done bool, err error) {
	m := p.m
	switch tag {
	case "#EXT-X-VERSION":
		m.Version, err = parseNumber(value)
	case "#EXT-X-TARGETDURATION":
		var n uint64
		n, err = parseNumber(value)
		m.TargetDuration = time.Duration(min(n, 1e6)) * time.Second
	case "#EXT-X-SERVER-CONTROL":
		m.hasControl = true
		err = m.serverControl(value)
	case "#EXT-X-PART-INF":
		var a attributes
		if a, err = parseAttributes(value); err == nil {
			m.PartTarget, err = a.seconds("PART-TARGET")
		}
		if err == nil && m.PartTarget == 0 {
			err = fmt.Errorf("PART-TARGET is missing")
		}
	case "#EXT-X-MEDIA-SEQUENCE":
		m.MediaSequence, err = parseNumber(value)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		m.DiscontinuitySequence, err = parseNumber(value)
	case "#EXT-X-PLAYLIST-TYPE":
		if m.Type = value; value != "EVENT" && value != "VOD" {
			err = fmt.Errorf("the type must be EVENT or VOD")
		}
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		m.IndependentSegments = true
	case "#EXT-X-SKIP":
		err = m.skip(value)
	default:
		return false, nil
	}
	if m.once[tag] {
		err = fmt.Errorf("it stands twice")
	}
	m.once[tag] = true
	return true, err
}

func (m *Media) serverControl(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	if m.CanBlockReload, err = a.yes("CAN-BLOCK-RELOAD"); err != nil {
		return err
	}
	for name, field := range map[string]*time.Duration{
		"HOLD-BACK": &m.HoldBack, "PART-HOLD-BACK": &m.PartHoldBack, "CAN-SKIP-UNTIL": &m.SkipUntil,
	} {
		if *field, err = a.seconds(name); err != nil {
			return err
		}
	}
	return nil
}

func (m *Media) skip(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	n, err := parseNumber(a["SKIPPED-SEGMENTS"])
	if err != nil {
		return err
	}
	if n == 0 || n > 1e6 {
		return fmt.Errorf("%d segments cannot be skipped", n)
	}
	m.Skipped = int(n)
	return nil
}

// segmentTag reads the tags of the segment whose URI is to come.
func (p *mediaParser) segmentTag(tag, value string) (err error) {
	switch tag {
	case "#EXTINF":
		number, _, ok := strings.Cut(value, ",")
		if !ok {
			return fmt.Errorf("the comma after the duration is missing")
		}
		p.next.Duration, err = parseSeconds(number)
		p.hasInf = true
	case "#EXT-X-GAP":
		p.next.Gap = true
	case "#EXT-X-DISCONTINUITY":
		if p.next.Discontinuity || len(p.next.Parts) > 0 {
			return fmt.Errorf("it must stand once, before the parts")
		}
		p.next.Discontinuity = true
	case "#EXT-X-MAP":
		if len(p.next.Parts) > 0 {
			return fmt.Errorf("it must stand before the parts")
		}
		var a attributes
		if a, err = parseAttributes(value); err == nil {
			p.init, err = a.uri("URI")
		}
	case "#EXT-X-PROGRAM-DATE-TIME":
		p.next.ProgramDateTime, err = time.Parse("2006-01-02T15:04:05.000Z07:00", value)
	case "#EXT-X-PART":
		err = p.part(value)
	case "#EXT-X-PRELOAD-HINT":
		return p.hint(value)
	case "#EXT-X-ENDLIST":
		p.m.Ended = true
		return nil
	default:
		return fmt.Errorf("the tag is unknown")
	}
	p.hasNext = true
	return err
}

func (p *mediaParser) part(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	var part Part
	if part.URI, err = a.uri("URI"); err != nil {
		return err
	}
	if part.Duration, err = a.seconds("DURATION"); err != nil {
		return err
	}
	if part.Independent, err = a.yes("INDEPENDENT"); err != nil {
		return err
	}
	part.Gap, err = a.yes("GAP")
	p.next.Parts = append(p.next.Parts, part)
	return err
}

func (p *mediaParser) hint(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	if a["TYPE"] != "PART" {
		return fmt.Errorf("TYPE must be PART")
	}
	p.m.Hint, err = a.uri("URI")
	return err
}

func (p *mediaParser) uri(line string) error {
	if !p.hasInf {
		return fmt.Errorf("the URI has no EXTINF")
	}
	p.next.URI, p.next.Init = line, p.init
	p.m.Segments = append(p.m.Segments, p.next)
	p.next, p.hasNext, p.hasInf = Segment{}, false, false
	return nil
}
