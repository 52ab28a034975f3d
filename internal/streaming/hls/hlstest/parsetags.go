package hlstest

import (
	"strings"
	"time"
)

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
		err = m.serverControl(value)
	case "#EXT-X-PART-INF":
		err = m.partInf(value)
	case "#EXT-X-MEDIA-SEQUENCE":
		m.MediaSequence, err = parseNumber(value)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		m.HasDiscontinuitySequence = true
		m.DiscontinuitySequence, err = parseNumber(value)
	case "#EXT-X-PLAYLIST-TYPE":
		if m.Type = value; value != "EVENT" && value != "VOD" {
			err = broken("attribute-value", "the type must be EVENT or VOD")
		}
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		m.IndependentSegments = true
	case "#EXT-X-SKIP":
		err = m.skip(value)
	default:
		return false, nil
	}
	if m.once[tag] {
		err = broken("tag-once", "it stands twice")
	}
	m.once[tag] = true
	return true, err
}

func (m *Media) partInf(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	m.PartTarget, err = a.seconds("PART-TARGET")
	if err == nil && m.PartTarget == 0 {
		err = broken("part-inf", "PART-TARGET is missing")
	}
	return err
}

func (m *Media) serverControl(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	if m.CanBlockReload, err = a.yes("CAN-BLOCK-RELOAD"); err != nil {
		return err
	}
	if m.HoldBack, err = a.seconds("HOLD-BACK"); err != nil {
		return err
	}
	if m.PartHoldBack, err = a.seconds("PART-HOLD-BACK"); err != nil {
		return err
	}
	m.SkipUntil, err = a.seconds("CAN-SKIP-UNTIL")
	return err
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
		return broken("delta-count", "%d segments cannot be skipped", n)
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
			return broken("extinf", "the comma after the duration is missing")
		}
		if p.next.Duration, err = parseSeconds(number); err != nil {
			return broken("extinf", "%v", err)
		}
		p.hasInf = true
	case "#EXT-X-GAP":
		p.next.Gap = true
	case "#EXT-X-DISCONTINUITY", "#EXT-X-MAP", "#EXT-X-PROGRAM-DATE-TIME":
		if len(p.next.Parts) > 0 {
			return broken("before-parts", "it must stand before the parts")
		}
		err = p.applied(tag, value)
	case "#EXT-X-PART":
		err = p.part(value)
	default:
		return broken("tag-known", "the tag is unknown")
	}
	p.hasNext = true
	return err
}

// applied reads the tags that apply to a segment and to its first part.
func (p *mediaParser) applied(tag, value string) error {
	switch tag {
	case "#EXT-X-DISCONTINUITY":
		if p.next.Discontinuity {
			return broken("tag-once", "it stands twice before one segment")
		}
		p.next.Discontinuity = true
	case "#EXT-X-MAP":
		a, err := parseAttributes(value)
		if err != nil {
			return err
		}
		p.init, err = a.uri("URI")
		return err
	default:
		date, err := time.Parse("2006-01-02T15:04:05.000Z07:00", value)
		if err != nil {
			return broken("date", "it must be like 2006-01-02T15:04:05.000Z")
		}
		p.next.ProgramDateTime = date
	}
	return nil
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
	if _, ok := a["DURATION"]; !ok {
		return broken("attribute-value", "DURATION is missing")
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
	slot := &p.m.Hint
	switch a["TYPE"] {
	case "PART":
	case "MAP":
		slot = &p.m.HintInit
	default:
		return broken("attribute-value", "TYPE must be PART or MAP")
	}
	if *slot != "" {
		return broken("hint-once", "there is a hint of this type already")
	}
	*slot, err = a.uri("URI")
	return err
}

func (p *mediaParser) report(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	r := Report{LastPart: -1}
	if r.URI, err = a.uri("URI"); err != nil {
		return err
	}
	if _, ok := a["LAST-MSN"]; !ok {
		return broken("report-values", "LAST-MSN is missing")
	}
	if r.LastMSN, err = parseNumber(a["LAST-MSN"]); err != nil {
		return err
	}
	if v, ok := a["LAST-PART"]; ok {
		var n uint64
		if n, err = parseNumber(v); err != nil {
			return err
		}
		r.LastPart = int(min(n, 1e6))
	}
	p.m.Reports = append(p.m.Reports, r)
	return nil
}
