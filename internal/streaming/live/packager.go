package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// All times of the packager are ticks of 90 kHz since the first key frame,
// audio positions samples of 48 kHz.
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

// packager cuts frames into parts and segments. The parts' times are
// contiguous: a part starts where the last one ended, and so do the samples of
// each track. The last sample of a part gets a predicted duration; when the
// next frame shows that it was wrong, that frame's duration makes up for it.
type packager struct {
	cfg    Config
	window *window
	target int64 // longest part

	config   *cmaf.VideoConfig
	init     int // version of the init segment, from 1
	sequence uint32

	interval  int64 // expected from frame to frame
	lastPlace int64 // where the last frame belonged
	begun     bool

	end90     int64 // where the published parts end, and the open one starts
	videoEnd  int64 // where the samples so far end, the last by prediction
	open      []cmaf.Sample
	openStart int64 // of the first sample in open

	segment *Segment // nil before the first frame and between segments
	sound   soundQueue
}

func newPackager(cfg Config, w *window) *packager {
	return &packager{
		cfg: cfg, window: w,
		target:   int64(cfg.PartTarget) * ticksPerSecond / second,
		interval: ticksPerSecond / 30,
	}
}

// video takes a frame and its place; wall is its time of day.
func (p *packager) video(f frame.Video, at int64, wall time.Time) {
	p.settle(at)
	if f.Key {
		p.keyFrame(f, wall)
	}
	p.catchUp(at)
	p.measure(at)
	if p.segment == nil {
		p.openSegment(p.window.nextMSN(), false, wall)
	}
	if len(p.open) == 0 {
		p.openStart = p.videoEnd
	}
	// The sample ends where the next frame is expected, so it makes up for
	// what the last prediction had wrong.
	end := max(p.videoEnd+minSample, at+p.interval)
	p.open = append(p.open, cmaf.Sample{Duration: uint32(end - p.videoEnd), Key: f.Key, Data: p.payload(f)})
	p.videoEnd = end
	if end+p.interval > p.end90+p.target {
		p.cut(p.partEnd(end))
	}
}

// payload returns the frame's bytes. Once the parameter sets have changed, key
// frames carry theirs: some players read only the first init segment.
func (p *packager) payload(f frame.Video) []byte {
	if !f.Key || p.init < 2 {
		return f.Data
	}
	return append(cmaf.AppendAVCC(nil, p.config.SPS, p.config.PPS), f.Data...)
}

// settle gives the open part's last sample its real end: where the next frame is.
func (p *packager) settle(at int64) {
	n := len(p.open)
	if n == 0 {
		return
	}
	last := &p.open[n-1]
	start := p.videoEnd - int64(last.Duration)
	p.videoEnd = min(max(at, start+minSample), max(p.end90+p.target, start+minSample))
	last.Duration = uint32(p.videoEnd - start)
}

// keyFrame ends the segment before a key frame if that is due.
func (p *packager) keyFrame(f frame.Video, wall time.Time) {
	changed := p.config == nil || !p.config.Equal(*f.Config)
	if p.segment != nil {
		length := max(p.videoEnd, p.end90) - p.segment.start
		due := length >= minSegment || p.segment.MSN == 0 && length >= firstSegment
		if !due && !changed {
			return
		}
		p.cutOpen()
		p.closeSegment()
	}
	if !changed {
		return
	}
	p.config = f.Config
	p.init++
	data := cmaf.Init{Video: f.Config, Audio: p.cfg.Audio}.Marshal()
	p.window.addInit(p.init, data, *f.Config)
	if p.cfg.OnInit != nil {
		p.cfg.OnInit(p.init, data)
	}
	p.openSegment(p.window.nextMSN(), p.init > 1, wall)
}

// catchUp publishes what lies before a frame that comes after a gap, so that
// no part is longer than the target.
func (p *packager) catchUp(at int64) {
	for p.segment != nil && at >= p.end90+p.target {
		p.cut(p.end90 + p.target)
	}
	if len(p.open) > 0 && at+p.interval/2 > p.end90+p.target {
		p.cut(p.partEnd(p.videoEnd))
	}
}

// measure learns the frame interval.
func (p *packager) measure(at int64) {
	d := at - p.lastPlace
	if p.begun && d > 0 && d < ticksPerSecond {
		p.interval += (d - p.interval) / 8
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
		if len(p.open) == 0 && !p.sound.reaches(p.end90+p.target/2) {
			return
		}
		p.cut(p.end90 + p.target)
	}
}

// audio takes an Opus packet and its place.
func (p *packager) audio(at, samples int64, data []byte) {
	p.sound.add(at, samples, data, p.cfg.Audio.Channels)
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
		wall := p.segment.Start.Add(duration(p.end90 - p.segment.start))
		p.closeSegment()
		if p.window.dependent() {
			p.cfg.Log.Warn("the publisher sends no key frame for 4 s; players start late: set its key frame interval to 2 s",
				"stream", p.cfg.ID)
		}
		p.openSegment(msn+1, false, wall)
	}
}

// publish makes the part that ends there. Without frames it is audio alone,
// without anything it is a gap.
func (p *packager) publish(end int64) {
	part := &Part{Duration: end - p.end90}
	fragment := cmaf.Fragment{}
	if n := len(p.open); n > 0 {
		last := &p.open[n-1]
		start := p.videoEnd - int64(last.Duration)
		p.videoEnd = max(end, start+minSample)
		last.Duration = uint32(p.videoEnd - start)
		fragment.Video = &cmaf.Run{BaseTime: uint64(p.openStart), Samples: p.open}
		part.Independent = p.open[0].Key
	}
	if p.cfg.Audio != nil {
		fragment.Audio = p.sound.take(end, p.cfg.Audio.Channels)
	}
	if fragment.Video == nil && fragment.Audio == nil {
		part.Gap = true
	} else {
		p.sequence++
		fragment.Sequence = p.sequence
		part.Data = p.marshal(&fragment)
	}
	p.open = nil
	p.end90 = end
	p.window.addPart(p.segment, part)
	if p.cfg.OnPart != nil {
		p.cfg.OnPart(len(part.Data))
	}
}

func (p *packager) marshal(f *cmaf.Fragment) []byte {
	size := 512
	for _, run := range []*cmaf.Run{f.Video, f.Audio} {
		if run != nil {
			for i := range run.Samples {
				size += len(run.Samples[i].Data) + 16
			}
		}
	}
	buf := make([]byte, 0, size)
	if len(p.segment.parts) == 0 {
		buf = cmaf.AppendSegmentType(buf)
	}
	return f.AppendTo(buf)
}

func (p *packager) openSegment(msn uint64, discontinuity bool, wall time.Time) {
	p.segment = &Segment{
		Epoch: p.cfg.Epoch, MSN: msn, Init: p.init, Discontinuity: discontinuity,
		Start: wall.UTC(), start: p.end90,
	}
	p.window.openSegment(p.segment)
}

func (p *packager) closeSegment() {
	s := p.segment
	p.segment = nil
	if s == nil || !p.window.closeSegment(s, p.end90-s.start, p.interval) {
		return
	}
	if p.cfg.OnSegment != nil {
		p.cfg.OnSegment(s)
	}
}

// end publishes what is left.
func (p *packager) end() {
	if p.segment == nil {
		return
	}
	p.cutOpen()
	p.closeSegment()
}

// duration converts ticks.
func duration(ticks int64) time.Duration {
	return time.Duration(ticks * 100_000 / 9)
}
