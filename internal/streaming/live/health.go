package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// rateWindow is the least time that a frame rate is measured over.
const rateWindow = 2 * time.Second

// health follows how a publisher sends.
type health struct {
	config      *cmaf.VideoConfig
	lastKey     time.Time
	keyInterval time.Duration // between the last two key frames
	reordered   bool          // B-frames

	since  time.Time // of the counts
	frames int
	rate   float64 // frames per second of the last whole second or more
}

func (h *health) key(now time.Time) {
	if !h.lastKey.IsZero() {
		h.keyInterval = now.Sub(h.lastKey)
	}
	h.lastKey = now
}

func (h *health) frame(f frame.Video) {
	if f.Config != nil {
		h.config = f.Config
	}
	h.reordered = h.reordered || f.Offset != 0
	if h.since.IsZero() {
		h.since = f.Arrival
	}
	h.frames++
	if d := f.Arrival.Sub(h.since); d >= rateWindow {
		h.rate = float64(h.frames) / d.Seconds()
		h.since, h.frames = f.Arrival, 0
	}
}

// Health is how the publisher sends now.
type Health struct {
	Video       *cmaf.VideoConfig // what is published; nil before the first key frame
	Reordered   bool              // it has B-frames
	FrameRate   float64           // frames per second; 0 in the first seconds
	KeyInterval time.Duration     // between the last two key frames, or since the last one if that is longer
	LongGOP     bool              // the segment that is being made begins without a key frame: players start late
}

// Health tells how the session sends.
func (x *Session) Health(now time.Time) Health {
	x.stream.mu.Lock()
	defer x.stream.mu.Unlock()
	h := x.health
	out := Health{
		Video: h.config, Reordered: h.reordered, FrameRate: h.rate, KeyInterval: h.keyInterval,
		LongGOP: x.stream.session == x && x.stream.packager.cutWithoutKey(),
	}
	if d := now.Sub(h.since); d > 2*rateWindow && h.rate > 0 { // hardly any frame comes
		out.FrameRate = float64(h.frames) / d.Seconds()
	}
	if !h.lastKey.IsZero() {
		out.KeyInterval = max(out.KeyInterval, now.Sub(h.lastKey))
	}
	return out
}
