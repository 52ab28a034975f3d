package gateway

import (
	"container/list"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Limits are how often one address (IPv4, or /64 of IPv6) may call. Zero values
// mean the defaults.
type Limits struct {
	APIPerSecond  float64 // all of /api/, default 100
	APIBurst      int     // default 500
	AuthPerMinute float64 // what /api/auth/ changes: passwords, links; default 20
	AuthBurst     int     // default 30
}

func (l Limits) withDefaults() Limits {
	if l.APIPerSecond == 0 {
		l.APIPerSecond = 100
	}
	if l.APIBurst == 0 {
		l.APIBurst = 500
	}
	if l.AuthPerMinute == 0 {
		l.AuthPerMinute = 20
	}
	if l.AuthBurst == 0 {
		l.AuthBurst = 30
	}
	return l
}

// maxAddresses bounds a limiter's memory, to about 2 MB. Beyond it the address
// that called longest ago is forgotten.
const maxAddresses = 10_000

// limiter is a token bucket for each address.
type limiter struct {
	rate  rate.Limit
	burst int

	mu     sync.Mutex
	byAddr map[netip.Prefix]*list.Element
	recent *list.List // of *bucket; the front called last
}

type bucket struct {
	addr   netip.Prefix
	tokens *rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{
		rate: rate.Limit(perSecond), burst: burst,
		byAddr: make(map[netip.Prefix]*list.Element), recent: list.New(),
	}
}

// take counts a call and says how long to wait when it is one too many.
func (l *limiter) take(addr netip.Prefix, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byAddr[addr]
	if e == nil {
		if l.recent.Len() >= maxAddresses {
			oldest := l.recent.Back()
			delete(l.byAddr, l.recent.Remove(oldest).(*bucket).addr)
		}
		e = l.recent.PushFront(&bucket{addr, rate.NewLimiter(l.rate, l.burst)})
		l.byAddr[addr] = e
	} else {
		l.recent.MoveToFront(e)
	}
	r := e.Value.(*bucket).tokens.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// addressOf is whom a limit counts: the peer. Of a peer on this machine, a
// reverse proxy, it is whom that one names last in X-Forwarded-For; anybody
// else could write anything there.
func addressOf(r *http.Request) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if addr.IsLoopback() {
		named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if client, err := netip.ParseAddr(strings.TrimSpace(named[len(named)-1])); err == nil {
			addr = client.Unmap().WithZone("")
		}
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// limit refuses a request of somebody who calls too often.
func (g *Gateway) limit(w http.ResponseWriter, r *http.Request) (ok bool) {
	addr, now := addressOf(r), time.Now()
	var limiters []*limiter
	if !addr.Addr().IsLoopback() {
		// Programs on this machine may call as often as they like.
		limiters = append(limiters, g.apiRate)
	}
	if strings.HasPrefix(r.URL.Path, "/api/auth/") && r.Method != http.MethodGet && r.Method != http.MethodHead {
		limiters = append(limiters, g.authRate)
	}
	for _, l := range limiters {
		if wait, ok := l.take(addr, now); !ok {
			seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
			w.Header().Set("Retry-After", seconds)
			Fail(w, r, errs.New(errs.TooMany, "too many requests from your address; try again in "+seconds+" s"))
			return false
		}
	}
	return true
}
