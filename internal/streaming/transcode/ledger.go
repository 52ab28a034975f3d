package transcode

import (
	"sort"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// ledger is the account of the frames that went in, each of which must come out
// or be reported as lost, in order.
//
// With B-frames they go in in decoding order and come out in that of
// presentation. Out comes no reordering any more, so the first picture presented
// gets the first decoding time that there was, the second one the second: all
// the times of the source, and only these, are those of the rung too.
type ledger struct {
	out func(f frame.Video, at int64)
	gap func(from, to int64)

	mu     sync.Mutex
	slots  []slot     // in decoding order
	expect []expected // in order of presentation; as many as slots
	open   bool       // a gap has begun and its end is not known
	from   int64      // where
	last   int64      // the newest slot
	step   int64      // its distance to the one before
	gave   int64
	lost   int64
	muted  bool
}

// slot is the place of a frame on the timeline.
type slot struct {
	at        int64
	timestamp uint32
	arrival   time.Time
}

// expected is a picture that is to come out.
type expected struct {
	pts  int64
	lost bool // it will not
}

// add enters a frame that goes into ffmpeg or, lost, does not.
func (l *ledger) add(in input, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open && len(l.slots) == 0 {
		l.closeGap(in.at)
	}
	l.step, l.last = in.at-l.last, in.at
	l.slots = append(l.slots, slot{at: in.at, timestamp: in.timestamp, arrival: in.arrival})
	e := expected{pts: in.at + int64(in.offset), lost: lost}
	i := sort.Search(len(l.expect), func(i int) bool { return l.expect[i].pts > e.pts })
	l.expect = append(l.expect, expected{})
	copy(l.expect[i+1:], l.expect[i:])
	l.expect[i] = e
	l.settle()
}

// put takes a picture from ffmpeg. Those that should have come before it are
// lost. One that nobody waits for is ignored.
func (l *ledger) put(pts int64, f frame.Video) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.expect) > 0 && l.expect[0].pts < pts {
		l.lose()
	}
	if len(l.expect) == 0 || l.expect[0].pts != pts {
		l.settle()
		return
	}
	s := l.take()
	if l.open {
		l.closeGap(s.at)
	}
	f.Timestamp, f.Arrival, f.Offset = s.timestamp, s.arrival, int32(pts-s.at)
	l.gave++
	if !l.muted {
		l.out(f, s.at)
	}
	l.settle()
}

// fail gives up what has not come out.
func (l *ledger) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.expect) > 0 {
		l.lose()
	}
}

// end closes the last gap, as long as the frame before it.
func (l *ledger) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		l.closeGap(l.last + max(l.step, 1))
	}
}

// mute ends all calls.
func (l *ledger) mute() {
	l.mu.Lock()
	l.muted = true
	l.mu.Unlock()
}

// settle reports what is known to be lost and is next in order.
func (l *ledger) settle() {
	for len(l.expect) > 0 && l.expect[0].lost {
		l.lose()
	}
	if l.open && len(l.slots) > 0 {
		l.closeGap(l.slots[0].at)
	}
}

// lose makes the next place on the timeline a gap.
func (l *ledger) lose() {
	s := l.take()
	l.lost++
	if !l.open {
		l.open, l.from = true, s.at
	}
}

func (l *ledger) take() slot {
	s := l.slots[0]
	l.slots, l.expect = l.slots[1:], l.expect[1:]
	return s
}

func (l *ledger) closeGap(to int64) {
	l.open = false
	if l.gap != nil && to > l.from && !l.muted {
		l.gap(l.from, to)
	}
}

func (l *ledger) counts() (gave, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gave, l.lost
}
