package channel

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Reactions of one user.
const (
	reactionsPerSecond = 5
	reactionBurst      = 20
	maxThrottled       = 20_000 // users that are told apart; about 4 MB
)

// throttle limits each user apart.
type throttle struct {
	perSecond rate.Limit
	burst     int

	mu   sync.Mutex
	byID map[string]*rate.Limiter
}

func newThrottle(perSecond float64, burst int) *throttle {
	return &throttle{perSecond: rate.Limit(perSecond), burst: burst, byID: make(map[string]*rate.Limiter)}
}

// allow counts one and says whether it is within the limit.
func (t *throttle) allow(id string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byID[id]
	if l == nil {
		if len(t.byID) >= maxThrottled {
			clear(t.byID) // all begin anew: rare, and worth some seconds' burst
		}
		l = rate.NewLimiter(t.perSecond, t.burst)
		t.byID[id] = l
	}
	return l.AllowN(now, 1)
}
