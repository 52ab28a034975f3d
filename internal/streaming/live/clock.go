package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const (
	second = int64(time.Second)
	// A timestamp that is further than this from where its arrival puts it is
	// not late: its sender has set the clock anew.
	maxClockJump = 2 * second
	// For how long an arrival counts in the search for the fastest one.
	arrivalWindow = 2 * second
	// Reports that contradict the earlier ones by more begin the filter anew.
	maxReportJump = second / 10
)

// rtpClock follows one RTP clock: it unwraps its timestamps, learns when they
// arrive and what the sender's reports say of them. Times are in ns, arrivals
// since the stream's beginning.
type rtpClock struct {
	rate int64 // Hz

	running     bool
	raw         int64 // last timestamp, unwrapped
	shift       int64 // added to raw, so that a clock set anew goes on
	last        int64 // raw + shift, the latest seen
	lastArrival int64
	arrived     fastest // arrival minus timestamp

	reported bool
	sender   int64         // sender's wall clock minus timestamp, filtered
	early    *frame.Report // came before any timestamp
}

// see takes a timestamp that arrived and returns it in unwrapped ticks.
func (c *rtpClock) see(ts uint32, arrival int64) int64 {
	if !c.running {
		c.running = true
		c.raw = int64(ts)
		c.last, c.lastArrival = c.raw, arrival
		if c.early != nil {
			c.report(*c.early)
		}
	}
	raw := c.unwrap(ts)
	t := raw + c.shift
	expected := c.last + c.ticks(arrival-c.lastArrival)
	if jump := c.ns(t - expected); jump > maxClockJump || jump < -maxClockJump {
		c.shift += expected - t
		c.reported = false
		c.arrived = fastest{}
		t = expected
	}
	if t >= c.last {
		c.raw, c.last, c.lastArrival = raw, t, arrival
	}
	c.arrived.add(arrival-c.ns(t), arrival)
	return t
}

// unwrap returns the timestamp of 32 bits that is nearest to the last one.
func (c *rtpClock) unwrap(ts uint32) int64 { return c.raw + int64(int32(ts-uint32(c.raw))) }

// report takes a sender report of the track.
func (c *rtpClock) report(r frame.Report) {
	if !c.running {
		c.early = &r
		return
	}
	ntp := int64(r.NTP>>32)*second + int64((r.NTP&0xffffffff)*uint64(second)>>32)
	sender := ntp - c.ns(c.unwrap(r.Timestamp)+c.shift)
	diff := sender - c.sender
	if !c.reported || diff > maxReportJump || diff < -maxReportJump {
		c.reported, c.sender = true, sender
		return
	}
	c.sender += diff / 4
}

func (c *rtpClock) ns(ticks int64) int64 {
	return ticks/c.rate*second + ticks%c.rate*second/c.rate
}

func (c *rtpClock) ticks(ns int64) int64 {
	return ns/second*c.rate + ns%second*c.rate/second
}

// fastest keeps the least value of the last arrivalWindow to twice that: what
// comes earliest was delayed least.
type fastest struct {
	valid         bool
	current, last int64
	since         int64
}

func (f *fastest) add(value, now int64) {
	switch {
	case !f.valid:
		*f = fastest{valid: true, current: value, last: value, since: now}
	case now-f.since > arrivalWindow:
		f.last, f.current, f.since = f.current, value, now
	default:
		f.current = min(f.current, value)
	}
}

func (f *fastest) value() int64 { return min(f.current, f.last) }
