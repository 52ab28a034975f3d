package whep

import "time"

// unit is one access unit or audio packet, made into RTP payloads. Nobody
// changes it.
type unit struct {
	at       int64 // on the stream's timeline, in the track's clock
	arrived  time.Time
	key      bool
	payloads [][]byte
	size     int // bytes of all payloads
}

// track is the latest units of a track, shared by all its viewers: what joining
// viewers begin with, and what is sent again when it was lost. Units are
// numbered from 0 on.
type track struct {
	units    []*unit
	first    uint64 // number of units[0]
	bytes    int
	keep     time.Duration // so much is kept at least
	maxBytes int           // but never more than that
	key      uint64        // number of the last key frame, if hasKey
	hasKey   bool
}

// end is the number that the next unit gets.
func (t *track) end() uint64 { return t.first + uint64(len(t.units)) }

// get returns a unit, nil if it is not kept any more or not there yet.
func (t *track) get(n uint64) *unit {
	if n < t.first || n >= t.end() {
		return nil
	}
	return t.units[n-t.first]
}

// last returns the newest unit, nil if there is none.
func (t *track) last() *unit {
	if len(t.units) == 0 {
		return nil
	}
	return t.units[len(t.units)-1]
}

// push adds a unit and forgets what is too old: what is before the last key
// frame and older than keep, and anything above maxBytes.
func (t *track) push(u *unit) {
	if u.key {
		t.key, t.hasKey = t.end(), true
	}
	t.units = append(t.units, u)
	t.bytes += u.size
	for len(t.units) > 1 {
		old := t.units[0]
		needed := t.hasKey && t.first >= t.key || u.arrived.Sub(old.arrived) < t.keep
		if needed && t.bytes <= t.maxBytes {
			break
		}
		t.bytes -= old.size
		t.units[0] = nil
		t.units = t.units[1:]
		t.first++
	}
	if t.key < t.first {
		t.hasKey = false
	}
}
