package streaming

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// clocks are those of a publisher, in parts per million.
type clocks struct {
	wall         float64 // how much faster its wall clock is than the server's
	video, audio float64 // how much faster its media clocks are than its wall clock
	seed         uint64
}

// route is a way through a network that delays, loses and reorders.
type route struct {
	random  *rand.Rand
	loses   bool
	waiting []delivery // in the order of arriving
	last    float64    // arrival
}

// delivery is what arrives. Times are in seconds of the publisher's wall clock.
type delivery struct {
	at float64
	do func()
}

// What the network does.
const (
	delay       = 0.02 // at least
	jitter      = 0.008
	lossRate    = 0.003
	reorderRate = 0.002
	burstEvery  = 97.0 // seconds; then it delays all by burst for a while
	burstFor    = 0.8
	burst       = 0.15
	outageAt    = 700.0 // nothing comes through
	outageFor   = 1.5
)

func newRoute(random *rand.Rand) route { return route{random: random, loses: true} }

// send puts something on its way.
func (p *route) send(at float64, lossy bool, do func()) {
	lost := p.loses && lossy && p.random.Float64() < lossRate || at > outageAt && at < outageAt+outageFor
	if lost {
		return
	}
	arrives := at + delay + min(p.random.ExpFloat64()*jitter, 0.1)
	if since := at - burstEvery*float64(int(at/burstEvery)); at > burstEvery && since < burstFor {
		arrives += burst
	}
	arrives = max(arrives, p.last)
	p.last = arrives
	p.waiting = append(p.waiting, delivery{arrives, do})
	if n := len(p.waiting); p.loses && n > 1 && p.random.Float64() < reorderRate {
		p.waiting[n-1].do, p.waiting[n-2].do = p.waiting[n-2].do, p.waiting[n-1].do
	}
}

// flow is a track: next sends its nth frame.
type flow struct {
	*route
	next func(n int)
	sent int
}

// first returns when the next delivery is due.
func (f *flow) first() float64 {
	for len(f.waiting) < 3 { // so that neighbours can change places
		f.next(f.sent)
		f.sent++
	}
	return f.waiting[0].at
}

// deliver brings what flows send for a length of time, each thing at its time by
// the server's clock.
func deliver(c clocks, length time.Duration, flows ...*flow) {
	began := time.Now()
	for {
		f := slices.MinFunc(flows, func(a, b *flow) int { return cmp.Compare(a.first(), b.first()) })
		at := f.first()
		if at >= length.Seconds() {
			return
		}
		time.Sleep(time.Until(began.Add(time.Duration(at / (1 + c.wall/1e6) * 1e9))))
		f.waiting[0].do()
		f.waiting = f.waiting[1:]
	}
}
