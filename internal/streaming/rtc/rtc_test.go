package rtc

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *Engine {
	t.Helper()
	e, err := New(Network{UDP: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func media(n int, fill byte) []byte { return append([]byte{0x80}, bytes.Repeat([]byte{fill}, n-1)...) }

// Whatever is collected comes as the packets that were written, in their order.
func TestBurst(t *testing.T) {
	e := open(t)
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	to := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	burst := e.Burst(netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port()))
	for name, sizes := range map[string][]int{
		"one":              {700},
		"of one size":      {1200, 1200, 1200},
		"the last shorter": {1200, 1200, 300},
		"growing":          {100, 200, 300},
		"mixed":            {300, 1200, 1200, 40, 1200, 1200},
		"many":             slices.Repeat([]int{400}, 150),
	} {
		t.Run(name, func(t *testing.T) {
			for _, single := range []bool{false, true} {
				e.socket.single.Store(single)
				burst.Begin()
				for i, n := range sizes {
					if got, err := e.socket.WriteToAddrPort(media(n, byte(i)), to); got != n || err != nil {
						t.Fatal(got, err)
					}
				}
				burst.End()
				for i, n := range sizes {
					expect(t, peer, media(n, byte(i)))
				}
			}
		})
	}
}

func expect(t *testing.T, peer *net.UDPConn, want []byte) {
	t.Helper()
	if err := peer.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, err := peer.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf[:n], want) {
		t.Fatalf("a packet of %d bytes from %d, not %d from %d", n, buf[1], len(want), want[1])
	}
}

// Packets that are no media, and those outside of a burst, are not kept.
func TestBurstPasses(t *testing.T) {
	e := open(t)
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	to := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	write := func(b []byte) {
		t.Helper()
		if _, err := e.socket.WriteToAddrPort(b, to); err != nil {
			t.Fatal(err)
		}
	}
	burst := e.Burst(to)
	write(media(50, 1))
	expect(t, peer, media(50, 1))
	burst.Begin()
	write(media(60, 2))
	stun := []byte{0, 1, 0, 0}
	write(stun)
	expect(t, peer, stun)
	burst.Close()
	expect(t, peer, media(60, 2))
	write(media(70, 3))
	expect(t, peer, media(70, 3))
	var none *Burst
	none.Begin()
	none.End()
	none.Close()
}

func TestNewRefuses(t *testing.T) {
	e := open(t)
	for name, n := range map[string]Network{
		"a port in use":       {UDP: e.Address().String()},
		"no address":          {UDP: "nowhere"},
		"TCP that is none":    {UDP: "127.0.0.1:0", TCP: "nowhere"},
		"a host that is none": {UDP: "127.0.0.1:0", Hosts: []string{"no address"}},
	} {
		t.Run(name, func(t *testing.T) {
			other, err := New(n, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Error(errors.Join(errors.New("it was taken"), other.Close()))
			}
		})
	}
}

func TestLinks(t *testing.T) {
	got := Links([]webrtc.ICEServer{
		{URLs: []string{"stun:a.example", "stun:b.example"}},
		{URLs: []string{"turn:c.example?transport=udp"}, Username: "u", Credential: `p"w`},
	})
	want := []string{
		`<stun:a.example>; rel="ice-server"`,
		`<stun:b.example>; rel="ice-server"`,
		`<turn:c.example?transport=udp>; rel="ice-server"; username="u"; credential="p\"w"; credential-type="password"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestParseFragment(t *testing.T) {
	text := "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
		"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\n" +
		"a=candidate:2 1 udp 1 192.0.2.2 1 typ host\na=end-of-candidates\r\n"
	f, err := ParseFragment(text)
	if err != nil {
		t.Fatal(err)
	}
	if f.Ufrag != "EsAw" || f.Pwd != "P2uYro0UCOQ4zxjKXaWCBui1" || !f.End || len(f.Candidates) != 2 ||
		*f.Candidates[0].SDPMid != "0" || *f.Candidates[1].SDPMid != "1" || *f.Candidates[1].SDPMLineIndex != 1 {
		t.Errorf("%+v", f)
	}
	for _, bad := range []string{"x", "a", "hello world", strings.Repeat("a=x\r\n", 300), strings.Repeat("a=candidate:1\r\n", 70)} {
		if _, err := ParseFragment(bad); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add("a=ice-ufrag:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 1.2.3.4 1 typ host\r\na=end-of-candidates\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		frag, err := ParseFragment(text)
		if err != nil && errs.CodeOf(err) != errs.Invalid {
			t.Error(err)
		}
		if len(frag.Candidates) > maxFragmentCandidates {
			t.Errorf("%d candidates", len(frag.Candidates))
		}
	})
}
