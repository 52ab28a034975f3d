package streaming

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"
)

func TestViewers(t *testing.T) {
	v := newViewers()
	now := time.Now()
	if n := v.count("s", now); n != 0 {
		t.Errorf("%d viewers of nothing", n)
	}
	// 20 pages behind one address count 20, though they fetch too.
	for i := range 20 {
		v.beacon("s", fmt.Sprint("viewer-", i), v.fingerprint("192.0.2.1", "browser"), now)
	}
	v.fetch("s", v.fingerprint("192.0.2.1", "browser"), now)
	if n := v.count("s", now); n != 20 {
		t.Errorf("%d viewers, not 20", n)
	}
	// Another program at that address, and one elsewhere, have no page.
	v.fetch("s", v.fingerprint("192.0.2.1", "player"), now)
	v.fetch("s", v.fingerprint("192.0.2.1", "player"), now)
	v.fetch("s", v.fingerprint("2001:db8::1", "player"), now.Add(20*time.Second))
	if n := v.count("s", now); n != 22 {
		t.Errorf("%d viewers, not 22", n)
	}
	v.beacon("s", "viewer-3", v.fingerprint("192.0.2.1", "browser"), now.Add(25*time.Second))
	if n := v.count("s", now.Add(40*time.Second)); n != 2 {
		t.Errorf("%d viewers are left, not 2", n)
	}
	v.forget("s")
	if n := v.count("s", now); n != 0 {
		t.Errorf("%d viewers after the end", n)
	}
}

func TestBeaconLimit(t *testing.T) {
	v := newViewers()
	refused := 0
	for range beaconBurst * 2 {
		if !v.allow("192.0.2.1") {
			refused++
		}
	}
	if refused < beaconBurst/2 {
		t.Errorf("only %d of %d were refused", refused, beaconBurst*2)
	}
	if !v.allow("192.0.2.2") {
		t.Error("another address is refused too")
	}
	for i := range beaconBurst * 2 {
		v.allow(fmt.Sprintf("2001:db8::%x", i+1))
	}
	if v.allow("2001:db8::ffff:1") || !v.allow("2001:db8:0:1::1") {
		t.Error("IPv6 is not limited by its networks")
	}
}

func TestSender(t *testing.T) {
	for _, tt := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.1", "192.0.2.1"}, // anybody could say so
		{"127.0.0.1:1", "", "127.0.0.1"},
		{"127.0.0.1:1", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"[::1]:1", "2001:db8::1", "2001:db8::1"},
		{"[::1]:1", "unknown", "::1"},
	} {
		if got := sender(tt.remote, tt.forwarded); got != tt.want {
			t.Errorf("%s for %q is %s, not %s", tt.remote, tt.forwarded, got, tt.want)
		}
	}
}

// TestCachesAreNoViewers: 20 players through a cache count 20, by their beacons.
func TestCachesAreNoViewers(t *testing.T) {
	s := &Service{viewers: newViewers()}
	fetch := func(remote string, headers ...string) {
		r := httptest.NewRequest("GET", "/live/c/st-1/source/media.m3u8", nil)
		r.RemoteAddr = remote
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		s.watches(r, "st-1")
	}
	for i := range 20 {
		s.viewers.beacon("st-1", fmt.Sprint("viewer-", i), s.viewers.fingerprint(fmt.Sprint("198.51.100.", i), "browser"), time.Now())
	}
	fetch("192.0.2.1:1", "Via", "1.1 varnish")
	fetch("192.0.2.2:1", "CDN-Loop", "cdn")
	fetch("127.0.0.1:1", "X-Forwarded-For", "192.0.2.3", "CDN-Loop", "cdn")
	if n := s.viewers.count("st-1", time.Now()); n != 20 {
		t.Errorf("%d viewers, not 20", n)
	}
	// A reverse proxy on this machine hides nobody.
	fetch("127.0.0.1:1", "X-Forwarded-For", "192.0.2.4", "Via", "1.1 proxy")
	fetch("127.0.0.1:1", "X-Forwarded-For", "192.0.2.5", "Via", "1.1 proxy")
	fetch("127.0.0.1:1")
	if n := s.viewers.count("st-1", time.Now()); n != 23 {
		t.Errorf("%d viewers, not 23", n)
	}
}
