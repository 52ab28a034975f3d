package whep

import "time"

const (
	// burstBytes go out at once: most frames do.
	burstBytes = 48 << 10
	// stepBytes is what a wait is for.
	stepBytes  = 6 << 10
	minPace    = 200_000    // bits per second
	minCatchUp = 10_000_000 // of joining viewers and key frames
	catchUp    = 4          // times the stream's rate
)

// pacer spreads what is more than a frame or two.
type pacer struct {
	rate   int64 // bits per second
	tokens int64 // bytes that may go now; below 0 for the part of a packet that is too much
	last   time.Time
}

// set changes the rate.
func (p *pacer) set(rate int64, now time.Time) {
	p.refill(now)
	p.rate = max(rate, minPace)
}

func (p *pacer) refill(now time.Time) {
	if p.last.IsZero() {
		p.tokens = burstBytes
	} else if d := now.Sub(p.last); d > 0 {
		p.tokens = min(burstBytes, p.tokens+p.rate*int64(min(d, time.Second))/int64(8*time.Second))
	}
	p.last = now
}

// wait is 0 if something may be sent now.
func (p *pacer) wait(now time.Time) time.Duration {
	p.refill(now)
	if p.tokens > 0 {
		return 0
	}
	return time.Duration((stepBytes - p.tokens) * int64(8*time.Second) / max(p.rate, minPace))
}

// spend counts bytes that were sent.
func (p *pacer) spend(bytes int) { p.tokens -= int64(bytes) }
