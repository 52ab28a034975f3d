package publisher

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// A page is one connection that listens.
type page struct {
	address netip.Prefix
	user    atomic.Pointer[string] // who is signed in, nil for nobody
	request *http.Request          // asks again who it is; nil when nobody was signed in
	cut     func()                 // ends the connection; may be called again
}

func (p *page) userID() string {
	if u := p.user.Load(); u != nil {
		return *u
	}
	return ""
}

func (p *page) signOut() { p.user.Store(nil) }

func (p *page) mayHear(topic string) error { return mayHear(topic, p.userID()) }

// pages are all connections, counted.
type pages struct {
	max, maxPerAddress int

	mu        sync.Mutex
	closed    bool
	open      map[*page]struct{}
	byAddress map[netip.Prefix]int
	served    sync.WaitGroup // one for each page
}

func newPages(limit, perAddress int) *pages {
	return &pages{max: limit, maxPerAddress: perAddress, open: map[*page]struct{}{}, byAddress: map[netip.Prefix]int{}}
}

// admit counts a page in, or says why not. Whoever was let in calls leave.
// Errors: errs.Unavailable, errs.TooMany.
func (ps *pages) admit(r *http.Request, cut func()) (*page, error) {
	p := &page{address: addressOf(r), cut: cut}
	if who, ok := identity.From(r.Context()); ok {
		p.user.Store(&who.ID)
		p.request = sessionOf(r)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case ps.closed:
		return nil, errs.New(errs.Unavailable, "the server is stopping")
	case len(ps.open) >= ps.max:
		return nil, errs.New(errs.Unavailable, "the server has as many open pages as it can serve")
	case ps.byAddress[p.address] >= ps.maxPerAddress:
		return nil, errs.New(errs.TooMany, "your address has as many open pages as one may have")
	}
	ps.open[p] = struct{}{}
	ps.byAddress[p.address]++
	ps.served.Add(1)
	return p, nil
}

func (ps *pages) leave(p *page) {
	ps.mu.Lock()
	delete(ps.open, p)
	if ps.byAddress[p.address]--; ps.byAddress[p.address] == 0 {
		delete(ps.byAddress, p.address)
	}
	ps.mu.Unlock()
	ps.served.Done()
}

// close ends all connections and waits for them; no new ones are let in.
func (ps *pages) close() {
	ps.mu.Lock()
	ps.closed = true
	open := ps.list(func(*page) bool { return true })
	ps.mu.Unlock()
	for _, p := range open {
		p.cut()
	}
	ps.served.Wait()
}

func (ps *pages) count() int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.open)
}

// signedIn returns the pages of users; of one user, if one is given.
func (ps *pages) signedIn(users ...string) []*page {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.list(func(p *page) bool {
		u := p.userID()
		return u != "" && (len(users) == 0 || slices.Contains(users, u))
	})
}

func (ps *pages) list(which func(*page) bool) []*page {
	var out []*page
	for p := range ps.open {
		if which(p) {
			out = append(out, p)
		}
	}
	return out
}

// sessionOf keeps of a request what says who makes it, and no more: there may
// be many, for hours.
func sessionOf(r *http.Request) *http.Request {
	header := http.Header{}
	for _, name := range []string{"Cookie", "Authorization", "Origin"} {
		if values := r.Header.Values(name); len(values) > 0 {
			header[name] = slices.Clone(values)
		}
	}
	return &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: r.URL.Path}, Header: header,
		Host: r.Host, RemoteAddr: r.RemoteAddr, TLS: r.TLS,
	}
}

// addressOf is whom the limits count: an IPv4 address, or a /64 of IPv6, which
// one subscriber has for himself.
func addressOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// checkOrigin refuses pages of other sites: a browser would send our user's
// cookie with theirs. What is no browser sends no Origin.
func (s *Service) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	host, err := hostOf(origin)
	if err != nil || (!strings.EqualFold(host, r.Host) && !slices.Contains(s.origins, host)) {
		return errs.New(errs.Forbidden, "pages of another site may not listen here")
	}
	return nil
}

func hostOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", errs.New(errs.Invalid, "not an origin")
	}
	return strings.ToLower(u.Host), nil
}
