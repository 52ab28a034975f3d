package hlstest

import (
	"strings"
)

// Multivariant is a multivariant playlist that was read.
type Multivariant struct {
	Version             uint64
	IndependentSegments bool
	Variants            []Variant
	Renditions          []Rendition

	once map[string]bool
}

// Variant is an EXT-X-STREAM-INF with its URI.
type Variant struct {
	URI                         string
	Bandwidth, AverageBandwidth uint64 // bits per second
	Codecs                      []string
	Resolution                  string // "1280x720"
	FrameRate                   string
	Range                       string // VIDEO-RANGE
	Score                       string
	Audio                       string
}

// Rendition is an EXT-X-MEDIA.
type Rendition struct {
	GroupID, Name, Language string
	URI                     string
	Channels                string
	Default, AutoSelect     bool
}

// ParseMultivariant reads a multivariant playlist, as strictly as ParseMedia.
func ParseMultivariant(data []byte) (*Multivariant, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, err
	}
	m := &Multivariant{once: map[string]bool{}}
	var open *Variant
	for i, line := range lines {
		open, err = m.line(line, open)
		if err != nil {
			return nil, at(err, i+2, line)
		}
	}
	if open != nil {
		return nil, broken("stream-inf", "an EXT-X-STREAM-INF has no URI after it")
	}
	return m, nil
}

// line reads a line; open is the variant whose URI is to come.
func (m *Multivariant) line(line string, open *Variant) (*Variant, error) {
	if !strings.HasPrefix(line, "#") {
		if open == nil {
			return nil, broken("stream-inf", "the URI has no EXT-X-STREAM-INF")
		}
		open.URI = line
		m.Variants = append(m.Variants, *open)
		return nil, nil
	}
	if open != nil {
		return nil, broken("stream-inf", "a tag stands between EXT-X-STREAM-INF and its URI")
	}
	tag, value, _ := strings.Cut(line, ":")
	var err error
	switch tag {
	case "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS":
		if m.once[tag] {
			return nil, broken("tag-once", "it stands twice")
		}
		m.once[tag] = true
		if m.IndependentSegments = m.IndependentSegments || tag != "#EXT-X-VERSION"; tag == "#EXT-X-VERSION" {
			m.Version, err = parseNumber(value)
		}
	case "#EXT-X-MEDIA":
		err = m.rendition(value)
	case "#EXT-X-STREAM-INF":
		return parseVariant(value)
	case "#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-MAP", "#EXT-X-PART", "#EXT-X-ENDLIST":
		err = broken("playlist-kind", "the tag belongs into a media playlist")
	default:
		err = broken("tag-known", "the tag is unknown")
	}
	return nil, err
}

func (m *Multivariant) rendition(value string) error {
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	if a["TYPE"] != "AUDIO" {
		return broken("attribute-value", "the type is %q, not AUDIO", a["TYPE"])
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
	if r.Language, err = a.text("LANGUAGE"); err != nil {
		return err
	}
	if r.Channels, err = a.text("CHANNELS"); err != nil {
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
	v := &Variant{Resolution: a["RESOLUTION"], FrameRate: a["FRAME-RATE"], Range: a["VIDEO-RANGE"], Score: a["SCORE"]}
	if s, ok := a["BANDWIDTH"]; ok {
		if v.Bandwidth, err = parseNumber(s); err != nil {
			return nil, err
		}
	}
	if s, ok := a["AVERAGE-BANDWIDTH"]; ok {
		if v.AverageBandwidth, err = parseNumber(s); err != nil {
			return nil, err
		}
	}
	if s := v.Resolution; s != "" {
		w, h, _ := strings.Cut(s, "x")
		if _, err = parseNumber(w); err == nil {
			_, err = parseNumber(h)
		}
		if err != nil {
			return nil, broken("attribute-value", "RESOLUTION is %s, not like 1280x720", s)
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

// hasVideo says whether the variant has video, as far as its attributes tell.
func (v *Variant) hasVideo() bool {
	if v.Resolution != "" || v.FrameRate != "" {
		return true
	}
	for _, c := range v.Codecs {
		if !isAudio(c) {
			return true
		}
	}
	return false
}

// isAudio says whether a name of CODECS is of an audio codec.
func isAudio(codec string) bool {
	return codec == "opus" || codec == "Opus" || strings.HasPrefix(codec, "mp4a.") || codec == "fLaC" || codec == "ac-3" || codec == "ec-3"
}
