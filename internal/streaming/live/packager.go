package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// All times of the packager are ticks of 90 kHz since the first key frame,
// audio positions are in the audio's timescale.
const (
	minSegment   = ticksPerSecond * 3 / 2 // an earlier key frame does not cut
	firstSegment = ticksPerSecond * 2 / 5 // but the first segment is short
	maxSegment   = 4 * ticksPerSecond     // cut then even without a key frame
	minSample    = ticksPerSecond / 1000
	shortestPart = ticksPerSecond / 100
	// How long a part waits for a frame that is late. With the part's own length
	// it stays within PART-HOLD-BACK, so that players do not run dry.
	lateFrames = ticksPerSecond * 7 / 20
)

// packager cuts the frames of the source rung into parts and segments; the other
// renditions follow its cuts. The parts' times are contiguous: a part starts
// where the last one ended, and so do the samples of each track. The last sample
// of a part gets a predicted duration; when the next frame shows that it was
// wrong, that frame's duration makes up for it.
type packager struct {
	output
	followers []follower
	target    int64 // longest part

	now           time.Time // of what happens
	wall          time.Time // of the output's 0, as of the last frame
	next          int64     // epoch of the segments to come
	discontinuity bool      // before the next segment
	config        *cmaf.VideoConfig

	fresh     bool  // no frame is in the open segment yet
	interval  int64 // expected from frame to frame
	lastPlace int64 // where the last frame belonged
	begun     bool

	end90     int64 // where the published parts end, and the open one starts
	videoEnd  int64 // where the samples so far end, the last by prediction
	shown     int64 // where the last picture to be shown ends
	open      []cmaf.Sample
	places    []int64 // where the frames in open belonged
	openStart int64   // of the first sample in open

	sound  *soundQueue // nil without audio
	events eventQueue
}

func newPackager(o output, target time.Duration) *packager {
	p := &packager{
		output:   o,
		target:   int64(target) * ticksPerSecond / second,
		interval: ticksPerSecond / 30,
	}
	if o.sound != nil {
		p.sound = &soundQueue{config: *o.sound}
	}
	return p
}

// video takes a frame and its place; wall is its time of day.
func (p *packager) video(f frame.Video, at int64, wall time.Time) {
	p.settle(at)
	p.wall = wall.Add(-duration(at))
	p.bridge(at)
	if f.Key {
		p.keyFrame(f)
	}
	p.fit(at)
	p.measure(at)
	if p.segment == nil {
		p.begin(p.window.nextMSN())
	}
	if p.fresh {
		p.fresh = false
		p.align(f.Key)
	}
	if len(p.open) == 0 {
		p.openStart = p.videoEnd
	}
	// The sample ends where the next frame is expected, so it makes up for
	// what the last prediction had wrong.
	end := max(p.videoEnd+minSample, at+p.interval)
	p.open = append(p.open, cmaf.Sample{
		Duration: uint32(end - p.videoEnd), CompositionOffset: f.Offset, Key: f.Key, Data: p.payload(f),
	})
	p.places = append(p.places, at)
	p.videoEnd = end
	p.shown = max(p.shown, end+int64(f.Offset))
	if end+p.interval > p.end90+p.target {
		p.cut(p.partEnd(end))
	}
}

// settle gives the open part's last sample its real end: where the next frame
// is. One that is a little beyond the part comes early instead; where frames are
// missing the last one stands until the next, over the end of its part.
func (p *packager) settle(at int64) {
	n := len(p.open)
	if n == 0 {
		return
	}
	last := &p.open[n-1]
	start := p.videoEnd - int64(last.Duration)
	if partEnd := p.end90 + p.target; at <= partEnd+p.interval {
		at = min(at, partEnd)
	}
	p.videoEnd = max(at, start+minSample)
	last.Duration = uint32(p.videoEnd - start)
}

// keyFrame ends the segment before a key frame if that is due.
func (p *packager) keyFrame(f frame.Video) {
	changed := p.config == nil || !p.config.Equal(*f.Config)
	if p.segment != nil {
		length := max(p.videoEnd, p.end90) - p.segment.start
		due := length >= minSegment || p.segment.MSN == 0 && length >= firstSegment
		if !due && !changed {
			return
		}
		p.cutOpen()
		p.reach(p.videoEnd)
		p.close()
	}
	if !changed {
		return
	}
	p.discontinuity = p.discontinuity || p.config != nil
	p.config = f.Config
	p.newInit(p.next, f.Config)
	p.begin(p.window.nextMSN())
}

// bridge publishes what lies before a frame that comes after a gap, so that no
// part is longer than the target.
func (p *packager) bridge(at int64) {
	for p.segment != nil && at >= p.end90+p.target {
		p.cut(p.end90 + p.target)
	}
}

// reach ends a segment whose last picture stands longer than its parts, with a
// part of sound.
func (p *packager) reach(end int64) {
	if len(p.open) == 0 && end >= p.end90+shortestPart && p.sound != nil {
		p.publish(min(end, p.end90+p.target))
	}
}

// fit publishes the open part if a frame would not fit into it.
func (p *packager) fit(at int64) {
	if len(p.open) > 0 && at+p.interval/2 > p.end90+p.target {
		p.cut(p.partEnd(p.videoEnd))
	}
}

// measure learns the frame interval. A gap in which frames were lost says little
// of it: what is predicted after one would be too long.
func (p *packager) measure(at int64) {
	d := at - p.lastPlace
	if p.begun && d > 0 && d < ticksPerSecond {
		p.interval += (min(d, 2*p.interval) - p.interval) / 8
		p.interval = min(max(p.interval, ticksPerSecond/240), p.target)
	}
	p.begun, p.lastPlace = true, at
}

// partEnd is where a part ends whose last sample would end there: between 85 %
// of the target and the target.
func (p *packager) partEnd(end int64) int64 {
	return min(max(end, p.end90+p.target*85/100+1), p.end90+p.target)
}

// overdue publishes the open part when its frames are late. Now is the place in
// the output that arrives now.
func (p *packager) overdue(now int64) {
	for p.segment != nil && now > p.end90+p.target+lateFrames {
		if len(p.open) == 0 && (p.sound == nil || !p.sound.reaches(p.end90+p.target/2)) {
			return
		}
		p.cut(p.end90 + p.target)
	}
}

// cutOpen publishes the open part as it is; it is the last of its segment.
func (p *packager) cutOpen() {
	if len(p.open) > 0 {
		p.publish(min(max(p.videoEnd, p.end90+shortestPart), p.end90+p.target))
	}
}

// cut publishes the open part, and ends the segment if it got too long for the
// target duration without a key frame.
func (p *packager) cut(end int64) {
	p.publish(end)
	if p.end90-p.segment.start >= maxSegment {
		msn := p.segment.MSN
		p.close()
		p.begin(msn + 1)
	}
}

// publish makes the part that ends there. Without frames it is audio alone,
// without anything it is a gap.
func (p *packager) publish(end int64) {
	c := partCut{start: p.end90, end: end, videoStart: p.openStart, places: p.places, video: p.open}
	if n := len(p.open); n > 0 {
		last := &p.open[n-1]
		start := p.videoEnd - int64(last.Duration)
		if p.videoEnd <= end+p.interval { // else it stands until the next frame
			p.videoEnd = max(end, start+minSample)
			last.Duration = uint32(p.videoEnd - start)
		}
	}
	if p.sound != nil {
		p.sound.patient(end)
		c.audio = p.sound.take(end)
	}
	c.events = p.events.take(c.start)
	f := cmaf.Fragment{Audio: c.audio}
	if len(p.open) > 0 {
		f.Video = &cmaf.Run{BaseTime: uint64(p.openStart), Samples: p.open}
	}
	p.addPart(f, c.events, end-p.end90)
	p.open, p.places = nil, nil
	p.end90 = end
	p.follow(cutOp{part: &c})
}

func (p *packager) begin(msn uint64) {
	o := segmentCut{
		epoch: p.next, msn: msn, discontinuity: p.discontinuity, start: p.end90,
		wall: p.wall.Add(duration(p.end90)).UTC(),
	}
	p.discontinuity, p.fresh = false, true
	p.openSegment(o)
	p.follow(cutOp{open: &o})
}

func (p *packager) close() {
	if p.segment == nil {
		return
	}
	c := closeCut{ticks: p.end90 - p.segment.start, interval: p.interval}
	if len(p.segment.parts) == 0 {
		// Nobody has seen it: its number and its discontinuity are the next one's.
		c.empty = true
		p.discontinuity = p.discontinuity || p.segment.Discontinuity
	}
	p.closeSegment(c)
	p.follow(cutOp{close: &c})
}

// align notes on all renditions whether segments begin with key frames. What the
// second one begins with decides: a publisher that sends no key frame for that
// long does so always.
func (p *packager) align(key bool) {
	if key && p.segment.MSN == 0 {
		return
	}
	p.window.align(key)
	for _, f := range p.followers {
		f.out().window.align(key)
	}
}

// cutWithoutKey says whether the open segment begins without a key frame.
func (p *packager) cutWithoutKey() bool { return p.segment != nil && p.segment.Dependent }

func (p *packager) follow(op cutOp) {
	op.made = p.now
	for _, f := range p.followers {
		f.cut(op)
	}
}

// interrupt completes all that came of a publisher that is gone. The next one's
// first frame comes after a discontinuity.
func (p *packager) interrupt() {
	if p.segment == nil {
		return
	}
	// With B-frames the last picture is shown after the last sample has ended.
	if n := len(p.open); n > 0 && p.shown > p.videoEnd {
		p.open[n-1].Duration += uint32(p.shown - p.videoEnd)
		p.videoEnd = p.shown
	}
	p.cutOpen()
	p.reach(p.videoEnd)
	p.close()
	if p.sound != nil {
		p.sound.cutOff(p.end90)
	}
	p.videoEnd = max(p.videoEnd, p.end90, p.shown)
	p.discontinuity, p.begun = true, false
}

// duration converts ticks.
func duration(ticks int64) time.Duration {
	return time.Duration(ticks * 100_000 / 9)
}
