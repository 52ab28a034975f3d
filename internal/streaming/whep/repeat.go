package whep

import "time"

const (
	// repeatAgain is how long after a retransmission another request for the same
	// packet is taken for one that crossed it.
	repeatAgain   = 20 * time.Millisecond
	repeatBurst   = 64 << 10  // bytes
	repeatFew     = 8 << 10   // bytes, when there is no room in the network
	minRepeatRate = 1_000_000 // bits per second, for retransmissions
	maxRepeats    = 8         // of one packet
)

// repeats limits what is sent again.
type repeats struct {
	tokens int64 // bytes
	last   time.Time
}

func (r *repeats) allow(rate, burst int64, now time.Time) bool {
	if r.last.IsZero() {
		r.tokens = burst
	} else {
		passed := min(now.Sub(r.last), time.Second)
		r.tokens = min(burst, r.tokens+rate*int64(passed)/int64(8*time.Second))
	}
	r.last = now
	return r.tokens > 0
}

// repeatRate is how much may be sent again, in bits per second and bytes at
// once: half of the stream's rate, and less when there is no room in the network.
func (s *sender) repeatRate() (rate, burst int64) {
	if s.estimate.congested {
		return s.estimate.bits / 4, repeatFew
	}
	return max(s.fan.bitrate()/2, minRepeatRate), repeatBurst
}

// nack sends a packet again that a viewer has lost.
func (s *sender) nack(sequence uint16, now time.Time) {
	p := s.history.find(sequence, s.video.sequence)
	if p == nil || s.fan == nil || p.repeats >= maxRepeats {
		return
	}
	if rate, burst := s.repeatRate(); !s.repeats.allow(rate, burst, now) {
		return
	}
	millis := uint16(now.Sub(s.start).Milliseconds()) | 1 // 0 is for never
	if p.resent != 0 && time.Duration(millis-p.resent)*time.Millisecond < repeatAgain {
		return
	}
	if size := s.resend(sequence, now); size > 0 {
		p.resent = millis
		p.repeats++
		s.pacer.spend(size)
		s.repeats.tokens -= int64(size)
		if s.events.metrics.Retransmitted != nil {
			s.events.metrics.Retransmitted(1)
		}
	}
}

// resend sends a packet again and returns its size, 0 if it is not kept any more.
func (s *sender) resend(sequence uint16, now time.Time) int {
	p := s.history.find(sequence, s.video.sequence)
	if p == nil || s.fan == nil {
		return 0
	}
	// The unit is at most 2^32 before the next one.
	n := s.unit - uint64(uint32(s.unit)-p.unit)
	u := s.fan.lookup(&s.fan.video, n)
	if u == nil || int(p.part) >= len(u.payloads) {
		return 0
	}
	payload := u.payloads[p.part]
	s.estimate.send(s.transport, len(payload), s.micros(now))
	s.video.repeat(payload, sequence, p.timestamp, int(p.part) == len(u.payloads)-1, s.transport)
	s.transport++
	return len(payload)
}
