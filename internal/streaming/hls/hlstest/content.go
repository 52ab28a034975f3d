package hlstest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// Loaded is a segment of a media playlist with what was loaded for it.
type Loaded struct {
	Segment
	MSN      uint64
	InitData []byte
	Data     []byte
	// PartData are the bytes of Parts, in order; nil where a part is a gap. Without
	// all parts, leave it nil.
	PartData [][]byte
	// IndependentSegments says that the tag applies to the segment.
	IndependentSegments bool
}

// Content checks the media of one media playlist. Add wants its segments in
// order. The zero value is ready.
type Content struct {
	init      cmaf.Init
	initURI   string
	codecs    []string        // of each init segment, without repetition
	formats   cmaf.Formats    // of all of them together
	sizes     map[string]bool // of their pictures, as RESOLUTION has them
	began     bool
	whole     bool      // nothing came before what was added
	due       [2]uint64 // where the next fragment of video and audio begins, in their units
	running   [2]bool   // due is known
	drift     span      // of the media's time from the EXTINFs
	listed    time.Duration
	at        time.Duration // time of the media that was added since the last jump
	bytes     []int64       // of the segments, and
	durations []time.Duration
	rate      float64 // frames per second, the highest of any segment
}

// span is the range of values that were seen.
type span struct{ low, high time.Duration }

func (s *span) add(v time.Duration) { s.low, s.high = min(s.low, v), max(s.high, v) }

// Add checks the next segment. The error is nil or holds Findings.
func (c *Content) Add(s Loaded) error {
	var f Findings
	c.add(&f, s)
	return f.err()
}

func (c *Content) add(f *Findings, s Loaded) {
	if !c.began {
		c.began, c.whole = true, s.MSN == 0
	}
	if s.Gap {
		c.jump()
		return
	}
	if s.Init != c.initURI {
		if !c.useInit(f, s) {
			return
		}
	}
	if s.Discontinuity {
		c.jump()
	}
	samples, err := c.read(s.Data)
	if err != nil {
		f.add("fragments", "segment %d: %v", s.MSN, err)
		c.jump()
		return
	}
	if s.PartData != nil {
		c.checkParts(f, s, samples)
	}
	if slices.ContainsFunc(s.Parts, func(p Part) bool { return p.Gap }) {
		c.jump() // it lacks what those parts were to hold
	} else {
		c.checkTimes(f, s, samples)
	}
	c.checkStart(f, s, samples)
	c.measure(s, samples)
}

// jump forgets where the next fragment is due.
func (c *Content) jump() {
	c.running = [2]bool{}
	c.drift, c.listed, c.at = span{}, 0, 0
}

func (c *Content) useInit(f *Findings, s Loaded) bool {
	checkInit(f, s.Init, s.InitData)
	init, err := cmaf.ParseInit(s.InitData)
	if err != nil {
		f.add("init", "%s: %v", s.Init, err)
		return false
	}
	c.init, c.initURI = init, s.Init
	c.formats.Add(init)
	if v := init.Video; v != nil {
		if c.sizes == nil {
			c.sizes = map[string]bool{}
		}
		c.sizes[fmt.Sprintf("%dx%d", v.Width, v.Height)] = true
	}
	for _, codec := range init.Codecs() {
		if !slices.Contains(c.codecs, codec) {
			c.codecs = append(c.codecs, codec)
		}
	}
	return true
}

// The tracks, as places in due and running.
const (
	video = iota
	audio
)

// sample is a sample with its place in time.
type sample struct {
	track       int
	at          uint64 // decoding time, in the track's units
	duration    uint32
	composition int32
	key         bool
	data        []byte
	first       bool // of its fragment's run
}

// read lists the samples of a segment or part, fragment by fragment, video
// before audio.
func (c *Content) read(data []byte) ([]sample, error) {
	fragments, err := cmaf.ReadSegment(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if len(fragments) == 0 {
		return nil, errors.New("it has no fragment")
	}
	var samples []sample
	for _, fragment := range fragments {
		for track, run := range [2]*cmaf.RunInfo{fragment.Video, fragment.Audio} {
			if run == nil {
				continue
			}
			if track == video && c.init.Video == nil || track == audio && c.init.Audio == nil {
				return nil, errors.New("it has a track that its init segment has not")
			}
			at := run.BaseTime
			for i, s := range run.Samples {
				samples = append(samples, sample{
					track: track, at: at, duration: s.Duration, composition: s.CompositionOffset, key: s.Key,
					data: data[s.Offset : s.Offset+int64(s.Size)], first: i == 0,
				})
				at += uint64(s.Duration)
			}
		}
	}
	return samples, nil
}

// timescale is the units per second of a track.
func (c *Content) timescale(track int) uint64 {
	if track == video {
		return cmaf.VideoTimescale
	}
	return uint64(c.init.Audio.Timescale())
}

func (c *Content) time(track int, units uint64) time.Duration {
	scale := c.timescale(track)
	return time.Duration(units/scale)*time.Second + time.Duration(units%scale)*time.Second/time.Duration(scale)
}

// length is the time that samples of the main track take: of video if the init
// segment has it (the draft, 3) and there is any, else of audio.
func (c *Content) length(samples []sample) (d time.Duration, track, count int) {
	var units [2]uint64
	var counts [2]int
	for _, s := range samples {
		units[s.track] += uint64(s.duration)
		counts[s.track]++
	}
	if counts[video] == 0 {
		track = audio
		if c.init.Audio == nil {
			return 0, video, 0
		}
	}
	return c.time(track, units[track]), track, counts[track]
}
