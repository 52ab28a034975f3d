package cmaf

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

const (
	second = int64(1e9) // nanoseconds
	// maxSkew is how far a track may begin from its end in the last segment and
	// still be its continuation.
	maxSkew = second / 2
	// maxTime keeps sums of times from overflow: 100 years, so that times that
	// count from 1970 pass.
	maxTime = 100 * 365 * 86400 * second
)

// remuxPlan is what the first pass finds out.
type remuxPlan struct {
	video, audio *trackPlan
	videoConfigs []VideoConfig // one for each sample entry
	audioConfigs []AudioConfig
	inBand       [][]byte // parameter sets as AVCC, one for each video entry
	lastInit     []byte
	entries      [2]int // the entries of lastInit, -1: no such track
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

// read adds a segment to the plan.
func (p *remuxPlan) read(ctx context.Context, number int, source Source) error {
	init, err := source.Init(ctx)
	if err != nil {
		return fmt.Errorf("its init segment: %w", err)
	}
	if number == 0 || !bytes.Equal(init, p.lastInit) {
		if err := p.useInit(init); err != nil {
			return err
		}
	}
	r, err := source.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	fragments, err := ReadSegment(r)
	if err != nil {
		return err
	}
	if err := p.align(fragments); err != nil {
		return err
	}
	for i := range fragments {
		if err := p.addFragment(number, &fragments[i]); err != nil {
			return err
		}
	}
	return nil
}

// useInit finds or makes the sample entries of an init segment.
func (p *remuxPlan) useInit(data []byte) error {
	init, err := ParseInit(data)
	if err != nil {
		return err
	}
	p.lastInit = bytes.Clone(data)
	p.entries = [2]int{-1, -1}
	if v := init.Video; v != nil {
		p.entries[0] = slices.IndexFunc(p.videoConfigs, v.Equal)
		if p.entries[0] < 0 {
			p.entries[0] = len(p.videoConfigs)
			p.videoConfigs = append(p.videoConfigs, *v)
			p.inBand = append(p.inBand, AppendAVCC(nil, v.SPS, v.PPS))
		}
	}
	if a := init.Audio; a != nil {
		if len(p.audioConfigs) > 0 {
			if was := p.audioConfigs[0]; was.Codec != a.Codec || was.Timescale() != a.Timescale() {
				return fmt.Errorf("the audio changes from %s at %d Hz to %s at %d Hz; a track has one codec and rate",
					was.Codec, was.Timescale(), a.Codec, a.Timescale())
			}
		}
		p.audio.timescale = a.Timescale()
		p.entries[1] = slices.IndexFunc(p.audioConfigs, a.Equal)
		if p.entries[1] < 0 {
			p.entries[1] = len(p.audioConfigs)
			p.audioConfigs = append(p.audioConfigs, *a)
		}
	}
	return nil
}

// align chooses the shift so that the segment goes on where the last one
// ended, if its own times do not say so. A track that goes on vouches for the
// other, which may have been absent; a moved segment touches the last one in
// the track that leaves the least room.
func (p *remuxPlan) align(fragments []FragmentInfo) error {
	first, found := int64(math.MaxInt64), false
	needed, goesOn := int64(math.MinInt64), false
	for i := range p.entries {
		base, ok, err := p.base(fragments, i)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		first, found = min(first, base), true
		if t := p.track(i); len(t.sizes) > 0 {
			shift := t.end() - base
			needed = max(needed, shift)
			goesOn = goesOn || (shift-p.shift) <= maxSkew && (shift-p.shift) >= -maxSkew
		}
	}
	if !found || goesOn {
		return nil
	}
	end := max(p.video.end(), p.audio.end())
	if end > maxTime {
		return errors.New("the recording is longer than can be right")
	}
	if needed == math.MinInt64 {
		needed = end - first // the first segment, or one with a track that is new
		if skew := first + p.shift - end; p.started && skew <= maxSkew && skew >= -maxSkew {
			needed = p.shift
		}
	}
	p.shift, p.started = needed, true
	return nil
}

// base returns when a track starts in a segment, in nanoseconds of its own time.
func (p *remuxPlan) base(fragments []FragmentInfo, track int) (ns int64, ok bool, err error) {
	for i := range fragments {
		run := fragments[i].run(track)
		if run == nil {
			continue
		}
		if p.entries[track] < 0 {
			return 0, false, errors.New("it has a track that its init segment does not know")
		}
		ns, err = toNS(run.BaseTime, p.track(track).timescale)
		return ns, err == nil, err
	}
	return 0, false, nil
}

func (p *remuxPlan) addFragment(number int, f *FragmentInfo) error {
	for i, entry := range p.entries {
		run := f.run(i)
		if run == nil {
			continue
		}
		var inBand [][]byte
		if i == 0 {
			inBand = p.inBand
		}
		if err := p.track(i).add(number, entry, run, p.shift, inBand); err != nil {
			return err
		}
	}
	return nil
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
