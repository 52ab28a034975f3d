package whip

import (
	"math"
	"time"

	"github.com/pion/rtcp"
)

const (
	// maxGap is how far sequence numbers may jump ahead; beyond it the sender began
	// anew (RFC 3550, A.1).
	maxGap = 3000
	// maxAsked is how many missing packets are asked for at a time.
	maxAsked = 256
)

// gap is a packet that has not come.
type gap struct {
	sequence uint16
	since    time.Time
}

// inbound counts the packets of one SSRC (RFC 3550, A.3 and A.8). Retransmitted
// packets have another one and are not counted.
type inbound struct {
	clock uint32 // Hz
	nacks bool   // missing packets are asked for

	received int64
	expected int64 // from the first number to the highest
	highest  uint16
	cycles   uint16
	gaps     []gap

	transit uint32 // of the last packet, in units of clock
	jitter  float64

	reportedExpected, reportedReceived int64 // in the last report
	senderReport                       uint32
	reportedAt                         time.Time
	began                              time.Time
}

// heard notes a packet and says whether it shows that others are missing.
func (in *inbound) heard(h *header, now time.Time) bool {
	if in.received == 0 {
		in.began, in.highest, in.expected = now, h.sequence-1, 0
	}
	in.received++
	in.jitters(h.timestamp, now)
	ahead := h.sequence - in.highest
	switch {
	case ahead == 0:
		return false // twice
	case ahead < maxGap:
		if h.sequence < in.highest {
			in.cycles++
		}
		missing := in.nacks && ahead > 1
		if missing {
			in.open(h.sequence, ahead-1, now)
		}
		in.highest = h.sequence
		in.expected += int64(ahead)
		return missing
	case ahead > math.MaxUint16-maxGap:
		in.close(h.sequence)
		return false // it was overtaken
	default: // another stream of numbers
		in.highest, in.gaps = h.sequence, in.gaps[:0]
		in.expected++
		return false
	}
}

// open notes n missing packets before a number.
func (in *inbound) open(before, n uint16, now time.Time) {
	for s := before - min(n, maxAsked); s != before; s++ {
		if len(in.gaps) == maxAsked {
			in.gaps = append(in.gaps[:0], in.gaps[1:]...)
		}
		in.gaps = append(in.gaps, gap{sequence: s, since: now})
	}
}

// close notes that a missing packet came after all.
func (in *inbound) close(sequence uint16) {
	for i, g := range in.gaps {
		if g.sequence == sequence {
			in.gaps = append(in.gaps[:i], in.gaps[i+1:]...)
			return
		}
	}
}

// missing returns the numbers that are still worth asking for.
func (in *inbound) missing(now time.Time) []uint16 {
	kept := in.gaps[:0]
	var numbers []uint16
	for _, g := range in.gaps {
		if now.Sub(g.since) < maxReorder {
			kept = append(kept, g)
			numbers = append(numbers, g.sequence)
		}
	}
	in.gaps = kept
	return numbers
}

// jitters follows the interarrival jitter (RFC 3550, 6.4.1).
func (in *inbound) jitters(timestamp uint32, now time.Time) {
	arrival := uint32(int64(now.Sub(in.began).Seconds() * float64(in.clock)))
	transit := arrival - timestamp
	if in.received > 1 {
		d := math.Abs(float64(int32(transit - in.transit)))
		if d < 10*float64(in.clock) { // else a clock has jumped
			in.jitter += (d - in.jitter) / 16
		}
	}
	in.transit = transit
}

func (in *inbound) lost() int64 { return max(in.expected-in.received, 0) }

// report makes a report block and begins a new interval.
func (in *inbound) report(ssrc uint32, now time.Time) rtcp.ReceptionReport {
	expected, received := in.expected-in.reportedExpected, in.received-in.reportedReceived
	in.reportedExpected, in.reportedReceived = in.expected, in.received
	fraction := int64(0)
	if lost := expected - received; lost > 0 {
		fraction = min(lost*256/expected, 255)
	}
	var delay uint32
	if !in.reportedAt.IsZero() {
		delay = uint32(now.Sub(in.reportedAt).Seconds() * 65536)
	}
	return rtcp.ReceptionReport{
		SSRC: ssrc, FractionLost: uint8(fraction), TotalLost: uint32(min(in.lost(), 1<<23-1)),
		LastSequenceNumber: uint32(in.cycles)<<16 | uint32(in.highest),
		Jitter:             uint32(in.jitter), LastSenderReport: in.senderReport, Delay: delay,
	}
}
