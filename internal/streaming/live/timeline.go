package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const (
	// How long the first key frame waits for the first audio.
	audioPatience = 500 * time.Millisecond
	maxHeld       = 64 // frames held meanwhile
	// Video moves towards its place by this much a frame, so that nobody sees
	// it; and only when it is further away than anybody could hear. Less is the
	// jitter of a clock, and following it would make the frames uneven.
	maxSlew  = int64(time.Millisecond)
	slewFrom = 15 * maxSlew
	slewTo   = 2 * maxSlew
	// Sender reports that disagree with the arrivals by more are not believed.
	maxReportError = 2 * second
	// After this long without any frame the publisher was away. The time does
	// not count: the stream goes on where it was.
	awayAfter = second
	// Without any frame for this long, late frames are not made up for; nor until
	// this long after it, when those come that the network has held back.
	quietAfter   = second / 5
	catchUpAfter = second
	// The wall clock of the output follows at once when it is this wrong.
	maxWallError = second / 4
)

// timeline maps the timestamps of both tracks of one publisher to the stream's
// own time. The publisher's first key frame is at origin: 0, or where the
// publisher before left off. Audio is the master: its samples are counted.
// Video is put where the sender reports want it, before them where the arrivals
// do. Without audio, video is the master.
type timeline struct {
	base                   time.Time
	origin                 int64 // ns
	audioClock, videoClock rtpClock

	wantAudio  bool
	started    bool
	audioBegun bool
	audioZero  int64 // audio timestamp of the output's 0, in its ticks
	videoShift int64 // output minus video timestamp, ns
	held       []heldFrame

	slewing     bool
	skipped     bool  // time was taken out
	lastAny     int64 // latest arrival
	resumed     int64 // first arrival after a time without any
	wallBegun   bool
	wallOffset  int64 // arrival minus output, smoothed
	firstHeldAt int64
}

// heldFrame is a frame with its place in the output, in ticks.
type heldFrame struct {
	frame frame.Video
	at    int64
}

// newTimeline begins at origin, in ticks of 90 kHz. Audio is the publisher's
// audio track, nil for none.
func newTimeline(base time.Time, origin int64, audio *cmaf.AudioConfig) *timeline {
	t := &timeline{
		base:       base,
		audioClock: rtpClock{rate: cmaf.OpusTimescale},
		videoClock: rtpClock{rate: cmaf.VideoTimescale},
	}
	t.origin = t.videoClock.ns(origin)
	if audio != nil {
		t.wantAudio = true
		t.audioClock.rate = int64(audio.Timescale())
	}
	return t
}

// noteVideo learns from a frame that is not used.
func (t *timeline) noteVideo(ts uint32, arrival time.Time) {
	now := int64(arrival.Sub(t.base))
	t.seeVideo(ts, now)
	t.arrived(now)
}

func (t *timeline) seeVideo(ts uint32, now int64) int64 {
	before, away := t.videoClock.last, t.videoClock.running && t.away(now)
	at := t.videoClock.see(ts, now)
	if away {
		t.skip(t.videoClock.ns(at - before))
	}
	return at
}

// video returns the place of a frame in the output, in ticks. While waiting it
// keeps the frame for release.
func (t *timeline) video(f frame.Video) (at int64, waiting bool) {
	now := int64(f.Arrival.Sub(t.base))
	ts := t.seeVideo(f.Timestamp, now)
	t.arrived(now)
	if !t.started {
		if len(t.held) == 0 {
			t.firstHeldAt = now
		}
		if len(t.held) < maxHeld {
			t.held = append(t.held, heldFrame{frame: f, at: ts})
		}
		return 0, true
	}
	t.slew()
	return t.videoAt(ts), false
}

func (t *timeline) videoAt(ts int64) int64 {
	return t.videoClock.ticks(t.videoClock.ns(ts) + t.videoShift)
}

// audio returns the place of a packet in the output, in samples; false before
// the output has begun.
func (t *timeline) audio(ts uint32, arrival time.Time) (at func() (int64, bool)) {
	now := int64(arrival.Sub(t.base))
	before, away := t.audioClock.last, t.audioClock.running && t.away(now)
	ticks := t.audioClock.see(ts, now)
	if away {
		t.skip(t.audioClock.ns(ticks - before))
	}
	t.arrived(now)
	return func() (int64, bool) {
		if !t.started {
			return 0, false
		}
		if !t.audioBegun {
			t.beginAudio(now - t.videoClock.arrived.value() + t.videoShift)
		}
		return ticks - t.audioZero, true
	}
}

// beginAudio puts what arrives of the audio now at a place in the output.
func (t *timeline) beginAudio(out int64) {
	t.audioBegun = true
	t.audioZero = t.audioClock.last - t.audioClock.ticks(out)
}

// release begins the output when that is due, and returns the frames that have
// waited for it.
func (t *timeline) release(now time.Time) []heldFrame {
	if t.started || len(t.held) == 0 {
		return nil
	}
	patience := t.firstHeldAt + int64(audioPatience)
	if t.wantAudio && !t.audioClock.running && int64(now.Sub(t.base)) < patience {
		return nil
	}
	t.started = true
	first := t.videoClock.ns(t.held[0].at)
	t.videoShift = t.origin - first
	if t.audioClock.running {
		t.audioBegun = true
		// The audio that arrived beside the first frame is the origin's.
		byArrival := first + t.videoClock.arrived.value() - t.audioClock.arrived.value() - t.origin
		t.audioZero = t.audioClock.ticks(t.believe(t.videoClock.sender-t.audioClock.sender-t.videoShift, byArrival))
	}
	held := t.held
	t.held = nil
	for i := range held {
		held[i].at = t.videoAt(held[i].at)
	}
	return held
}

// slew moves the video a little towards where it belongs.
func (t *timeline) slew() {
	if !t.audioBegun {
		return
	}
	diff := t.wantedShift() - t.videoShift
	switch {
	case diff > slewFrom || diff < -slewFrom:
		t.slewing = true
	case diff < slewTo && diff > -slewTo:
		t.slewing = false
	}
	if t.slewing {
		t.videoShift += min(max(diff, -maxSlew), maxSlew)
	}
}

func (t *timeline) wantedShift() int64 {
	a, v := &t.audioClock, &t.videoClock
	zero := a.ns(t.audioZero)
	// Both tracks' output of what arrives at one moment is the same, and of what
	// was captured at one moment.
	return t.believe(v.sender-a.sender-zero, v.arrived.value()-a.arrived.value()-zero)
}

// believe returns what the sender reports say, once both tracks have some and
// unless the arrivals say something else altogether.
func (t *timeline) believe(byReports, byArrival int64) int64 {
	if !t.audioClock.reported || !t.videoClock.reported {
		return byArrival
	}
	if diff := byReports - byArrival; diff > maxReportError || diff < -maxReportError {
		return byArrival
	}
	return byReports
}

// arrived notes that something has come.
func (t *timeline) arrived(now int64) {
	if now-t.lastAny > quietAfter {
		t.resumed = now
	}
	t.lastAny = now
}

// away says whether the publisher had gone silent before now.
func (t *timeline) away(now int64) bool { return t.started && now-t.lastAny > awayAfter }

// skip takes time that passed while the publisher was away out of the output.
func (t *timeline) skip(gap int64) {
	gap -= second / 50
	if gap < awayAfter/2 {
		return // it was not away, its packets were late
	}
	t.skipped = true
	t.videoShift -= gap
	t.audioZero += t.audioClock.ticks(gap)
}

// offset returns arrival minus output of what arrives fastest.
func (t *timeline) offset() int64 {
	if t.audioBegun {
		return t.audioClock.arrived.value() + t.audioClock.ns(t.audioZero)
	}
	return t.videoClock.arrived.value() - t.videoShift
}

// now returns the place in the output, in ticks, that arrives now; false when
// the output has not begun, or nothing arrives, or what is late does just now.
func (t *timeline) now(now time.Time) (int64, bool) {
	arrival := int64(now.Sub(t.base))
	if !t.started || arrival-t.lastAny > quietAfter || arrival-t.resumed < catchUpAfter {
		return 0, false
	}
	return t.videoClock.ticks(arrival - t.offset()), true
}

// wall returns the time of day of a place in the output: when it arrived, by a
// smoothed clock.
func (t *timeline) wall(at int64) time.Time {
	offset := t.offset()
	diff := offset - t.wallOffset
	if !t.wallBegun || diff > maxWallError || diff < -maxWallError {
		t.wallBegun, t.wallOffset = true, offset
	} else {
		t.wallOffset += diff / 64
	}
	return t.base.Add(time.Duration(t.videoClock.ns(at) + t.wallOffset))
}
