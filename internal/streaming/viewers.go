package streaming

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

const (
	seenFor       = 30 * time.Second // a viewer counts this long after it was seen
	maxViewers    = 200_000          // of one stream that are told apart
	maxAddresses  = 50_000           // whose beacons are limited one by one
	beaconsPerSec = 5                // of one address, in the long run
	beaconBurst   = 100              // a household, an office
	sayTimeout    = 10 * time.Second
)

// fingerprint is a salted hash of an address and a user agent. The salt is this
// process's own, so that it tells nobody who watched.
type fingerprint [16]byte

// viewers counts who watches: our pages send beacons; other players are known
// by their playlist requests.
type viewers struct {
	salt [32]byte

	mu      sync.Mutex
	streams map[string]*audience
	limits  map[string]*rate.Limiter
}

// audience is the viewers of one stream, with when they were seen.
type audience struct {
	sessions map[string]beacon
	fetchers map[fingerprint]time.Time
}

type beacon struct {
	at   time.Time
	from fingerprint
}

func newViewers() *viewers {
	v := &viewers{streams: map[string]*audience{}, limits: map[string]*rate.Limiter{}}
	_, _ = rand.Read(v.salt[:]) // it never fails
	return v
}

// fingerprint hashes who sends a request.
func (v *viewers) fingerprint(from, agent string) fingerprint {
	h := sha256.New()
	h.Write(v.salt[:])
	h.Write([]byte(from))
	h.Write([]byte{0})
	h.Write([]byte(agent))
	return fingerprint(h.Sum(nil)[:16])
}

// sender is who sent a request: the peer. Of a peer on this machine, a reverse
// proxy, it is whom that one names last in X-Forwarded-For; anybody else could
// write anything there.
func sender(remote, forwarded string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if peer, err := netip.ParseAddr(host); err != nil || !peer.IsLoopback() {
		return host
	}
	last := strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:])
	if client, err := netip.ParseAddr(last); err == nil {
		return client.Unmap().String()
	}
	return host
}

// allow limits the beacons of a sender; of IPv6, those of its network, in which
// anybody has more addresses than could be kept apart.
func (v *viewers) allow(address string) bool {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		address = netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.limits[address]
	if l == nil {
		if len(v.limits) >= maxAddresses {
			clear(v.limits) // all begin anew: rare, and it costs nothing
		}
		l = rate.NewLimiter(beaconsPerSec, beaconBurst)
		v.limits[address] = l
	}
	return l.Allow()
}

func (v *viewers) audience(stream string) *audience {
	a := v.streams[stream]
	if a == nil {
		a = &audience{sessions: map[string]beacon{}, fetchers: map[fingerprint]time.Time{}}
		v.streams[stream] = a
	}
	return a
}

// beacon notes a viewer of one of our pages.
func (v *viewers) beacon(stream, viewer string, from fingerprint, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.audience(stream)
	if _, known := a.sessions[viewer]; known || len(a.sessions) < maxViewers {
		a.sessions[viewer] = beacon{at: now, from: from}
	}
}

// fetch notes a player by its request for a playlist.
func (v *viewers) fetch(stream string, from fingerprint, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.audience(stream)
	if _, known := a.fetchers[from]; known || len(a.fetchers) < maxViewers {
		a.fetchers[from] = now
	}
}

// count returns how many watch a stream: sessions with beacons, and players
// that are not seen to belong to one.
func (v *viewers) count(stream string, now time.Time) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.streams[stream]
	if a == nil {
		return 0
	}
	pages := map[fingerprint]bool{}
	for id, b := range a.sessions {
		if now.Sub(b.at) > seenFor {
			delete(a.sessions, id)
			continue
		}
		pages[b.from] = true
	}
	n := len(a.sessions)
	for from, at := range a.fetchers {
		if now.Sub(at) > seenFor {
			delete(a.fetchers, from)
		} else if !pages[from] {
			n++
		}
	}
	return n
}

func (v *viewers) forget(stream string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.streams, stream)
}

// sayViewCounts says every live stream's viewers from time to time.
func (s *Service) sayViewCounts() {
	t := time.NewTicker(s.cfg.CountEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.running.Done():
			return
		}
		for _, l := range s.Live() {
			ctx, cancel := context.WithTimeout(context.Background(), sayTimeout)
			err := s.needs.Bus.Publish(ctx, event.New(event.ViewCountUpdated{
				StreamID: l.StreamID, ChannelName: l.Channel, ViewCount: int64(l.Viewers),
			}))
			cancel()
			if err != nil {
				s.log.Warn("saying a view count", "stream", l.StreamID, "error", err)
			}
		}
	}
}

// watches notes that a request for a playlist comes from a viewer. A cache that
// asks for many is none: behind it, beacons alone count.
func (s *Service) watches(r *http.Request, stream string) {
	from := sender(r.RemoteAddr, strings.Join(r.Header.Values("X-Forwarded-For"), ","))
	if !isCache(r, from) {
		s.viewers.fetch(stream, s.viewers.fingerprint(from, r.UserAgent()), time.Now())
	}
}

// isCache says whether a request came by way of a proxy that is not this node's
// own: it says so itself (RFC 9110, 7.6.3; RFC 8586), or for whom it asks.
func isCache(r *http.Request, from string) bool {
	h := r.Header
	if peer, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && peer != from {
		return h.Get("CDN-Loop") != "" // by the reverse proxy before us
	}
	return h.Get("Via") != "" || h.Get("CDN-Loop") != "" || h.Get("X-Forwarded-For") != ""
}
