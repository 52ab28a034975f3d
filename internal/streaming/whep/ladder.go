package whep

import "time"

const (
	maxHold    = 2 * time.Second  // of the last picture, while a rung changes
	maxPending = 15 * time.Second // that a change of rung waits for a key frame
)

// ladder is the rungs that a viewer can take, from the top one down.
type ladder struct {
	steps []step
	at    int
}

// step is a rung with the payload type that was negotiated for it.
type step struct {
	rung    Rung
	payload uint8
}

// change is a change to another rung that waits for its key frame.
type change struct {
	to   *fan // nil: none
	step int
	at   time.Time // when it was decided
	// held is since when the old rung has the key frame to change at, while the
	// new one has not: sidecars are later than their source.
	held time.Time
}

// moveTo begins a change to the first rung from there on, up or down by one each,
// that can be sent; false if there is none.
func (s *sender) moveTo(i, direction int, now time.Time) bool {
	for ; i >= 0 && i < len(s.ladder.steps); i += direction {
		f := s.events.acquire(s.ladder.steps[i].rung)
		if state := f.state(); state.reordered || state.over {
			s.events.release(f)
			continue
		}
		s.abandon()
		s.change = change{to: f, step: i, at: now}
		f.follow(s.wakeup)
		f.requestKey(now)
		return true
	}
	return false
}

// leave goes away from a rung that turns out to have B-frames; false if there is
// none without.
func (s *sender) leave(now time.Time) bool {
	return s.change.to != nil || s.moveTo(s.ladder.at+1, 1, now)
}

// abandon gives a change up.
func (s *sender) abandon() {
	if s.change.to != nil {
		s.change.to.unfollow(s.wakeup)
		s.events.release(s.change.to)
	}
	s.change = change{}
}

// tryChange changes the rung if the new one has a key frame that is later than
// what was sent.
func (s *sender) tryChange(now time.Time) {
	to := s.change.to
	if to == nil {
		return
	}
	p := to.at(&to.video, 0)
	if p.hasKey {
		p = to.at(&to.video, p.key)
	}
	if !p.hasKey || p.unit == nil || s.hasLast && p.unit.at <= s.lastAt {
		if now.Sub(s.change.at) > maxPending {
			s.abandon()
		}
		return
	}
	s.fan.unfollow(s.wakeup)
	s.events.release(s.fan)
	down := s.change.step > s.ladder.at
	s.fan, s.ladder.at, s.change = to, s.change.step, change{}
	s.goTo(p.number)
	s.waitKey, s.replaying = false, p.behind > replayAbove
	s.video.header.PayloadType = s.ladder.steps[s.ladder.at].payload
	s.sound = to.after(&to.audio, s.soundAt)
	s.history.clear() // it has numbers of the other fan's units
	s.pacer.set(s.pace(), now)
	s.judge.changed(down, now)
	if s.events.metrics.Switched != nil {
		s.events.metrics.Switched(down)
	}
}

// hold says whether a key frame of the old rung is to be kept back, because the
// new rung will have it too.
func (s *sender) hold(u *unit, now time.Time) bool {
	if s.change.to == nil || !u.key || s.replaying || s.hasLast && u.at <= s.lastAt {
		return false
	}
	if s.change.held.IsZero() {
		s.change.held = now
	}
	if now.Sub(s.change.held) < maxHold {
		return true
	}
	s.abandon()
	return false
}
