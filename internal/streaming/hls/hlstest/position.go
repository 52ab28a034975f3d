package hlstest

import "fmt"

// place is where the end of a media playlist is: its last part, or its last
// segment with part -1.
type place struct {
	msn  uint64
	part int
}

func position(msn uint64, part int) place { return place{msn, part} }

func (p place) String() string { return fmt.Sprintf("%d.%d", p.msn, p.part) }

func (p place) before(o place) bool {
	return p.msn < o.msn || p.msn == o.msn && p.part < o.part
}

// last is the last part of the playlist as a report tells it (the draft,
// 4.4.5.4).
func (m *Media) last() place {
	n := len(m.Segments)
	if n == 0 {
		return place{m.NextMSN(), -1}
	}
	return place{m.NextMSN() - 1, len(m.Segments[n-1].Parts) - 1}
}
