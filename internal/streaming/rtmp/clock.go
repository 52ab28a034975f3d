package rtmp

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const (
	reportEvery = 5 * time.Second
	reportJump  = time.Second
	// Reports count from here, so that no clock that is set back gets below 0.
	reportBase = 1 << 31 // seconds
)

// mediaTime is a timestamp of the publisher's, unwrapped, in ns.
type mediaTime time.Duration

// ticks returns the time in units of a rate in Hz, rounded.
func (t mediaTime) ticks(rate int64) int64 {
	const second = int64(time.Second)
	return floorDiv(int64(t), second)*rate + (floorMod(int64(t), second)*rate+second/2)/second
}

// clock unwraps the timestamps of both tracks, which count on one clock. One
// that goes back or jumps is followed: the live timeline knows what to do.
type clock struct {
	begun bool
	ms    int64
	last  mediaTime
}

// see returns the time of a message's timestamp, in ms modulo 2^32, and the ns
// to be added to it.
func (c *clock) see(timestamp, nano uint32) mediaTime {
	if !c.begun {
		c.begun, c.ms = true, int64(timestamp)
	}
	c.ms += int64(int32(timestamp - uint32(c.ms)))
	c.last = mediaTime(c.ms*int64(time.Millisecond) + int64(nano))
	return c.last
}

// reports says when a track's next report is due: with the first frame, every 5
// seconds, and after a jump.
type reports struct {
	begun      bool
	sent, last mediaTime
}

func (r *reports) due(at mediaTime) bool {
	since, step := time.Duration(at-r.sent).Abs(), time.Duration(at-r.last).Abs()
	r.last = at
	if r.begun && since < reportEvery && step < reportJump {
		return false
	}
	r.begun, r.sent = true, at
	return true
}

// reportOf ties a frame's timestamp to the clock that both tracks share: the
// publisher's own. ticks is the timestamp unwrapped.
func reportOf(timestamp uint32, ticks, rate int64) frame.Report {
	seconds := uint64(floorDiv(ticks, rate)+reportBase) & 0xffffffff
	return frame.Report{NTP: seconds<<32 | uint64(floorMod(ticks, rate)<<32/rate), Timestamp: timestamp}
}

func floorMod(a, b int64) int64 { return ((a % b) + b) % b }
func floorDiv(a, b int64) int64 { return (a - floorMod(a, b)) / b }
