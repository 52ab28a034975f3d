package hlstest

import (
	"slices"
	"strconv"
	"strings"
)

// CheckMultivariant reads a multivariant playlist and checks what it must have
// whatever there is to offer. CheckLadder checks that there is enough.
func CheckMultivariant(data []byte) error {
	m, err := ParseMultivariant(data)
	if err != nil {
		return err
	}
	return m.check().err()
}

// CheckLadder checks what a multivariant playlist offers: more than one bit
// rate, and AAC. That needs an encoder on the server.
func CheckLadder(data []byte) error {
	m, err := ParseMultivariant(data)
	if err != nil {
		return err
	}
	return m.checkLadder().err()
}

func (m *Multivariant) checkLadder() Findings {
	var f Findings
	rates := map[string]bool{}
	aac := false
	for i := range m.Variants {
		v := &m.Variants[i]
		if v.hasVideo() {
			rates[v.URI] = true
		}
		aac = aac || slices.ContainsFunc(v.Codecs, func(c string) bool { return strings.HasPrefix(c, "mp4a.40.") })
	}
	if len(rates) == 1 {
		f.add("apple-9.9", "there is one variant with video only")
	}
	if !aac {
		f.add("apple-2.3", "no variant has AAC")
	}
	return f
}

func (m *Multivariant) check() Findings {
	var f Findings
	if m.Version > 6 {
		f.add("version-high", "EXT-X-VERSION is %d, the tags and what is listed need only 6", m.Version)
	}
	if len(m.Variants) == 0 {
		f.add("variants", "the playlist has no variant")
	}
	ranges, scores := 0, 0
	hdr := false
	for i := range m.Variants {
		v := &m.Variants[i]
		v.check(&f)
		if v.Range != "" {
			ranges++
			hdr = hdr || v.Range != "SDR"
		}
		if v.Score != "" {
			scores++
		}
		if v.Audio != "" && !slices.ContainsFunc(m.Renditions, func(r Rendition) bool { return r.GroupID == v.Audio }) {
			f.add("audio-group", "%s: the audio group %q does not exist", v.URI, v.Audio)
		}
	}
	if hdr && ranges != len(m.Variants) {
		f.add("apple-9.16", "%d of %d variants have VIDEO-RANGE", ranges, len(m.Variants))
	}
	if scores > 0 && scores != len(m.Variants) {
		f.add("apple-9.19", "%d of %d variants have SCORE", scores, len(m.Variants))
	}
	m.checkRenditions(&f)
	return f
}

func (v *Variant) check(f *Findings) {
	if v.Bandwidth == 0 {
		f.add("bandwidth", "%s: BANDWIDTH is missing or 0", v.URI)
	}
	if v.AverageBandwidth == 0 {
		f.add("apple-9.14", "%s: AVERAGE-BANDWIDTH is missing", v.URI)
	}
	if v.AverageBandwidth > v.Bandwidth {
		f.add("average-bandwidth", "%s: AVERAGE-BANDWIDTH %d is above BANDWIDTH %d", v.URI, v.AverageBandwidth, v.Bandwidth)
	}
	if len(v.Codecs) == 0 {
		f.add("apple-9.1", "%s: CODECS is missing", v.URI)
	}
	if v.hasVideo() && v.Resolution == "" {
		f.add("apple-9.2", "%s: RESOLUTION is missing", v.URI)
	}
	if v.hasVideo() && v.FrameRate == "" {
		f.add("apple-9.15", "%s: FRAME-RATE is missing", v.URI)
	}
	if v.FrameRate != "" && !isFrameRate(v.FrameRate) {
		f.add("frame-rate", "%s: FRAME-RATE is %s, not like 30.000", v.URI, v.FrameRate)
	}
	if !slices.Contains([]string{"", "SDR", "HLG", "PQ"}, v.Range) {
		f.add("apple-9.16", "%s: VIDEO-RANGE is %s", v.URI, v.Range)
	}
	if score, err := strconv.ParseFloat(v.Score, 64); v.Score != "" && (err != nil || score <= 0) {
		f.add("apple-9.19", "%s: SCORE is %s, not above zero", v.URI, v.Score)
	}
}

func isFrameRate(s string) bool {
	rate, err := strconv.ParseFloat(s, 64)
	_, decimals, _ := strings.Cut(s, ".")
	return err == nil && rate > 0 && len(decimals) == 3 && strings.Trim(s, "0123456789.") == ""
}

// checkRenditions checks the EXT-X-MEDIA tags.
func (m *Multivariant) checkRenditions(f *Findings) {
	var ids []string
	groups := map[string][]Rendition{}
	for _, r := range m.Renditions {
		if _, known := groups[r.GroupID]; !known {
			ids = append(ids, r.GroupID)
		}
		groups[r.GroupID] = append(groups[r.GroupID], r)
		if r.Default && !r.AutoSelect {
			f.add("media-autoselect", "rendition %q is DEFAULT without AUTOSELECT", r.Name)
		}
		if r.Language == "" {
			f.add("apple-8.10", "rendition %q has no LANGUAGE", r.Name)
		}
		count, _, _ := strings.Cut(r.Channels, "/")
		if n, err := strconv.ParseUint(count, 10, 16); err != nil || n == 0 {
			f.add("media-channels", "rendition %q has CHANNELS %q", r.Name, r.Channels)
		}
	}
	for _, id := range ids {
		checkGroup(f, id, groups[id])
		if !slices.EqualFunc(groups[id], groups[ids[0]], alike) {
			f.add("media-groups", "the groups %q and %q differ in more than URI and CHANNELS", ids[0], id)
		}
	}
}

// alike says whether two renditions are the same in groups of different
// encodings.
func alike(a, b Rendition) bool {
	a.GroupID, a.URI, a.Channels = b.GroupID, b.URI, b.Channels
	return a == b
}

func checkGroup(f *Findings, id string, group []Rendition) {
	names, languages := map[string]bool{}, map[string]bool{}
	defaults := 0
	for _, r := range group {
		if names[r.Name] {
			f.add("media-name", "the name %q stands twice in the group %q", r.Name, id)
		}
		names[r.Name] = true
		if r.Default {
			defaults++
		}
		if r.AutoSelect && languages[r.Language] {
			f.add("media-distinct", "the language %q stands twice in the group %q", r.Language, id)
		}
		languages[r.Language] = languages[r.Language] || r.AutoSelect
	}
	if defaults > 1 {
		f.add("media-default", "the group %q has %d defaults", id, defaults)
	}
}
