package whep

import (
	"math/rand/v2"
	"testing"
	"time"
)

// pathModel is a network for the estimate: a bottleneck with a queue.
type pathModel struct {
	rate    int64 // bits per second
	queue   int64 // µs that it may hold
	free    int64 // when it is empty
	lose    float64
	e       *estimate
	random  *rand.Rand
	seq     uint16
	pending []arrivalModel
}

type arrivalModel struct {
	seq uint16
	at  int64
	ok  bool
}

// run sends at a rate for some time and reports every 100 ms; the viewer's clock
// is another one.
func (p *pathModel) run(from int64, d time.Duration, rate int64) int64 {
	const size = 1200
	gap := size * 8 * 1_000_000 / rate
	end := from + d.Microseconds()
	report := from + 100_000
	for now := from; now < end; now += gap {
		p.e.send(p.seq, size, now)
		p.free = max(p.free, now)
		a := arrivalModel{seq: p.seq, ok: p.free-now <= p.queue && p.random.Float64() >= p.lose}
		if a.ok {
			p.free += size * 8 * 1_000_000 / p.rate
			a.at = p.free + 20_000 + 5_000_000_000
		}
		p.pending = append(p.pending, a)
		p.seq++
		if now >= report {
			for _, a := range p.pending {
				p.e.packet(a.seq, a.ok, a.at, now+20_000)
			}
			p.pending = p.pending[:0]
			p.e.report(now + 20_000)
			report += 100_000
		}
	}
	return end
}

func TestEstimate(t *testing.T) {
	for name, tt := range map[string]struct {
		path      pathModel
		low, high int64
		congested bool
	}{
		"enough":         {pathModel{rate: 20_000_000, queue: 300_000}, 2_400_000, 4_000_000, false},
		"too little":     {pathModel{rate: 1_000_000, queue: 300_000}, 700_000, 1_100_000, true},
		"short queue":    {pathModel{rate: 1_500_000, queue: 50_000}, 900_000, 1_700_000, true},
		"loses a little": {pathModel{rate: 20_000_000, queue: 300_000, lose: 0.02}, 2_300_000, 4_000_000, false},
		"loses a lot":    {pathModel{rate: 20_000_000, queue: 300_000, lose: 0.25}, 1_000_000, 2_300_000, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := &estimate{}
			p := tt.path
			p.e, p.random = e, rand.New(rand.NewPCG(1, 2))
			p.run(0, 5*time.Second, 2_500_000)
			if e.bits < tt.low || e.bits > tt.high || e.congested != tt.congested {
				t.Errorf("%d bits per second, congested %v", e.bits, e.congested)
			}
		})
	}
}

// A path that gets better is noticed by trying more.
func TestEstimateProbe(t *testing.T) {
	e := &estimate{}
	p := pathModel{rate: 1_000_000, queue: 300_000, e: e, random: rand.New(rand.NewPCG(1, 2))}
	now := p.run(0, 5*time.Second, 2_500_000)
	p.rate = 10_000_000
	now = p.run(now, 5*time.Second, 500_000)
	if e.congested || e.bits > 1_100_000 {
		t.Fatalf("%d bits per second after the path got better, congested %v", e.bits, e.congested)
	}
	e.beginProbe()
	now = p.run(now, 250*time.Millisecond, 3_000_000)
	e.stopProbe()
	p.run(now, 500*time.Millisecond, 500_000)
	e.endProbe()
	if e.bits < 2_500_000 || e.bits > 3_300_000 {
		t.Errorf("%d bits per second after a try of 3,000,000", e.bits)
	}
}
