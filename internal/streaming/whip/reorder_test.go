package whip

import (
	"testing"
	"time"
)

// numbers remembers in which order packets came out.
type numbers struct {
	out  []uint16
	lost int
}

func (n *numbers) packet(p packet)            { n.out = append(n.out, p.sequence) }
func (n *numbers) missing(k int, _ time.Time) { n.lost += k }

func TestReorder(t *testing.T) {
	type step struct {
		at       time.Duration
		sequence uint16
	}
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		steps []step
		until time.Duration // then nothing comes
		out   []uint16
		lost  int
	}{
		"in order":                 {[]step{{0, 65534}, {1, 65535}, {2, 0}, {3, 1}}, 0, []uint16{65534, 65535, 0, 1}, 0},
		"overtaken":                {[]step{{0, 1}, {1, 4}, {2, 3}, {3, 2}}, 0, []uint16{1, 2, 3, 4}, 0},
		"twice":                    {[]step{{0, 1}, {1, 2}, {2, 2}, {3, 4}, {4, 4}, {5, 3}, {6, 3}}, 0, []uint16{1, 2, 3, 4}, 0},
		"still waiting":            {[]step{{0, 1}, {ms, 3}}, 150 * ms, []uint16{1}, 0},
		"given up, nothing else":   {[]step{{0, 1}, {ms, 3}}, 151 * ms, []uint16{1, 3}, 1},
		"given up by a packet":     {[]step{{0, 1}, {ms, 3}, {152 * ms, 4}}, 0, []uint16{1, 3, 4}, 1},
		"two gaps wait together":   {[]step{{0, 1}, {ms, 3}, {2 * ms, 5}}, 152 * ms, []uint16{1, 3, 5}, 2},
		"the second gap is closed": {[]step{{0, 1}, {ms, 3}, {2 * ms, 5}, {3 * ms, 2}, {4 * ms, 4}}, 0, []uint16{1, 2, 3, 4, 5}, 0},
		"too late":                 {[]step{{0, 1}, {ms, 3}, {160 * ms, 4}, {161 * ms, 2}}, 0, []uint16{1, 3, 4}, 1},
		"the sender began anew":    {[]step{{0, 10}, {1, 11}, {2, 40_000}, {3, 40_001}}, 0, []uint16{10, 11, 40_000, 40_001}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := &numbers{}
			r := &reorder{to: n, wait: maxReorder}
			start := time.Unix(1_700_000_000, 0)
			for _, s := range tt.steps {
				r.push(packet{sequence: s.sequence, at: start.Add(s.at)})
			}
			r.expire(start.Add(tt.until))
			if len(n.out) != len(tt.out) || n.lost != tt.lost {
				t.Fatalf("%d, lost %d; want %d, lost %d", n.out, n.lost, tt.out, tt.lost)
			}
			for i := range n.out {
				if n.out[i] != tt.out[i] {
					t.Fatalf("%d, want %d", n.out, tt.out)
				}
			}
		})
	}
}
