package whep

import (
	"sync"
	"time"

	"github.com/pion/rtcp"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

const (
	// squeezed is how far apart the timestamps of replayed pictures are, in ticks
	// of 90 kHz: half a millisecond. A player shows them at once and is live when
	// they are over.
	squeezed = 45
	// replayAbove is how many frames behind is no more than a hiccup.
	replayAbove = 3
	// recentKey is too young a key frame to be what a viewer misses that asks for
	// one: its request was on the way.
	recentKey = 300 * time.Millisecond
)

// sender sends to one viewer what its fan has. One goroutine pumps; the viewer's
// feedback comes on others.
type sender struct {
	limits limits
	events senderEvents
	wakeup chan struct{}
	start  time.Time

	mu     sync.Mutex
	video  *localTrack
	audio  *localTrack // nil: none is sent
	burst  *rtc.Burst  // nil: the viewer is not reached over UDP
	ladder ladder

	fan    *fan
	change change

	unit      uint64 // the next one of the video
	part      int    // of its payloads, the next
	stamped   bool   // it has its timestamp
	replaying bool   // behind, and catching up
	waitKey   bool   // nothing before the next key frame is sent
	replayed  time.Time
	keySent   time.Time

	lastAt   int64 // time on the timeline of the last video unit
	hasLast  bool
	stamp    int64 // timestamp of the unit being sent, on the viewer's timeline
	hasStamp bool
	shift    int64 // viewer's timeline minus the stream's, 90 kHz
	sound    uint64
	soundAt  int64

	heard     *hearing
	transport uint16 // the next transport-wide sequence number
	history   history
	estimate  estimate
	pacer     pacer
	wantsKey  bool
	judge     judge
	probe     prober
	report    reporter
	repeats   repeats
	sentBytes int
}

// senderEvents is what a sender asks of its session. They are called under its
// lock and must not call it.
type senderEvents struct {
	end     func(Reason)
	acquire func(Rung) *fan
	release func(*fan)
	metrics Metrics
	rtcp    func([]rtcp.Packet)
}

// micros is the time for the estimate.
func (s *sender) micros(now time.Time) int64 { return now.Sub(s.start).Microseconds() }

// wake makes the pump run.
func (s *sender) wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// run pumps until the session is closed.
func (s *sender) run(closed <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := s.pump(time.Now())
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-s.wakeup:
		case <-timer.C:
		case <-closed:
			return
		}
	}
}

// begin follows a fan, from its last key frame on.
func (s *sender) begin(f *fan, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fan = f
	s.sound = f.live(&f.audio)
	s.pacer.set(s.pace(), now)
	s.report.began = f.began
	s.fromKey(now)
	if s.waitKey {
		f.requestKey(now)
	}
	f.follow(s.wakeup)
	s.wake()
}

// fromKey goes back to the last key frame, or waits for the next one.
func (s *sender) fromKey(now time.Time) {
	p := s.fan.at(&s.fan.video, 0)
	if !p.hasKey {
		s.goTo(p.end)
		s.waitKey, s.replaying = true, false
		return
	}
	s.goTo(p.key)
	s.waitKey, s.replaying, s.replayed = false, true, now
}

// goTo makes a unit the next one.
func (s *sender) goTo(unit uint64) { s.unit, s.part, s.stamped = unit, 0, false }

// pump sends what there is and may go; it returns when there may be more, 0 for
// when it is woken.
func (s *sender) pump(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fan == nil || !s.video.ready {
		return 0
	}
	switch state := s.fan.state(); {
	case state.over:
		s.events.end(ReasonEnded)
		return 0
	case state.reordered:
		if !s.leave(now) {
			s.events.end(ReasonUnsupported)
			return 0
		}
	}
	if s.wantsKey {
		s.wantsKey = false
		s.answerKey(now)
	}
	s.judge.look(s, now)
	s.burst.Begin()
	s.pumpAudio()
	wait := s.pumpVideo(now)
	if more := s.probe.pump(s, now); more > 0 && (wait == 0 || more < wait) {
		wait = more
	}
	s.burst.End()
	s.report.send(s, now)
	return wait
}

// pumpAudio sends all audio that is there; it is small.
func (s *sender) pumpAudio() {
	if s.audio == nil || !s.audio.ready {
		return
	}
	for {
		p := s.fan.at(&s.fan.audio, s.sound)
		if p.unit == nil {
			s.sound = max(s.sound, p.end) // or what was missed is gone
			return
		}
		s.sound++
		if ticks(p.edge-p.unit.at, audioClock) > s.limits.queue {
			continue
		}
		s.soundAt = p.unit.at
		at := p.unit.at + s.shift*audioClock/videoClock
		s.audio.write(p.unit.payloads[0], s.audio.base+uint32(at), false, 0)
		s.sentBytes += p.unit.size
	}
}

// pumpVideo sends video as fast as it may go.
func (s *sender) pumpVideo(now time.Time) time.Duration {
	for {
		if s.part == 0 {
			s.tryChange(now)
		}
		p := s.fan.at(&s.fan.video, s.unit)
		if s.part == 0 {
			p = s.place(p)
		}
		if p.unit == nil {
			if s.part > 0 || s.unit < p.end { // it is not kept any more
				s.fromKey(now)
				continue
			}
			s.replaying = false
			return 0
		}
		if !s.stamped && !s.stampUnit(p, now) {
			return 0
		}
		if wait := s.sendUnit(p, now); wait > 0 {
			return wait
		}
		s.goTo(s.unit + 1)
		if p.behind == 0 {
			s.replaying = false
		}
	}
}

// place decides what comes next: the unit that is next, or after too much
// waiting a key frame.
func (s *sender) place(p place) place {
	if p.unit == nil {
		return p
	}
	late := ticks(p.edge-p.unit.at, videoClock) > s.limits.queue
	if p.hasKey && p.key > s.unit && (late || s.replaying) {
		s.goTo(p.key)
		s.waitKey = false
		s.replaying = p.end-p.key > replayAbove
		return s.fan.at(&s.fan.video, s.unit)
	}
	if late && !s.replaying {
		s.waitKey = true
	}
	for s.waitKey && p.unit != nil && !p.unit.key {
		s.goTo(s.unit + 1)
		p = s.fan.at(&s.fan.video, s.unit)
	}
	if p.unit != nil && s.waitKey {
		s.waitKey = false
		s.replaying = p.behind > replayAbove
	}
	return p
}

// stampUnit gives a unit its timestamp; false if it is to be held back.
func (s *sender) stampUnit(p place, now time.Time) bool {
	if s.hold(p.unit, now) {
		return false
	}
	at := p.unit.at
	if s.replaying && p.behind > 0 {
		at = max(at, p.edge-int64(p.behind)*squeezed)
	}
	at += s.shift
	if s.hasStamp && at <= s.stamp {
		if !s.replaying && p.behind == 0 && s.stamp-at > videoClock/2 {
			// The timeline jumped back; the viewer's goes on.
			s.shift += s.stamp + videoClock/25 - at
			at = s.stamp + videoClock/25
		} else {
			at = s.stamp + squeezed
		}
	}
	s.stamp, s.hasStamp, s.stamped = at, true, true
	s.lastAt, s.hasLast = p.unit.at, true
	if p.unit.key {
		s.keySent = now
	}
	return true
}

// sendUnit sends the rest of a unit; it returns how long to wait before more
// may go, 0 when all is sent.
func (s *sender) sendUnit(p place, now time.Time) time.Duration {
	u := p.unit
	timestamp := s.video.base + uint32(s.stamp)
	micros := s.micros(now)
	for s.part < len(u.payloads) {
		if wait := s.pacer.wait(now); wait > 0 {
			return wait
		}
		payload := u.payloads[s.part]
		s.history.add(s.video.sequence, sentPacket{unit: uint32(p.number), timestamp: timestamp, part: uint16(s.part)})
		s.estimate.send(s.transport, len(payload), micros)
		s.part++
		s.video.write(payload, timestamp, s.part == len(u.payloads), s.transport)
		s.transport++
		s.pacer.spend(len(payload))
	}
	s.sentBytes += u.size
	return 0
}

// pace is the rate to send at: what the network carries when that is too little
// for the stream, else enough to catch up.
func (s *sender) pace() int64 {
	bits, rate := s.estimate.bits, s.fan.bitrate()
	switch {
	case bits > 0 && s.estimate.congested:
		return bits // which is less than what arrives, so that the queue empties
	case bits > 0 && bits < rate:
		return bits * 5 / 4
	}
	return max(catchUp*rate, minCatchUp)
}

// answerKey answers a viewer that asks for a key frame: with the pictures since
// the last one, and by asking the publisher for a new one.
func (s *sender) answerKey(now time.Time) {
	s.fan.requestKey(now)
	if s.replaying || s.waitKey || s.estimate.congested ||
		now.Sub(s.replayed) < s.limits.replay || now.Sub(s.keySent) < recentKey {
		return
	}
	s.fromKey(now)
}

// end stops following.
func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandon()
	if s.fan != nil {
		s.fan.unfollow(s.wakeup)
		s.events.release(s.fan)
		s.fan = nil
	}
	s.burst.Close()
	s.burst = nil
}
