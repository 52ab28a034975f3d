package cmaf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

const (
	// maxSkew is how far a track may begin from its end in the last segment and
	// still be its continuation, in nanoseconds.
	maxSkew = second / 2
	// maxApart is how far the times of a video and an audio segment may lie apart
	// that are taken to follow the same break: some segments.
	maxApart = 15 * second
)

// lane is sources that follow each other: those of a whole recording, or of its
// video or audio alone.
type lane struct {
	name    string
	sources []Source
	first   int     // number of its first source among all
	gives   [2]bool // video, audio: what is taken from it
	next    int     // the source to be read next
	init    []byte  // the newest init segment
	entries [2]int  // its sample entries, -1: no such track
	head    *segmentHead
}

// segmentHead is the headers of a segment that is next to be added.
type segmentHead struct {
	source    int // its number among all
	fragments []FragmentInfo
	entries   [2]int
	base      [2]int64 // when its tracks start, in nanoseconds of its own time
	has       [2]bool  // which of them it has
}

// readAll reads the headers of all segments. audio is empty when the video
// segments bring it.
func (p *remuxPlan) readAll(ctx context.Context, video, audio []Source) error {
	if len(audio) == 0 {
		return p.readOne(ctx, &lane{name: "segment", sources: video, gives: [2]bool{true, true}})
	}
	return p.readTwo(ctx,
		&lane{name: "video segment", sources: video, gives: [2]bool{true, false}},
		&lane{name: "audio segment", sources: audio, gives: [2]bool{false, true}, first: len(video)})
}

// readOne adds segments that have all tracks.
func (p *remuxPlan) readOne(ctx context.Context, l *lane) error {
	for {
		if err := p.peek(ctx, l); err != nil || l.head == nil {
			return err
		}
		if !p.goesOn(l.head, 0) && !p.goesOn(l.head, 1) {
			if err := p.align(l.head); err != nil {
				return l.wrap(err)
			}
		}
		if err := p.take(l); err != nil {
			return err
		}
	}
}

// readTwo adds the segments of two lanes in the order of time. Both count on
// one timeline, so a break, after which times jump or count anew, is met in
// both; a hole in one of them is none when the other goes on through it.
func (p *remuxPlan) readTwo(ctx context.Context, video, audio *lane) error {
	for {
		for _, l := range []*lane{video, audio} {
			if err := p.peek(ctx, l); err != nil {
				return err
			}
		}
		l, err := p.choose(video, audio)
		if err != nil || l == nil {
			return err
		}
		if err := p.take(l); err != nil {
			return err
		}
	}
}

// choose returns the lane whose segment is next, nil at the end, and aligns the
// segments after a break.
func (p *remuxPlan) choose(video, audio *lane) (*lane, error) {
	v, a := video.head, audio.head
	early, late := video, audio
	switch {
	case v == nil && a == nil:
		return nil, nil
	case v == nil || a != nil && a.start() < v.start():
		early, late = audio, video
	}
	if late.head == nil {
		if p.belongs(early.head) {
			return early, nil
		}
		return early, early.wrap(p.align(early.head))
	}
	switch earlyOn, lateOn := p.belongs(early.head), p.belongs(late.head); {
	case earlyOn:
		return early, nil
	case lateOn:
		return late, nil
	}
	if late.head.start()-early.head.start() > maxApart && p.started {
		return early, early.wrap(p.align(early.head))
	}
	return early, early.wrap(p.align(early.head, late.head))
}

// belongs tells whether a segment of one track has its place by the times so
// far: it goes on where the track ended, or after a hole in it which the other
// track has already bridged.
func (p *remuxPlan) belongs(h *segmentHead) bool {
	i := 0
	if h.has[1] {
		i = 1
	}
	if !h.has[i] || p.goesOn(h, i) {
		return true
	}
	at := h.base[i] + p.shift
	return p.started && at >= p.track(i).end()-maxSkew && at <= p.track(1-i).end()+maxSkew
}

// goesOn tells whether a track of the segment starts where it ended.
func (p *remuxPlan) goesOn(h *segmentHead, i int) bool {
	t := p.track(i)
	if !h.has[i] || len(t.sizes) == 0 {
		return false
	}
	skew := h.base[i] + p.shift - t.end()
	return skew <= maxSkew && skew >= -maxSkew
}

// start returns when the first track of the segment starts; one without
// samples is due at once.
func (h *segmentHead) start() int64 {
	first := int64(math.MaxInt64)
	for i, base := range h.base {
		if h.has[i] {
			first = min(first, base)
		}
	}
	if first == math.MaxInt64 {
		return math.MinInt64 / 2
	}
	return first
}

// align chooses the shift so that segments go on where the last ones ended,
// when their own times do not say so. They touch those in the track that leaves
// the least room.
func (p *remuxPlan) align(heads ...*segmentHead) error {
	first, needed := int64(math.MaxInt64), int64(math.MinInt64)
	for _, h := range heads {
		for i := range h.base {
			if !h.has[i] {
				continue
			}
			first = min(first, h.base[i])
			if t := p.track(i); len(t.sizes) > 0 {
				needed = max(needed, t.end()-h.base[i])
			}
		}
	}
	if first == math.MaxInt64 {
		return nil // no samples
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

// peek reads the headers of the lane's next segment, unless it has been done.
func (p *remuxPlan) peek(ctx context.Context, l *lane) error {
	if l.head != nil || l.next == len(l.sources) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.head = &segmentHead{source: l.first + l.next}
	l.next++
	if err := p.readHead(ctx, l, l.sources[l.next-1]); err != nil {
		return l.wrap(err)
	}
	return nil
}

// wrap says which segment an error is about.
func (l *lane) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %d of %d: %w", l.name, l.next, len(l.sources), err)
}

func (p *remuxPlan) readHead(ctx context.Context, l *lane, source Source) error {
	init, err := source.Init(ctx)
	if err != nil {
		return fmt.Errorf("its init segment: %w", err)
	}
	if l.init == nil || !bytes.Equal(init, l.init) {
		if err := p.useInit(l, init); err != nil {
			return err
		}
	}
	r, err := source.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if l.head.fragments, err = ReadSegment(r); err != nil {
		return err
	}
	l.head.entries = l.entries
	for i := range l.head.base {
		if err := p.findBase(l, i); err != nil {
			return err
		}
	}
	return nil
}

// findBase finds out when a track starts in the lane's next segment.
func (p *remuxPlan) findBase(l *lane, track int) (err error) {
	h := l.head
	for i := range h.fragments {
		run := h.fragments[i].run(track)
		if run == nil || !l.gives[track] {
			continue
		}
		if h.entries[track] < 0 {
			return errors.New("it has a track that its init segment does not know")
		}
		h.base[track], err = toNS(run.BaseTime, p.track(track).timescale)
		h.has[track] = true
		return err
	}
	return nil
}

// useInit finds or makes the sample entries of an init segment.
func (p *remuxPlan) useInit(l *lane, data []byte) error {
	init, err := ParseInit(data)
	if err != nil {
		return err
	}
	l.init = bytes.Clone(data)
	l.entries = [2]int{-1, -1}
	if init.Video != nil && l.gives[0] {
		if l.entries[0], err = p.videoEntry(*init.Video); err != nil {
			return err
		}
	}
	if init.Audio != nil && l.gives[1] {
		if l.entries[1], err = p.audioEntry(*init.Audio); err != nil {
			return err
		}
	}
	return nil
}

func (p *remuxPlan) videoEntry(c VideoConfig) (int, error) {
	if entry := slices.IndexFunc(p.videoConfigs, c.Equal); entry >= 0 {
		return entry, nil
	}
	if len(p.videoConfigs) > 0 && p.videoConfigs[0].Codec != c.Codec {
		return 0, fmt.Errorf("the video changes from %s to %s; a track has one codec", p.videoConfigs[0].Codec, c.Codec)
	}
	p.videoConfigs = append(p.videoConfigs, c)
	p.inBand = append(p.inBand, c.inBand())
	return len(p.videoConfigs) - 1, nil
}

func (p *remuxPlan) audioEntry(c AudioConfig) (int, error) {
	if entry := slices.IndexFunc(p.audioConfigs, c.Equal); entry >= 0 {
		return entry, nil
	}
	if len(p.audioConfigs) > 0 {
		if was := p.audioConfigs[0]; was.Codec != c.Codec || was.Timescale() != c.Timescale() {
			return 0, fmt.Errorf("the audio changes from %s at %d Hz to %s at %d Hz; a track has one codec and rate",
				was.Codec, was.Timescale(), c.Codec, c.Timescale())
		}
	}
	p.audio.timescale = c.Timescale()
	p.audioConfigs = append(p.audioConfigs, c)
	return len(p.audioConfigs) - 1, nil
}

// take adds the lane's next segment to the plan.
func (p *remuxPlan) take(l *lane) error {
	h := l.head
	l.head = nil
	for i := range h.fragments {
		for track, has := range h.has {
			run := h.fragments[i].run(track)
			if !has || run == nil {
				continue
			}
			var inBand []byte
			if track == 0 {
				inBand = p.inBand[h.entries[0]]
			}
			if err := p.track(track).add(h.source, h.entries[track], run, p.shift, inBand); err != nil {
				return l.wrap(err)
			}
		}
	}
	return nil
}
