package streaming

import (
	"math"
	"testing"
)

const (
	sceneEvery = 4.0 // seconds from flash to flash
	// What comes within this of where it is expected is taken for it. Outages are
	// shorter, and half the distance of flashes is more.
	sceneSlack = 1.9
	// maxApart is the bar, in seconds.
	maxApart = 0.045
)

// scene is what happens before the cameras and microphones of a broadcast.
type scene struct{ takes []take }

// take is what one publisher filmed, in seconds of its wall clock.
type take struct {
	origin         float64 // of the stream, when it began
	flashes, beeps []float64
}

func (s *scene) flash(at float64) {
	x := &s.takes[len(s.takes)-1]
	x.flashes = append(x.flashes, at)
}

func (s *scene) beep(at float64) {
	x := &s.takes[len(s.takes)-1]
	x.beeps = append(x.beeps, at)
}

// occasion is a flash with its tone, by take and number.
type occasion struct{ take, number int }

// match says of which occasion each of the moments in a stream is. It follows how
// the publisher's time goes on in the stream.
func (s *scene) match(found []float64, filmed func(take) []float64) map[occasion]float64 {
	out := map[occasion]float64{}
	at := -1
	var shift float64
	for _, t := range found {
		for at+1 < len(s.takes) && t >= s.takes[at+1].origin-sceneSlack/2 {
			at++
			shift = s.takes[at].origin
		}
		for i, when := range filmed(s.takes[at]) {
			if math.Abs(t-when-shift) < sceneSlack {
				out[occasion{at, i}] = t
				shift = t - when
				break
			}
		}
	}
	return out
}

// pair is a flash with its tone in a stream.
type pair struct {
	at       float64 // seconds of the stream
	apart    float64 // flash after tone, of what it was before the camera
	occasion occasion
}

// pairs finds the flashes whose tones came out too. Tones begin onset after the
// moments that were found.
func (s *scene) pairs(f findings, onset float64) []pair {
	flashes := s.match(f.flashes, func(t take) []float64 { return t.flashes })
	beeps := s.match(f.beeps, func(t take) []float64 { return t.beeps })
	var out []pair
	for k, take := range s.takes {
		for i := range take.flashes {
			e := occasion{k, i}
			flash, ok1 := flashes[e]
			beep, ok2 := beeps[e]
			if ok1 && ok2 {
				out = append(out, pair{flash, (flash - beep - onset) - (take.flashes[i] - take.beeps[i]), e})
			}
		}
	}
	return out
}

// check holds the pairs against the bar and says what they came to around some
// moments, in seconds.
func check(t *testing.T, where string, pairs []pair, least int, moments ...float64) {
	t.Helper()
	if len(pairs) < least {
		t.Errorf("%s: only %d flashes have their tones, not %d", where, len(pairs), least)
	}
	for _, m := range moments {
		worst, n := 0.0, 0
		for _, p := range pairs {
			if math.Abs(p.at-m) < 30 {
				n++
				if math.Abs(p.apart) > math.Abs(worst) {
					worst = p.apart
				}
			}
		}
		t.Logf("%s, around %4.0f s: %d flashes, at most %+.1f ms from their tones", where, m, n, worst*1000)
		if n == 0 {
			t.Errorf("%s: no flash around %.0f s", where, m)
		}
	}
	worst, late := pair{}, 0
	for _, p := range pairs {
		if math.Abs(p.apart) > math.Abs(worst.apart) {
			worst = p
		}
		if math.Abs(p.apart) > maxApart {
			late++
		}
	}
	t.Logf("%s, %d flashes: at most %+.1f ms, at %.0f s", where, len(pairs), worst.apart*1000, worst.at)
	if late > 0 {
		t.Errorf("%s: %d of %d flashes are further from their tones than %.0f ms, the worst %+.1f ms at %.0f s",
			where, late, len(pairs), maxApart*1000, worst.apart*1000, worst.at)
	}
}
