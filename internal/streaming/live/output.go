package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// output writes the parts and segments of one rung into its window.
type output struct {
	cfg    *Config
	rung   string
	window *window
	sound  *cmaf.AudioConfig // of the audio in the rung, nil for none

	segment  *Segment // nil before the first frame and between segments
	sequence uint32
	init     int   // version of the last init segment, from 1
	reserved bool  // what it says is not known yet
	epoch    int64 // of the last init segment
	latest   *cmaf.VideoConfig
}

// segmentCut begins a segment.
type segmentCut struct {
	epoch         int64
	msn           uint64
	discontinuity bool
	wall          time.Time
	start         int64 // ticks
}

// closeCut ends a segment.
type closeCut struct {
	ticks, interval int64
	empty           bool // it is taken back
}

// newInit makes the init segment of what comes next.
func (o *output) newInit(epoch int64, video *cmaf.VideoConfig) {
	o.reserve(epoch)
	o.describe(video)
}

// reserve gives what comes next an init segment that is described later: gaps
// need none, but the pictures after them may need another one than those before.
func (o *output) reserve(epoch int64) {
	o.epoch, o.reserved = epoch, true
	o.init++
}

// describe makes the init segment that was reserved.
func (o *output) describe(video *cmaf.VideoConfig) {
	o.latest, o.reserved = video, false
	data := cmaf.Init{Video: video, Audio: o.sound}.Marshal()
	var alone []byte
	if o.window.split {
		alone = cmaf.Init{Video: video}.Marshal()
	}
	o.window.addInit(initKey{o.epoch, o.init}, data, alone, video)
	if o.cfg.OnInit != nil {
		o.cfg.OnInit(o.rung, o.epoch, o.init, data)
	}
}

// payload returns a frame's bytes. Once the parameter sets have changed, key
// frames carry theirs: some players read only the first init segment.
func (o *output) payload(f frame.Video) []byte {
	if !f.Key || f.Config == nil || o.init < 2 && (o.latest == nil || o.latest.Equal(*f.Config)) {
		return f.Data
	}
	switch f.Config.Codec {
	case cmaf.H264, cmaf.H265:
		var sets [][]byte
		for _, nal := range [][]byte{f.Config.VPS, f.Config.SPS, f.Config.PPS} {
			if len(nal) > 0 {
				sets = append(sets, nal)
			}
		}
		return append(cmaf.AppendAVCC(nil, sets...), f.Data...)
	}
	return f.Data // VP8, VP9 and AV1 have them in the key frame
}

func (o *output) openSegment(c segmentCut) {
	o.segment = &Segment{
		Epoch: c.epoch, MSN: c.msn, Init: o.init, Discontinuity: c.discontinuity, Start: c.wall, start: c.start,
	}
	o.window.openSegment(o.segment)
}

// addPart publishes a fragment as the next part of the open segment. Without
// any track it is a gap.
func (o *output) addPart(f cmaf.Fragment, events []byte, ticks int64) {
	part := &Part{Duration: ticks, Gap: f.Video == nil && f.Audio == nil}
	if !part.Gap {
		o.sequence++
		f.Sequence = o.sequence
		o.marshal(part, &f, events)
	}
	o.window.addPart(o.segment, part)
	if o.cfg.OnPart != nil {
		o.cfg.OnPart(o.rung, len(part.data))
	}
}

// marshal writes the part's bytes into one buffer, which both views share.
func (o *output) marshal(part *Part, f *cmaf.Fragment, events []byte) {
	size := 512 + len(events)
	for _, run := range []*cmaf.Run{f.Video, f.Audio} {
		if run != nil {
			for i := range run.Samples {
				size += len(run.Samples[i].Data) + 16
			}
		}
	}
	buf := make([]byte, 0, size)
	if len(o.segment.parts) == 0 {
		buf = cmaf.AppendSegmentType(buf)
	}
	buf = append(buf, events...)
	part.before = len(buf)
	buf = f.AppendHead(buf)
	if f.Video != nil {
		part.Independent = f.Video.Samples[0].Key
		if s := o.segment; !s.pictured {
			s.pictured, s.Dependent = true, !part.Independent
		}
		part.video = len(buf)
		buf = cmaf.AppendSamples(buf, f.Video)
		part.videoEnd = len(buf)
	} else {
		part.Independent = !o.window.hasVideo
	}
	if f.Audio != nil {
		buf = cmaf.AppendSamples(buf, f.Audio)
	}
	part.data = buf
	if o.window.split && f.Video != nil && f.Audio != nil {
		alone := cmaf.Fragment{Sequence: f.Sequence, Video: f.Video}
		part.videoHead = alone.AppendHead(nil)
	}
}

func (o *output) closeSegment(c closeCut) {
	s := o.segment
	o.segment = nil
	if s == nil || !o.window.closeSegment(s, c) {
		return
	}
	if o.cfg.OnSegment != nil && s.Size > 0 {
		o.cfg.OnSegment(o.rung, s)
	}
}
