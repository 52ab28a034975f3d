package whip

import (
	"time"

	"github.com/pion/rtp"
)

const (
	// maxReorder is how long a missing packet is waited for: retransmission
	// takes a round trip and a half.
	maxReorder = 150 * time.Millisecond
	maxHeld    = 1024 // packets: 150 ms at 20 Mbit/s are 350
)

// arrived is a packet with the time of its arrival.
type arrived struct {
	packet *rtp.Packet
	at     time.Time
}

// reorder puts packets in the order of their sequence numbers (RFC 3550, 5.1).
type reorder struct {
	running bool
	next    uint16
	held    map[uint16]arrived
	since   time.Time // when the packet next began to be missing
}

// push takes a packet and returns those that are in order now, and how many
// were given up before the first of them.
func (r *reorder) push(p *rtp.Packet, now time.Time) (ready []arrived, lost int) {
	seq := p.SequenceNumber
	if !r.running {
		r.running, r.next, r.held = true, seq, map[uint16]arrived{}
	}
	ahead := int16(seq - r.next)
	if ahead < 0 && int(ahead) > -maxHeld {
		return nil, 0 // too late, or twice
	}
	if ahead < 0 || int(ahead) > maxHeld {
		// Another stream of numbers: the sender began anew.
		*r = reorder{running: true, next: seq, held: map[uint16]arrived{}}
		lost = 1
	}
	if len(r.held) == 0 {
		r.since = now
	}
	r.held[seq] = arrived{packet: p, at: now}
	if _, there := r.held[r.next]; !there && now.Sub(r.since) >= maxReorder {
		for {
			if _, there := r.held[r.next]; there {
				break
			}
			r.next++
			lost++
		}
	}
	for {
		a, there := r.held[r.next]
		if !there {
			break
		}
		delete(r.held, r.next)
		r.next++
		r.since = now
		ready = append(ready, a)
	}
	return ready, lost
}
