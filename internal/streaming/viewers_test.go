package streaming

import (
	"fmt"
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
		v.beacon("s", fmt.Sprint("viewer-", i), v.fingerprint("192.0.2.1:1", "browser"), now)
	}
	v.fetch("s", v.fingerprint("192.0.2.1:7777", "browser"), now)
	if n := v.count("s", now); n != 20 {
		t.Errorf("%d viewers, not 20", n)
	}
	// Another program at that address, and one elsewhere, have no page.
	v.fetch("s", v.fingerprint("192.0.2.1:8", "player"), now)
	v.fetch("s", v.fingerprint("192.0.2.1:9", "player"), now)
	v.fetch("s", v.fingerprint("[2001:db8::1]:9", "player"), now.Add(20*time.Second))
	if n := v.count("s", now); n != 22 {
		t.Errorf("%d viewers, not 22", n)
	}
	v.beacon("s", "viewer-3", v.fingerprint("192.0.2.1:1", "browser"), now.Add(25*time.Second))
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
		if !v.allow("192.0.2.1:1") {
			refused++
		}
	}
	if refused < beaconBurst/2 {
		t.Errorf("only %d of %d were refused", refused, beaconBurst*2)
	}
	if !v.allow("192.0.2.2:1") {
		t.Error("another address is refused too")
	}
}
