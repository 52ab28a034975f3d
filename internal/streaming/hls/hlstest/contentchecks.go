package hlstest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// checkParts checks the parts of a segment against it and their tags.
func (c *Content) checkParts(f *Findings, s Loaded, whole []sample) {
	var all []sample
	for i, data := range s.PartData {
		if i >= len(s.Parts) {
			break
		}
		if s.Parts[i].Gap {
			continue
		}
		samples, err := c.read(data)
		if err != nil {
			f.add("fragments", "part %d.%d: %v", s.MSN, i, err)
			return
		}
		all = append(all, samples...)
		c.checkPart(f, s, i, samples)
	}
	if len(all) != len(whole) {
		f.add("parts-are-segment", "segment %d has %d samples, its parts %d", s.MSN, len(whole), len(all))
		return
	}
	for i := range all {
		a, b := all[i], whole[i]
		same := a.track == b.track && a.at == b.at && a.duration == b.duration && a.composition == b.composition && a.key == b.key
		if !same || !bytes.Equal(a.data, b.data) {
			f.add("parts-are-segment", "sample %d of segment %d differs in its part: track %d at %d, or track %d at %d",
				i, s.MSN, b.track+1, b.at, a.track+1, a.at)
			return
		}
	}
}

func (c *Content) checkPart(f *Findings, s Loaded, i int, samples []sample) {
	part := &s.Parts[i]
	length, track, count := c.length(samples)
	tolerance := time.Millisecond
	if track == audio {
		// A part of audio alone is cut at its frames.
		tolerance += length / time.Duration(max(count, 1))
	}
	if diff := (length - part.Duration).Abs(); diff > tolerance {
		f.add("part-media", "part %d.%d says %v, its samples last %v", s.MSN, i, part.Duration, length)
	}
	first := firstOf(samples, track)
	switch {
	case first == nil:
	case part.Independent && c.init.Video != nil && (track != video || !first.key):
		f.add("independent-part", "part %d.%d is INDEPENDENT=YES and begins with no key frame", s.MSN, i)
	case !part.Independent && first.key && (track == video || c.init.Video == nil):
		f.add("key-part", "part %d.%d begins with a key frame and is not INDEPENDENT=YES", s.MSN, i)
	}
}

func firstOf(samples []sample, track int) *sample {
	for i := range samples {
		if samples[i].track == track {
			return &samples[i]
		}
	}
	return nil
}

// checkTimes checks that every track goes on where it ended, and that EXTINF is
// the time that the samples take.
func (c *Content) checkTimes(f *Findings, s Loaded, samples []sample) {
	reported := [2]bool{}
	for _, one := range samples {
		t := one.track
		if one.first && c.running[t] && one.at != c.due[t] && !reported[t] {
			f.add("apple-7.3", "segment %d: a fragment of track %d begins at %d, the one before ended at %d (%v)",
				s.MSN, t+1, one.at, c.due[t], time.Duration(int64(one.at-c.due[t]))*time.Second/time.Duration(c.timescale(t)))
			reported[t] = true
		}
		c.due[t], c.running[t] = one.at+uint64(one.duration), true
	}
	length, track, count := c.length(samples)
	c.at += length
	c.listed += s.Duration
	c.drift.add(c.at - c.listed)
	frame := length / time.Duration(max(count, 1))
	if track == audio && c.init.Video != nil {
		frame = length
	}
	if wide := c.drift.high - c.drift.low; wide > frame+time.Millisecond {
		f.add("apple-8.1", "up to segment %d, EXTINFs in a row are %v from the time of their samples; a frame lasts %v", s.MSN, wide, frame)
		c.drift, c.listed, c.at = span{}, 0, 0
	}
}

// checkStart checks how a segment begins.
func (c *Content) checkStart(f *Findings, s Loaded, samples []sample) {
	if c.init.Video == nil || !s.IndependentSegments {
		return
	}
	first := firstOf(samples, video)
	if first == nil || !first.key {
		f.add("apple-7.4", "segment %d does not begin with a key frame", s.MSN)
		return
	}
	if c.init.Video.Codec != cmaf.H264 {
		return
	}
	nals, err := cmaf.SplitAVCC(first.data)
	if err != nil {
		f.add("apple-7.4", "segment %d: its first sample: %v", s.MSN, err)
		return
	}
	for _, nal := range nals {
		if cmaf.NALType(nal) == 5 {
			return
		}
	}
	f.add("apple-7.4", "the first sample of segment %d has no IDR slice", s.MSN)
}

// measure notes what CODECS, BANDWIDTH and the like are compared with.
func (c *Content) measure(s Loaded, samples []sample) {
	c.bytes = append(c.bytes, int64(len(s.Data)))
	c.durations = append(c.durations, s.Duration)
	length, track, count := c.length(samples)
	if track == video && length > time.Second/2 {
		c.rate = max(c.rate, float64(count)/length.Seconds())
	}
}

// peak is the peak segment bit rate in bits per second (the draft, 4.1): of the
// segments in a row that last half a target duration to one and a half and 0.5 s.
func (c *Content) peak(target time.Duration) float64 {
	var peak float64
	for i := range c.bytes {
		var size int64
		var length time.Duration
		for j := i; j < len(c.bytes); j++ {
			size += c.bytes[j]
			length += c.durations[j]
			if length > target*3/2+time.Second/2 {
				break
			}
			if length >= target/2 {
				peak = max(peak, float64(size*8)/length.Seconds())
			}
		}
	}
	return peak
}

// average is the average segment bit rate, and over how long it was measured.
func (c *Content) average() (rate float64, over time.Duration) {
	var size int64
	for i := range c.bytes {
		size += c.bytes[i]
		over += c.durations[i]
	}
	if over == 0 {
		return 0, 0
	}
	return float64(size*8) / over.Seconds(), over
}

// measuredLongEnough is from when on an average says something.
const measuredLongEnough = 10 * time.Second

// CheckVariant checks the attributes of a variant against the media that was
// added, with that of the renditions of its audio group.
func (c *Content) CheckVariant(v Variant, target time.Duration, group map[string]*Content) error {
	var f Findings
	codecs := slices.Clone(c.codecs)
	peak := c.peak(target)
	average, over := c.average()
	var groupPeak, groupAverage float64
	for _, g := range group {
		for _, codec := range g.codecs {
			if !slices.Contains(codecs, codec) {
				codecs = append(codecs, codec)
			}
		}
		a, _ := g.average()
		groupPeak, groupAverage = max(groupPeak, g.peak(target)), max(groupAverage, a)
	}
	if len(c.codecs) > 0 && !c.told(v.Codecs, codecs) {
		f.add("codecs", "%s: CODECS is %q, the media has %q", v.URI, v.Codecs, codecs)
	}
	c.checkResolution(&f, v)
	if rate, err := parseSeconds(v.FrameRate); c.rate > 0 && err == nil {
		if r := rate.Seconds(); c.rate > r*1.1 || c.rate < r*0.75 {
			f.add("frames", "%s: FRAME-RATE is %s, segments have up to %.2f", v.URI, v.FrameRate, c.rate)
		}
	}
	// EXTINF is printed to 10 us, so the measured rate is true to a ten-thousandth.
	if sum := peak + groupPeak; sum > float64(v.Bandwidth)*1.0001 {
		f.add("apple-9.13", "%s: BANDWIDTH is %d, the peak is %.0f", v.URI, v.Bandwidth, sum)
	}
	if sum := average + groupAverage; v.AverageBandwidth > 0 && over >= measuredLongEnough && sum > 1.1*float64(v.AverageBandwidth) {
		f.add("apple-1.28", "%s: AVERAGE-BANDWIDTH is %d, the average of %v is %.0f", v.URI, v.AverageBandwidth, over, sum)
	}
	return f.err()
}

// CheckRendition checks the attributes of an audio rendition.
func (c *Content) CheckRendition(r Rendition) error {
	var f Findings
	if a := c.init.Audio; a != nil {
		if n, err := parseNumber(r.Channels); err == nil && n != uint64(a.Channels) {
			f.add("channels", "%s: CHANNELS is %s, the media has %d", r.Name, r.Channels, a.Channels)
		}
	}
	return f.err()
}

// checkResolution: of several sizes, RESOLUTION is that of the most pixels, for
// it is the one at which to display all of them (the draft, 4.4.6.2). What was
// before the first segment that was added may have been larger.
func (c *Content) checkResolution(f *Findings, v Variant) {
	if c.init.Video == nil {
		return
	}
	var w, h int
	_, err := fmt.Sscanf(v.Resolution, "%dx%d", &w, &h)
	largest := c.formats.Width * c.formats.Height
	if err != nil || w*h < largest || c.whole && (w*h > largest || !c.sizes[v.Resolution]) {
		f.add("resolution", "%s: RESOLUTION is %s, the largest picture is %dx%d", v.URI, v.Resolution, c.formats.Width, c.formats.Height)
	}
}

// told says whether CODECS is right for the media. A decoder of what it names
// plays every format; what differs in profile and level alone is one codec, and
// stands once. It has nothing that nothing needs; where segments before the first
// one that was added may have needed it, it has no other codec at least. Opus is
// written with or without a capital.
func (c *Content) told(told, media []string) bool {
	family := func(codec string) string {
		name, _, _ := strings.Cut(strings.ToLower(codec), ".")
		return name
	}
	needed := merged(media)
	for _, n := range needed {
		if !slices.ContainsFunc(told, func(t string) bool { return strings.EqualFold(both(t, n), t) }) {
			return false
		}
	}
	for _, t := range told {
		if !slices.ContainsFunc(needed, func(n string) bool {
			return strings.EqualFold(n, t) || !c.whole && family(n) == family(t)
		}) {
			return false
		}
	}
	return len(merged(told)) == len(told)
}

// merged has each codec once.
func merged(codecs []string) []string {
	var out []string
	for _, codec := range codecs {
		if i := slices.IndexFunc(out, func(o string) bool { return both(o, codec) != "" }); i >= 0 {
			out[i] = both(out[i], codec)
		} else {
			out = append(out, codec)
		}
	}
	return out
}

// both is the name that stands for two, "" if none does.
func both(a, b string) string {
	if strings.EqualFold(a, b) {
		return a
	}
	common, _ := cmaf.CommonCodec(a, b)
	return common
}
