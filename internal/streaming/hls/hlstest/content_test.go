package hlstest

import (
	"bytes"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

func variantOf(c *clip) Variant {
	return Variant{
		URI: "v.m3u8", Bandwidth: 300_000, AverageBandwidth: 250_000, Codecs: c.init.Codecs(),
		Resolution: "320x180", FrameRate: "25.000",
	}
}

func TestGoodContent(t *testing.T) {
	small := newClip(t, smallSPS())
	gap := small.segment(1)
	gap.Gap = true
	later := small.segment(5)
	later.Discontinuity = true
	large := newClip(t, largeSPS()).segment(2)
	large.Init, large.Discontinuity = "init-2.mp4", true
	short := small.segment(0)
	short.PartData = nil
	audio := newClip(t, smallSPS())
	audio.audioOnly, audio.init.Video = true, nil
	for name, segments := range map[string][]Loaded{
		"three in a row":      {small.segment(0), small.segment(1), small.segment(2)},
		"a gap":               {small.segment(0), gap, small.segment(2)},
		"a discontinuity":     {small.segment(0), later},
		"a new size":          {small.segment(0), small.segment(1), large},
		"without parts":       {short, small.segment(1)},
		"parts that are gaps": {small.segment(0), small.withGaps(1, 3), small.segment(2)},
		"audio":               {audio.segment(0), audio.segment(1)},
		"begun in between":    {small.segment(7), small.segment(8)},
	} {
		_, err := play(segments...)
		good(t, name, err)
	}
	c, err := play(small.segment(0), small.segment(1), small.segment(2), small.segment(3), small.segment(4), small.segment(5))
	good(t, "six", err)
	good(t, "the variant", c.CheckVariant(variantOf(small), 4*time.Second, nil))
	grown, err := play(small.segment(0), small.segment(1), large)
	good(t, "a new size", err)
	v := variantOf(small)
	v.Codecs, v.Resolution, v.Bandwidth = []string{"avc1.42c01e", "opus"}, "640x360", 1_000_000
	good(t, "the variant with a new size", grown.CheckVariant(v, 4*time.Second, nil))
	joined, err := play(small.segment(7))
	good(t, "begun in between", err)
	good(t, "the variant of what was larger before", joined.CheckVariant(v, 4*time.Second, nil))
	a, err := play(audio.segment(0))
	good(t, "the rendition", err)
	good(t, "the rendition", a.CheckRendition(Rendition{Name: "Sound", Channels: "2"}))
	v = variantOf(small)
	v.Bandwidth, v.AverageBandwidth = 320_000, 260_000
	good(t, "the variant with a group", c.CheckVariant(v, 4*time.Second, map[string]*Content{"Sound": a}))
}

// badContent has one thing wrong each.
func badContent(t *testing.T) []knownBad {
	t.Helper()
	small, large := newClip(t, smallSPS()), newClip(t, largeSPS())
	var cases []knownBad
	// The second of two segments is changed.
	with := func(rule, name string, change func(*Loaded)) {
		s := small.segment(1)
		change(&s)
		_, err := play(small.segment(0), s)
		cases = append(cases, knownBad{rule, name, err})
	}
	init := func(name string, old, now string) {
		with("init", name, func(s *Loaded) {
			s.Init, s.Discontinuity = "init-2.mp4", true
			s.InitData = bytes.ReplaceAll(s.InitData, []byte(old), []byte(now))
		})
	}
	cases = append(cases, knownBad{"init", "old brands", oldBrands(small.init.Marshal())})
	init("no mvex", "mvex", "free")
	init("no moov", "moov", "free")
	with("init", "cut off", func(s *Loaded) { s.Init, s.Discontinuity, s.InitData = "x", true, s.InitData[:100] })
	with("init", "duration", func(s *Loaded) {
		s.Init, s.Discontinuity = "x", true
		s.InitData = bytes.Clone(s.InitData)
		s.InitData[bytes.Index(s.InitData, []byte("mvhd"))+4+31]++ // of version 1
	})
	with("fragments", "no tfdt", func(s *Loaded) { s.Data = bytes.ReplaceAll(s.Data, []byte("tfdt"), []byte("free")) })
	with("fragments", "cut off", func(s *Loaded) { s.Data = s.Data[:len(s.Data)-1] })
	with("fragments", "empty", func(s *Loaded) { s.Data = []byte{} })
	with("fragments", "a part", func(s *Loaded) { s.PartData[3] = []byte("nothing") })
	with("fragments", "a track that is not there", func(s *Loaded) {
		s.Init, s.Discontinuity = "x", true
		s.InitData = cmaf.Init{Video: small.init.Video}.Marshal()
	})
	with("parts-are-segment", "one left out", func(s *Loaded) { s.Parts, s.PartData = s.Parts[:9], s.PartData[:9] })
	with("parts-are-segment", "another picture", func(s *Loaded) {
		s.PartData[3] = bytes.Clone(s.PartData[3])
		s.PartData[3][len(s.PartData[3])-1]++
	})
	with("part-media", "too long", func(s *Loaded) { s.Parts[3].Duration += 5 * time.Millisecond })
	with("apple-8.1", "a frame and more", func(s *Loaded) { s.Duration += 45 * time.Millisecond })
	with("apple-7.3", "jump", func(s *Loaded) {
		late := newClip(t, smallSPS())
		late.startAt = 900
		*s = late.segment(1)
	})
	with("independent-part", "no key frame", func(s *Loaded) { s.Parts[3].Independent = true })
	with("key-part", "not told", func(s *Loaded) { s.Parts[0].Independent = false })
	for name, change := range map[string]func(*clip){"no key frame": func(c *clip) { c.noKey = true }, "no IDR": func(c *clip) { c.noIDR = true }} {
		c := newClip(t, smallSPS())
		change(c)
		_, err := play(c.segment(0))
		cases = append(cases, knownBad{"apple-7.4", name, err})
	}
	cases = append(cases, badDrift(small), knownBad{"key-part", "of audio", func() error {
		c := newClip(t, smallSPS())
		c.audioOnly, c.init.Video = true, nil
		s := c.segment(0)
		s.Parts[4].Independent = false
		_, err := play(s)
		return err
	}()})
	return append(cases, badAttributes(t, small, large)...)
}

// badDrift is EXTINFs that are 10 ms off each: none is a frame off alone.
func badDrift(c *clip) knownBad {
	var segments []Loaded
	for n := range 6 {
		s := c.segment(n)
		s.Duration += 10 * time.Millisecond
		segments = append(segments, s)
	}
	_, err := play(segments...)
	return knownBad{"apple-8.1", "little by little", err}
}

// oldBrands is what is said of an init segment with brands from before iso6.
func oldBrands(data []byte) error {
	var f Findings
	data = bytes.Clone(data)
	for _, brand := range []string{"iso6", "iso7", "iso8", "iso9", "cmfc", "cmf2"} {
		data = bytes.ReplaceAll(data, []byte(brand), []byte("mp41"))
	}
	checkInit(&f, "init-1.mp4", data)
	return f.err()
}

func badAttributes(t *testing.T, small, large *clip) []knownBad {
	t.Helper()
	var segments []Loaded
	for n := range 6 {
		segments = append(segments, small.segment(n))
	}
	c, err := play(segments...)
	if err != nil {
		t.Fatal(err)
	}
	with := func(rule, name string, change func(*Variant)) knownBad {
		v := variantOf(small)
		change(&v)
		return knownBad{rule, name, c.CheckVariant(v, 4*time.Second, nil)}
	}
	changed := large.segment(6)
	changed.Init, changed.Discontinuity = "init-2.mp4", true
	grown, err := play(append(segments, changed)...)
	if err != nil {
		t.Fatal(err)
	}
	twice, other := variantOf(small), variantOf(small)
	twice.Codecs = []string{"avc1.42c00d", "avc1.42c01e", "opus"}
	other.Codecs = []string{"avc1.42c00d", "vp09.00.21.08", "opus"}
	return []knownBad{
		with("codecs", "one missing", func(v *Variant) { v.Codecs = v.Codecs[:1] }),
		with("codecs", "one too many", func(v *Variant) { v.Codecs = append(v.Codecs, "mp4a.40.2") }),
		with("codecs", "another level", func(v *Variant) { v.Codecs = []string{"avc1.64001f", "opus"} }),
		with("codecs", "a level too low", func(v *Variant) { v.Codecs = []string{"avc1.42c00c", "opus"} }),
		{"codecs", "only the first size", grown.CheckVariant(variantOf(small), 4*time.Second, nil)},
		{"codecs", "one codec twice", grown.CheckVariant(twice, 4*time.Second, nil)},
		{"codecs", "one codec twice, of what was before", lateOf(t, small).CheckVariant(twice, 4*time.Second, nil)},
		{"codecs", "another codec than before", lateOf(t, small).CheckVariant(other, 4*time.Second, nil)},
		with("resolution", "another", func(v *Variant) { v.Resolution = "1280x720" }),
		with("resolution", "of as many pixels", func(v *Variant) { v.Resolution = "640x90" }),
		{"resolution", "smaller than what came later", lateOf(t, large).CheckVariant(variantOf(small), 4*time.Second, nil)},
		{"resolution", "it has grown", grown.CheckVariant(variantOf(small), 4*time.Second, nil)},
		with("frames", "more", func(v *Variant) { v.FrameRate = "20.000" }),
		with("frames", "less", func(v *Variant) { v.FrameRate = "50.000" }),
		with("apple-9.13", "too low", func(v *Variant) { v.Bandwidth = 200_000 }),
		{"apple-9.13", "with its group", c.CheckVariant(Variant{URI: "v", Bandwidth: 212_000}, 4*time.Second, map[string]*Content{"a": c})},
		with("apple-1.28", "too low", func(v *Variant) { v.AverageBandwidth = 180_000 }),
		{"channels", "mono", c.CheckRendition(Rendition{Name: "Sound", Channels: "1"})},
	}
}

// lateOf is content whose beginning was not seen.
func lateOf(t *testing.T, c *clip) *Content {
	t.Helper()
	content, err := play(c.segment(7))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func FuzzContent(f *testing.F) {
	c := newClip(f, smallSPS())
	s := c.segment(0)
	f.Add(s.InitData, s.Data, s.PartData[0])
	f.Fuzz(func(_ *testing.T, init, data, part []byte) {
		one := s
		one.InitData, one.Data, one.PartData = init, data, append([][]byte{part}, s.PartData[1:]...)
		two := one
		two.MSN++
		content, _ := play(one, two)
		_ = content.CheckVariant(variantOf(c), 4*time.Second, nil)
	})
}
