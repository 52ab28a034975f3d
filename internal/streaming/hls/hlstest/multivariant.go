package hlstest

import (
	"errors"
	"fmt"
	"strings"
)

// Multivariant is a multivariant playlist that was read.
type Multivariant struct {
	Version             uint64
	IndependentSegments bool
	Variants            []Variant
	Renditions          []Rendition
}

// Variant is an EXT-X-STREAM-INF with its URI.
type Variant struct {
	URI                         string
	Bandwidth, AverageBandwidth uint64 // bits per second
	Codecs                      []string
	Resolution                  string // "1280x720"
	FrameRate                   string
	Audio                       string
}

// Rendition is an EXT-X-MEDIA.
type Rendition struct {
	GroupID, Name, URI  string
	Default, AutoSelect bool
}

// ParseMultivariant reads a multivariant playlist, as strictly as ParseMedia.
func ParseMultivariant(data []byte) (*Multivariant, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, err
	}
	m := &Multivariant{}
	var open *Variant
	for i, line := range lines {
		open, err = m.line(line, open)
		if err != nil {
			return nil, fmt.Errorf("line %d, %s: %w", i+2, line, err)
		}
	}
	if open != nil {
		return nil, errors.New("an EXT-X-STREAM-INF has no URI after it")
	}
	return m, nil
}

// line reads a line; open is the variant whose URI is to come.
func (m *Multivariant) line(line string, open *Variant) (*Variant, error) {
	if !strings.HasPrefix(line, "#") {
		if open == nil {
			return nil, errors.New("the URI has no EXT-X-STREAM-INF")
		}
		open.URI = line
		m.Variants = append(m.Variants, *open)
		return nil, nil
	}
	if open != nil {
		return nil, errors.New("a tag stands between EXT-X-STREAM-INF and its URI")
	}
	tag, value, _ := strings.Cut(line, ":")
	var err error
	switch tag {
	case "#EXT-X-VERSION":
		m.Version, err = parseNumber(value)
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		m.IndependentSegments = true
	case "#EXT-X-MEDIA":
		err = m.rendition(value)
	case "#EXT-X-STREAM-INF":
		return parseVariant(value)
	default:
		err = errors.New("the tag is unknown")
	}
	return nil, err
}

func (m *Multivariant) rendition(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	if a["TYPE"] != "AUDIO" {
		return fmt.Errorf("the type is %q, not AUDIO", a["TYPE"])
	}
	var r Rendition
	if r.GroupID, err = a.uri("GROUP-ID"); err != nil {
		return err
	}
	if r.Name, err = a.uri("NAME"); err != nil {
		return err
	}
	if r.URI, err = a.text("URI"); err != nil {
		return err
	}
	if r.Default, err = a.yes("DEFAULT"); err != nil {
		return err
	}
	r.AutoSelect, err = a.yes("AUTOSELECT")
	m.Renditions = append(m.Renditions, r)
	return err
}

func parseVariant(value string) (*Variant, error) {
	a, err := parseAttributes(value)
	if err != nil {
		return nil, err
	}
	v := &Variant{Resolution: a["RESOLUTION"], FrameRate: a["FRAME-RATE"]}
	if v.Bandwidth, err = parseNumber(a["BANDWIDTH"]); err != nil {
		return nil, fmt.Errorf("BANDWIDTH: %w", err)
	}
	if s, ok := a["AVERAGE-BANDWIDTH"]; ok {
		if v.AverageBandwidth, err = parseNumber(s); err != nil {
			return nil, fmt.Errorf("AVERAGE-BANDWIDTH: %w", err)
		}
	}
	codecs, err := a.text("CODECS")
	if err != nil {
		return nil, err
	}
	if codecs != "" {
		v.Codecs = strings.Split(codecs, ",")
	}
	v.Audio, err = a.text("AUDIO")
	return v, err
}

// CheckMultivariant reads a multivariant playlist and checks it (the draft,
// 4.4.6; Apple's authoring specification, 9).
func CheckMultivariant(data []byte) error {
	m, err := ParseMultivariant(data)
	if err != nil {
		return err
	}
	var f findings
	if m.Version < 6 {
		f.add("EXT-X-VERSION is %d, below 6", m.Version)
	}
	if !m.IndependentSegments {
		f.add("EXT-X-INDEPENDENT-SEGMENTS is missing")
	}
	if len(m.Variants) == 0 {
		f.add("the playlist has no variant")
	}
	groups := map[string]bool{}
	names := map[string]bool{}
	for _, r := range m.Renditions {
		groups[r.GroupID] = true
		if key := r.GroupID + "\n" + r.Name; names[key] {
			f.add("the name %q stands twice in the group %q", r.Name, r.GroupID)
		} else {
			names[key] = true
		}
		if r.Default && !r.AutoSelect {
			f.add("rendition %q is DEFAULT without AUTOSELECT", r.Name)
		}
	}
	for i := range m.Variants {
		m.Variants[i].check(&f, groups)
	}
	return errors.Join(f...)
}

func (v *Variant) check(f *findings, groups map[string]bool) {
	if v.Bandwidth == 0 {
		f.add("%s: BANDWIDTH is 0", v.URI)
	}
	if v.AverageBandwidth > v.Bandwidth {
		f.add("%s: AVERAGE-BANDWIDTH %d is above BANDWIDTH %d", v.URI, v.AverageBandwidth, v.Bandwidth)
	}
	if len(v.Codecs) == 0 {
		f.add("%s: CODECS is missing", v.URI)
	}
	for _, c := range v.Codecs {
		if strings.HasPrefix(c, "avc1") && (v.Resolution == "" || v.FrameRate == "") {
			f.add("%s: a variant with video needs RESOLUTION and FRAME-RATE", v.URI)
		}
	}
	if v.Audio != "" && !groups[v.Audio] {
		f.add("%s: the audio group %q does not exist", v.URI, v.Audio)
	}
}
