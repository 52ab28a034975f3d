package whip

import "time"

const (
	// maxReorder is how long a missing packet of video is waited for:
	// retransmission takes a round trip and a half.
	maxReorder = 150 * time.Millisecond
	// maxAudioReorder is the same for audio, which browsers do not send again.
	maxAudioReorder = 60 * time.Millisecond
	maxHeld         = 1024 // packets: 150 ms at 20 Mbit/s are 350
)

// ordered takes packets in the order of their sequence numbers.
type ordered interface {
	packet(packet)
	// missing says that packets before the next one never came.
	missing(packets int, now time.Time)
}

// reorder puts packets in the order of their sequence numbers (RFC 3550, 5.1).
type reorder struct {
	to   ordered
	wait time.Duration // for a missing packet

	running bool
	next    uint16
	held    map[uint16]packet // behind a missing one
	since   time.Time         // when the packet next began to be missing
}

// push takes a packet and hands on those that are in order now. What it keeps
// of the packet it copies.
func (r *reorder) push(p packet) {
	if !r.running {
		r.running, r.next = true, p.sequence
	}
	ahead := int(int16(p.sequence - r.next))
	switch {
	case ahead == 0:
		r.next++
		r.to.packet(p)
		if len(r.held) > 0 {
			r.release()
			r.expire(p.at)
		}
		return
	case ahead < 0 && ahead > -maxHeld:
		return // too late, or twice
	case ahead < 0 || ahead > maxHeld:
		// Another stream of numbers: the sender began anew.
		clear(r.held)
		r.next = p.sequence + 1
		r.to.missing(1, p.at)
		r.to.packet(p)
		return
	}
	if len(r.held) == 0 {
		r.since = p.at
	}
	if r.held == nil {
		r.held = map[uint16]packet{}
	}
	if _, twice := r.held[p.sequence]; !twice {
		p.payload = append([]byte(nil), p.payload...)
		r.held[p.sequence] = p
	}
	r.expire(p.at)
}

// waiting says whether packets are held back. Then expire must be called from
// time to time: perhaps no other packet comes.
func (r *reorder) waiting() bool { return len(r.held) > 0 }

// expire gives up packets that have been missing for too long.
func (r *reorder) expire(now time.Time) {
	for len(r.held) > 0 && now.Sub(r.since) >= r.wait {
		lost := 0
		for {
			if _, there := r.held[r.next]; there {
				break
			}
			r.next++
			lost++
		}
		r.to.missing(lost, now)
		r.release()
	}
}

// release hands on what is in order. What the others wait for has been missing
// since the first of them came.
func (r *reorder) release() {
	for {
		p, there := r.held[r.next]
		if !there {
			break
		}
		delete(r.held, r.next)
		r.next++
		r.to.packet(p)
	}
	first := true
	for _, p := range r.held {
		if first || p.at.Before(r.since) {
			r.since, first = p.at, false
		}
	}
}
