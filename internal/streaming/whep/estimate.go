package whep

import "time"

const (
	maxInFlight  = 2048                   // packets whose fate is not known yet; a power of two
	maxQueueing  = 120 * time.Millisecond // above the shortest delay seen: the path is filling up
	maxLoss      = 0.10
	lossTime     = time.Second      // that loss is looked at over
	baselineTime = 10 * time.Second // that the shortest delay is looked at over, and as long again
	rateSlots    = 10
	maxPause     = 3 // slots
	slotTime     = 100 * time.Millisecond
	backOff      = 0.9                    // of what arrives, when it is too much
	growth       = 0.08                   // a second, while all is well
	cutTime      = 300 * time.Millisecond // between two cuts: the first one must show
	headroom     = 1.5                    // an estimate is at most so much above what has been tried
)

// estimate is what the network to one viewer carries, by the transport-wide
// feedback of the viewer: its delay is compared to the shortest one, its loss
// counted. It knows no more than has been tried, so it is at most a little above
// what was sent; probe tries more. All times are in microseconds since the
// viewer came.
type estimate struct {
	bits int64 // per second; 0: not known yet

	sent [maxInFlight]inFlight

	baseline, baselineBefore int64 // the shortest delays, of this time and the one before
	baselineSince            int64
	hasBaseline              bool
	shortest                 int64 // delay in the report being read
	hasShortest              bool

	slots     [rateSlots]int64 // bytes that arrived, by the viewer's clock
	slot      int64            // number of the newest slot
	firstSlot int64
	hasSlot   bool

	received, lost int // since lossSince
	lossSince      int64
	loss           float64
	queued         int64 // how much longer than the shortest delay the last report's was
	congested      bool
	cut            int64 // time of the last one
	updated        int64
	probing        probe
}

// inFlight is a packet that was sent.
type inFlight struct {
	at       uint32 // low bits of the time
	size     uint16
	sequence uint16
	waiting  bool
	probe    bool
}

// probe is a try of a higher rate.
type probe struct {
	active      bool
	bytes       int64
	first, last int64 // arrivals
	packets     int
}

// send notes a packet.
func (e *estimate) send(sequence uint16, size int, now int64) {
	e.sent[sequence%maxInFlight] = inFlight{at: uint32(now), size: uint16(size), sequence: sequence, waiting: true, probe: e.probing.active}
}

// packet takes the fate of a packet.
func (e *estimate) packet(sequence uint16, received bool, at, now int64) {
	p := &e.sent[sequence%maxInFlight]
	if !p.waiting || p.sequence != sequence {
		return
	}
	if !received {
		e.lost++ // it may still come, but then it is late
		return
	}
	p.waiting = false
	e.received++
	sent := now - int64(uint32(now)-p.at)
	if delay := at - sent; !e.hasShortest || delay < e.shortest {
		e.shortest, e.hasShortest = delay, true
	}
	e.arrive(at, int64(p.size))
	if p.probe {
		e.probing.packet(at, int64(p.size))
	}
}

// arrive counts bytes into their slot of time.
func (e *estimate) arrive(at, bytes int64) {
	slot := at / slotTime.Microseconds()
	// After a pause, a rate over it would say what was sent, not what is carried.
	if !e.hasSlot || slot > e.slot+maxPause || slot < e.slot-10*rateSlots {
		e.slots, e.slot, e.firstSlot, e.hasSlot = [rateSlots]int64{}, slot, slot, true
	}
	for ; e.slot < slot; e.slot++ {
		e.slots[(e.slot+1)%rateSlots] = 0
	}
	if slot > e.slot-rateSlots {
		e.slots[slot%rateSlots] += bytes
	}
}

// arriving is the rate of what arrived in the last second, without the slot that
// is not over; 0 until there is enough.
func (e *estimate) arriving() int64 {
	n := min(e.slot-e.firstSlot, rateSlots-1)
	if !e.hasSlot || n < 3 {
		return 0
	}
	var bytes int64
	for i := int64(1); i <= n; i++ {
		bytes += e.slots[(e.slot-i+rateSlots)%rateSlots]
	}
	return bytes * 8 * int64(time.Second/slotTime) / n
}

// report ends a report.
func (e *estimate) report(now int64) {
	lossy := false
	if total := e.received + e.lost; now-e.lossSince >= lossTime.Microseconds() && total > 0 {
		e.loss = float64(e.lost) / float64(total)
		e.received, e.lost, e.lossSince = 0, 0, now
		lossy = e.loss > maxLoss
	}
	queued := e.queueing(now)
	emptying := queued < e.queued
	full := queued > maxQueueing.Microseconds()
	e.queued = queued
	e.congested = full || e.loss > maxLoss
	arriving := e.arriving()
	if arriving == 0 {
		return
	}
	passed := min(now-e.updated, slotTime.Microseconds())
	e.updated = now
	switch {
	case e.congested:
		// What is in the queue already comes late whatever is sent now.
		if (lossy || full && !emptying) && now-e.cut > cutTime.Microseconds() {
			e.cut = now
			if wanted := max(int64(float64(arriving)*backOff), e.bits/2); e.bits == 0 || wanted < e.bits {
				e.bits = wanted
			}
		}
	case e.bits < arriving:
		e.bits = arriving
	default:
		most := int64(float64(arriving) * headroom)
		grown := e.bits + int64(float64(e.bits)*growth*float64(passed)/1e6)
		e.bits = max(e.bits, min(grown, most))
	}
}

// queueing is how much longer the last report's fastest packet took than the
// fastest of the last 10 to 20 seconds.
func (e *estimate) queueing(now int64) int64 {
	if !e.hasShortest {
		return e.queued
	}
	delay := e.shortest
	e.hasShortest = false
	switch {
	case !e.hasBaseline:
		e.baseline, e.baselineBefore, e.baselineSince, e.hasBaseline = delay, delay, now, true
	case now-e.baselineSince > baselineTime.Microseconds() && !e.congested:
		e.baselineBefore, e.baseline, e.baselineSince = e.baseline, delay, now
	}
	e.baseline = min(e.baseline, delay)
	return delay - min(e.baseline, e.baselineBefore)
}

// lossReport is for viewers without transport-wide feedback: the share of lost
// packets in a receiver report, at a rate that was sent.
func (e *estimate) lossReport(share float64, sending int64) {
	e.loss = share
	e.congested = share > maxLoss
	if e.congested {
		e.bits = int64(float64(sending) * (1 - share))
	} else {
		e.bits = max(e.bits, sending)
	}
}

func (p *probe) packet(at, bytes int64) {
	if p.packets == 0 {
		p.first, p.bytes = at, -bytes // the rate is of what came after the first
	}
	p.packets++
	p.bytes += bytes
	p.last = max(p.last, at)
}

// beginProbe marks what is sent from now on.
func (e *estimate) beginProbe() { e.probing = probe{active: true} }

// stopProbe ends the marking; endProbe, when the reports have come, takes what
// arrived of the marked packets as what the network carries.
func (e *estimate) stopProbe() { e.probing.active = false }

func (e *estimate) endProbe() {
	p := e.probing
	e.probing = probe{}
	if p.packets < 20 || p.last <= p.first || e.congested {
		return
	}
	e.bits = max(e.bits, p.bytes*8*1_000_000/(p.last-p.first))
}
