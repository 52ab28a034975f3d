package cmaf

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

const (
	second = int64(1e9) // nanoseconds
	// maxTime keeps sums of times from overflow: 100 years, so that times that
	// count from 1970 pass.
	maxTime = 100 * 365 * 86400 * second
)

// remuxPlan is what the first pass finds out.
type remuxPlan struct {
	video, audio *trackPlan
	videoConfigs []VideoConfig // one for each sample entry
	audioConfigs []AudioConfig
	inBand       [][]byte // parameter sets as in samples, one for each video entry
	started      bool
	shift        int64 // ns to add to the segments' times
	zero         int64 // ns, when the first sample of any track is presented
	duration     int64 // ns, from there to the end of the last
	order        []*chunk
	mediaSize    int64
}

func newRemuxPlan() *remuxPlan {
	return &remuxPlan{video: &trackPlan{timescale: VideoTimescale}, audio: &trackPlan{}}
}

func (p *remuxPlan) track(i int) *trackPlan {
	if i == 0 {
		return p.video
	}
	return p.audio
}

// tracks returns the tracks that have samples.
func (p *remuxPlan) tracks() []*trackPlan {
	var tracks []*trackPlan
	for _, t := range []*trackPlan{p.video, p.audio} {
		if len(t.sizes) > 0 {
			tracks = append(tracks, t)
		}
	}
	return tracks
}

// finish computes what needs all samples: edits, chunk order and offsets.
func (p *remuxPlan) finish() error {
	tracks := p.tracks()
	if len(tracks) == 0 {
		return errors.New("the recording has no samples")
	}
	if len(p.videoConfigs) == 1 {
		p.video.dropInBand(len(p.inBand[0]))
	}
	p.zero = math.MaxInt64
	for _, t := range tracks {
		t.finish()
		if t == p.audio && p.audioConfigs[0].Codec == Opus {
			t.skip = int64(p.audioConfigs[0].PreSkip)
		}
		p.zero = min(p.zero, t.ns(t.firstShown()))
		p.order = append(p.order, t.chunks...)
	}
	slices.SortStableFunc(p.order, func(a, b *chunk) int { return cmp.Compare(a.startNS, b.startNS) })
	for _, t := range tracks {
		p.duration = max(p.duration, t.ns(t.lastShown)-p.zero)
	}
	for _, c := range p.order {
		c.offset = p.mediaSize
		p.mediaSize += c.size
	}
	return nil
}

func (p *remuxPlan) info(size int64) Info {
	info := Info{
		DurationMS: (p.duration + second/2000) / (second / 1000), Size: size,
		VideoSamples: len(p.video.sizes), AudioSamples: len(p.audio.sizes),
	}
	if len(p.video.sizes) > 0 {
		info.VideoEntries = len(p.videoConfigs)
	}
	info.Width, info.Height = p.largest()
	for _, c := range p.videoConfigs {
		if name := c.CodecString(); len(p.video.sizes) > 0 && !slices.Contains(info.Codecs, name) {
			info.Codecs = append(info.Codecs, name)
		}
	}
	if len(p.audio.sizes) > 0 {
		info.Codecs = append(info.Codecs, p.audioConfigs[0].CodecString())
	}
	return info
}

// largest returns the size of the largest picture by its area.
func (p *remuxPlan) largest() (width, height int) {
	if len(p.video.sizes) == 0 {
		return 0, 0
	}
	for _, c := range p.videoConfigs {
		if c.Width*c.Height > width*height {
			width, height = c.Width, c.Height
		}
	}
	return width, height
}

// run returns the fragment's run of track 0, video, or 1, audio.
func (f *FragmentInfo) run(track int) *RunInfo {
	if track == 0 {
		return f.Video
	}
	return f.Audio
}

// toNS converts a media time to nanoseconds.
func toNS(t uint64, timescale uint32) (int64, error) {
	hi, lo := bits.Mul64(t, uint64(second))
	if hi >= uint64(timescale) {
		return 0, fmt.Errorf("a time of %d/%d s cannot be right", t, timescale)
	}
	ns, _ := bits.Div64(hi, lo, uint64(timescale))
	if ns > uint64(maxTime) {
		return 0, fmt.Errorf("a time of %d/%d s cannot be right", t, timescale)
	}
	return int64(ns), nil
}
