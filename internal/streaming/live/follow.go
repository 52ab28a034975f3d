package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// How long a part of a rendition waits for what its sidecar makes. After it the
// part is a gap, for players that have come to it have run dry.
const (
	sidecarPatience = 1 * time.Second
	// A sidecar that has brought nothing so long after the stream began is left out.
	firstPatience = 5 * time.Second
	// maxFollowed is far above the cuts of that time.
	maxFollowed = 256
)

// follower is a rendition that is cut where the source rung is: at the same
// times, under the same numbers, with the same discontinuities.
type follower interface {
	// cut takes what the source rung did.
	cut(cutOp)
	// pump publishes what is ready or given up.
	pump(now time.Time)
	// begun says whether it has brought anything; dead that it never will.
	begun() bool
	dead() bool
	// giveUp is said when it came too late to be offered.
	giveUp()
	out() *output
}

// cutOp is one of the things that the source rung does.
type cutOp struct {
	made  time.Time
	open  *segmentCut
	part  *partCut
	close *closeCut
}

// partCut is a part of the source rung.
type partCut struct {
	start, end int64 // ticks
	videoStart int64 // decoding time of the first frame
	places     []int64
	video      []cmaf.Sample
	audio      *cmaf.Run
	events     []byte // emsg boxes
}

// cuts is the queue of what a follower has still to do.
type cuts struct {
	output
	queue   []cutOp
	opening *segmentCut // of the segment that begins with the next part
	over    bool
	gone    bool // nobody makes it any more
}

func (c *cuts) cut(op cutOp) {
	if c.over {
		return
	}
	if len(c.queue) >= maxFollowed && c.init == 0 { // of the others, pump makes gaps
		c.giveUp()
		return
	}
	c.queue = append(c.queue, op)
}

func (c *cuts) begun() bool { return c.init > 0 }
func (c *cuts) dead() bool  { return c.over }

func (c *cuts) giveUp() {
	c.over, c.queue = true, nil
	c.window.out.Store(true)
}

func (c *cuts) out() *output { return &c.output }

// run does what is due. Ready says whether a part is there, fragment makes it;
// config is that of its first picture.
func (c *cuts) run(now time.Time, ready func(*partCut) bool, make func(*partCut) (cmaf.Fragment, *cmaf.VideoConfig)) {
	for len(c.queue) > 0 && !c.over {
		op := c.queue[0]
		waited := now.Sub(op.made)
		switch {
		case op.open != nil:
			c.opening = op.open
		case op.close != nil:
			c.opening = nil
			c.closeSegment(*op.close)
		case !ready(op.part) && (c.init == 0 || waited < sidecarPatience):
			if c.init == 0 && waited > firstPatience {
				c.giveUp()
			}
			return
		default:
			fragment, config := make(op.part)
			c.begin(config)
			if c.reserved && config != nil {
				c.describe(config)
			}
			c.addPart(fragment, op.part.events, op.part.end-op.part.start)
		}
		c.queue[0] = cutOp{}
		c.queue = c.queue[1:]
	}
}

// begin opens the segment that the part is the first of, with a new init segment
// where the source rung has one. Config is nil when it begins with a gap, and for
// audio.
func (c *cuts) begin(config *cmaf.VideoConfig) {
	o := c.opening
	if o == nil {
		return
	}
	c.opening = nil
	first := c.init == 0 || o.epoch != c.epoch
	switch {
	case !c.window.hasVideo:
		if first {
			c.newInit(o.epoch, nil)
		}
	case config == nil:
		if first || o.discontinuity {
			c.reserve(o.epoch)
		}
	case first || o.discontinuity && (c.latest == nil || !c.latest.Equal(*config)):
		c.newInit(o.epoch, config)
	}
	c.openSegment(*o)
}

// videoFollower is a lower rung: its pictures come from a sidecar, its audio is
// the source's.
type videoFollower struct {
	cuts
	fan     fan
	frames  []placedVideo // not used yet
	reached int64         // up to here all have come
	broken  bool          // pictures are missing since the last key frame
}

// push takes a picture from the sidecar, at the place of the one it was made of.
func (f *videoFollower) push(v frame.Video, at int64, now time.Time) {
	if f.over || len(f.frames) > 0 && at <= f.frames[len(f.frames)-1].at {
		return
	}
	f.tell(v, at)
	f.frames = append(f.frames, placedVideo{v, at})
	f.reached = max(f.reached, at)
	f.pump(now)
}

// tell hands a picture to those who tap the rung. Sidecars make pictures in the
// order in which they are shown; of a source with B-frames all are shown a little
// later than decoded. Who taps the rung need not know of that.
func (f *videoFollower) tell(v frame.Video, at int64) {
	at += int64(v.Offset)
	v.Offset = 0
	f.fan.video(v, at)
}

// gap says that pictures up to a place will not come.
func (f *videoFollower) gap(to int64, now time.Time) {
	f.reached = max(f.reached, to)
	f.broken = true
	f.pump(now)
}

func (f *videoFollower) pump(now time.Time) {
	f.run(now, func(c *partCut) bool {
		return f.gone || f.begunOrFirst() && (len(c.places) == 0 || f.reached >= c.places[len(c.places)-1])
	}, f.fragment)
}

// begunOrFirst says whether it is known how to decode the rung: the parts before
// its first picture wait for it.
func (f *videoFollower) begunOrFirst() bool { return f.init > 0 || len(f.frames) > 0 }

// fragment makes a part of the pictures that stand where the source's do. Where
// one is missing the one before it lasts longer.
func (f *videoFollower) fragment(c *partCut) (cmaf.Fragment, *cmaf.VideoConfig) {
	var config *cmaf.VideoConfig
	if f.init == 0 && len(f.frames) > 0 {
		config = f.frames[0].frame.Config
	}
	run := &cmaf.Run{BaseTime: uint64(c.videoStart)}
	var lead uint32
	for i, at := range c.places {
		length := c.video[i].Duration
		v, ok := f.at(at)
		if !ok {
			if n := len(run.Samples); n > 0 {
				run.Samples[n-1].Duration += length
			} else {
				lead += length
			}
			continue
		}
		if config == nil {
			config = v.Config
		}
		run.Samples = append(run.Samples, cmaf.Sample{
			Duration: length + lead, CompositionOffset: v.Offset, Key: v.Key, Data: f.payload(v),
		})
		lead = 0
	}
	if len(run.Samples) == 0 {
		return cmaf.Fragment{}, config
	}
	return cmaf.Fragment{Video: run, Audio: c.audio}, config
}

// at takes the picture that stands at a place. Once one was passed over, none
// that needs it is taken.
func (f *videoFollower) at(place int64) (frame.Video, bool) {
	for len(f.frames) > 0 && f.frames[0].at < place {
		f.frames = f.frames[1:]
		f.broken = true
	}
	if len(f.frames) == 0 || f.frames[0].at != place {
		return frame.Video{}, false
	}
	v := f.frames[0].frame
	f.frames = f.frames[1:]
	if v.Key {
		f.broken = false
	}
	return v, !f.broken
}

// audioFollower is a rendition of audio alone.
type audioFollower struct {
	cuts
	queue soundQueue
}

// push takes a frame from the sidecar.
func (f *audioFollower) push(a frame.Audio, at int64, now time.Time) {
	samples, err := samplesOf(f.queue.config, a.Data)
	if err != nil || f.over {
		return
	}
	f.queue.add(at, samples, a.Data)
	f.pump(now)
}

// gap puts silence up to a place in the track's timescale.
func (f *audioFollower) gap(to int64, now time.Time) {
	if f.init > 0 {
		f.queue.fill(to)
	}
	f.pump(now)
}

func (f *audioFollower) pump(now time.Time) {
	f.run(now, func(c *partCut) bool { return f.gone || f.queue.reaches(c.end) }, f.fragment)
}

// fragment makes a part; what has not come is silence. That ends within a frame
// behind the part's end, as sound that has come does: segments are as long as
// they say.
func (f *audioFollower) fragment(c *partCut) (cmaf.Fragment, *cmaf.VideoConfig) {
	f.queue.fill(f.queue.place(c.end) + aacFrame - 1)
	return cmaf.Fragment{Audio: f.queue.take(c.end)}, nil
}
