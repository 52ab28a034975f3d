package whep

import "time"

const (
	// clearly is how much more than a rung's rate the network must carry for it.
	clearly     = 1.1
	probeTime   = 250 * time.Millisecond
	probeStep   = 10 * time.Millisecond
	probeReport = 500 * time.Millisecond // after which its reports have come
	maxMisses   = 3
	maxPatience = 8 // times as long, after rungs that were too much
)

// judge compares the estimate with what the rungs need.
type judge struct {
	looked               time.Time
	slowSince, fastSince time.Time
	wentUp               time.Time
	patience             int
}

// look changes the rung, or ends the session, when it is time.
func (j *judge) look(s *sender, now time.Time) {
	if now.Sub(j.looked) < s.limits.judge {
		return
	}
	j.looked = now
	s.pacer.set(s.pace(), now)
	if s.estimate.bits == 0 || s.change.to != nil {
		return
	}
	j.down(s, now)
	j.up(s, now)
}

func (j *judge) down(s *sender, now time.Time) {
	if s.estimate.bits >= s.fan.bitrate() {
		j.slowSince = time.Time{}
		return
	}
	if j.slowSince.IsZero() {
		j.slowSince = now
	}
	if now.Sub(j.slowSince) < s.limits.slowFor {
		return
	}
	j.slowSince = time.Time{}
	if !s.moveTo(s.ladder.at+1, 1, now) {
		s.events.end(ReasonTooSlow)
	}
}

func (j *judge) up(s *sender, now time.Time) {
	needs, ok := s.above()
	if !ok || s.estimate.congested || s.estimate.bits < needs {
		j.fastSince = time.Time{}
		return
	}
	if j.fastSince.IsZero() {
		j.fastSince = now
	}
	if now.Sub(j.fastSince) >= s.limits.fastFor*time.Duration(max(j.patience, 1)) {
		j.fastSince = time.Time{}
		s.moveTo(s.ladder.at-1, -1, now)
	}
}

// changed notes a change of rung.
func (j *judge) changed(down bool, now time.Time) {
	j.slowSince, j.fastSince = time.Time{}, time.Time{}
	switch {
	case !down:
		j.wentUp = now
	case !j.wentUp.IsZero() && now.Sub(j.wentUp) < time.Minute:
		j.patience = min(max(2*j.patience, 2), maxPatience)
	default:
		j.patience = 1
	}
}

// above is what the rung above needs; false if there is none.
func (s *sender) above() (int64, bool) {
	if s.ladder.at == 0 {
		return 0, false
	}
	rate := s.ladder.steps[s.ladder.at-1].rung.Bitrate
	if rate == 0 {
		rate = 2 * s.fan.bitrate()
	}
	return int64(float64(rate) * clearly), true
}

// prober tries, on a lower rung, whether the network carries the one above: by
// sending packets again for a moment, as retransmissions that players drop.
type prober struct {
	began, ended time.Time // zero: not
	last         time.Time // when something was sent
	rate         int64     // of the additional packets, bits per second
	back         uint16    // how old the next one is
	misses       int       // tries in a row that were too much
}

// pump returns when it wants to run again, 0 for whenever.
func (p *prober) pump(s *sender, now time.Time) time.Duration {
	switch {
	case p.began.IsZero():
		p.begin(s, now)
		if p.began.IsZero() {
			return 0
		}
	case !p.ended.IsZero():
		if now.Sub(p.ended) >= probeReport {
			s.estimate.endProbe()
			p.misses++
			if needs, _ := s.above(); s.estimate.bits >= needs {
				p.misses = 0
			}
			p.last, p.began, p.ended = now, time.Time{}, time.Time{}
		}
		return 0
	case now.Sub(p.began) >= probeTime || s.estimate.congested:
		s.estimate.stopProbe()
		p.ended = now
		return 0
	}
	due := p.rate * now.Sub(p.last).Microseconds() / 8_000_000
	for due > 0 {
		size := s.resend(s.video.sequence-p.back, now)
		if size == 0 {
			p.back = 1
			break
		}
		due -= int64(size)
		p.back++
	}
	p.last = now
	return probeStep
}

// begin begins a try, if it is time for one.
func (p *prober) begin(s *sender, now time.Time) {
	needs, ok := s.above()
	if !ok || !s.video.canRepeat() || !s.video.extended || s.estimate.congested || s.replaying || s.change.to != nil {
		return
	}
	if p.last.IsZero() {
		p.last = now // the first one only after some time
	}
	// A try that is too much is felt by the viewer, so they get rarer.
	if now.Sub(p.last) < s.limits.probe<<min(p.misses, maxMisses) {
		return
	}
	p.began, p.last, p.back = now, now, 1
	p.rate = max(int64(float64(needs)*clearly)-s.fan.bitrate(), minPace)
	s.estimate.beginProbe()
}
