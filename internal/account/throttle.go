package account

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxThrottled bounds a throttle's memory, to about 2 MB.
const maxThrottled = 10_000

// throttle limits how often something may happen to one address, wherever the
// requests come from. (The gateway limits each network address.)
type throttle struct {
	every time.Duration
	burst int

	mu   sync.Mutex
	byID map[string]*rate.Limiter
}

func newThrottle(burst int, every time.Duration) *throttle {
	return &throttle{every: every, burst: burst, byID: make(map[string]*rate.Limiter)}
}

// wait returns how long until the next one is allowed; 0 means now.
func (t *throttle) wait(id string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byID[id]
	if l == nil {
		return 0
	}
	tokens := l.TokensAt(now)
	if tokens >= 1 {
		return 0
	}
	return time.Duration((1 - tokens) * float64(t.every))
}

// count notes that it happened once.
func (t *throttle) count(id string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byID[id]
	if l == nil {
		t.makeRoom(now)
		l = rate.NewLimiter(rate.Every(t.every), t.burst)
		t.byID[id] = l
	}
	l.AllowN(now, 1)
}

// makeRoom forgets those that have all their tokens again and, when that is not
// enough, others.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.byID) < maxThrottled {
		return
	}
	for id, l := range t.byID {
		if l.TokensAt(now) >= float64(t.burst) {
			delete(t.byID, id)
		}
	}
	for id := range t.byID {
		if len(t.byID) < maxThrottled*9/10 {
			return
		}
		delete(t.byID, id)
	}
}
