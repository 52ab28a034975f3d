package live

import "time"

// When key frames are asked for.
const (
	// A first one early, so that the first segment ends within a second:
	// players cannot start on parts alone.
	keyAfterFirst = 500 * time.Millisecond
	keyEvery      = 2 * time.Second
	keyRetry      = 500 * time.Millisecond
)

// keyRequests decides when the publisher is asked for a key frame.
type keyRequests struct {
	first, last time.Time // key frames
	asked       time.Time
	broken      bool // frames are missing since the last one
	askedEarly  bool
}

func (k *keyRequests) arrived(now time.Time) {
	if k.first.IsZero() {
		k.first = now
	}
	k.last = now
	k.broken = false
}

// missing says whether no frame is decodable until a key frame comes.
func (k *keyRequests) missing() bool { return k.first.IsZero() || k.broken }

// lost notes that frames are missing and says whether to ask at once.
func (k *keyRequests) lost(now time.Time) bool {
	again := k.broken
	k.broken = true
	if again && now.Sub(k.asked) < keyRetry {
		return false
	}
	k.asked = now
	return true
}

// due says whether to ask now, and notes that it was done.
func (k *keyRequests) due(now time.Time) bool {
	early := !k.first.IsZero() && !k.askedEarly && now.Sub(k.first) >= keyAfterFirst
	late := k.missing() || now.Sub(k.last) >= keyEvery
	if !early && (!late || now.Sub(k.asked) < keyRetry) {
		return false
	}
	k.askedEarly = k.askedEarly || early
	k.asked = now
	return true
}
