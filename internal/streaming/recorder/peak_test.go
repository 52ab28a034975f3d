package recorder

import "testing"

func TestPeak(t *testing.T) {
	segment := func(bytes, ms int64) Segment { return Segment{Size: bytes, Ticks: ms * 90} }
	for name, tt := range map[string]struct {
		segments []Segment
		want     int64 // bits per second
	}{
		"alike":                  {[]Segment{segment(250_000, 2000), segment(250_000, 2000)}, 1_000_000},
		"one above":              {[]Segment{segment(250_000, 2000), segment(500_000, 2000), segment(250_000, 2000)}, 2_000_000},
		"a last key frame alone": {[]Segment{segment(250_000, 2000), segment(20_000, 34)}, 270_000 * 8 * 1000 / 2034},
		"a short one of its own": {[]Segment{segment(20_000, 100)}, 1_600_000},
		"none":                   {nil, 0},
	} {
		if got := peak(tt.segments); got != tt.want {
			t.Errorf("%s: %d bit/s, want %d", name, got, tt.want)
		}
	}
}
