package quiet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a TCP connection.
func pair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	return accepted.(*net.TCPConn), dialed.(*net.TCPConn)
}

func TestReader(t *testing.T) {
	near, far := pair(t)
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		for rest := sent; len(rest) > 0; rest = rest[min(len(rest), 7777):] {
			_, _ = far.Write(rest[:min(len(rest), 7777)])
		}
		_ = far.CloseWrite()
	}()
	got, err := io.ReadAll(Reader(near))
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes and %v, want %d", len(got), err, len(sent))
	}
	if n, err := Reader(near).Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
}

func TestReaderErrors(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(near, far *net.TCPConn)
		is      func(error) bool
	}{
		"the deadline passes": {
			func(near, _ *net.TCPConn) { _ = near.SetReadDeadline(time.Now().Add(time.Millisecond)) },
			func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) },
		},
		"it is closed": {
			func(near, _ *net.TCPConn) { _ = near.Close() },
			func(err error) bool { return errors.Is(err, net.ErrClosed) },
		},
		"the other end is closed": {
			func(_, far *net.TCPConn) { _ = far.Close() },
			func(err error) bool { return errors.Is(err, io.EOF) },
		},
		"the other end resets it": {
			func(_, far *net.TCPConn) { _, _ = far.SetLinger(0), far.Close() },
			func(err error) bool { var e *os.SyscallError; return errors.As(err, &e) || errors.Is(err, io.EOF) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			done := make(chan error, 1)
			go func() {
				_, err := Reader(near).Read(make([]byte, 10))
				done <- err
			}()
			c.happens(near, far)
			if err := <-done; !c.is(err) {
				t.Error(err)
			}
		})
	}
}

// TLS has records to read by; such a connection is not to be bypassed.
func TestReaderOfOthers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Reader(a) != io.Reader(a) {
		t.Error("a connection that is not TCP is not read as it is")
	}
}

func listen(t testing.TB, network, address string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

// Both directions, with package net on the other side: addresses are what it
// says they are.
func TestPackets(t *testing.T) {
	for name, c := range map[string]struct{ network, here, there string }{
		"IPv4":                  {"udp", "127.0.0.1:0", "127.0.0.1:0"},
		"IPv6":                  {"udp", "[::1]:0", "[::1]:0"},
		"IPv4 at all addresses": {"udp", ":0", "127.0.0.1:0"},
		"IPv6 at all addresses": {"udp", ":0", "[::1]:0"},
		"IPv4 at all its own":   {"udp4", "0.0.0.0:0", "127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := listen(t, c.network, c.here), listen(t, "udp", c.there)
			p, err := NewPackets(here)
			if err != nil {
				t.Fatal(err)
			}
			peer := there.LocalAddr().(*net.UDPAddr).AddrPort()
			if err := p.Send([]byte("there"), nil, peer); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			n, from, err := there.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:n]) != "there" {
				t.Fatalf("%q, %v", b[:n], err)
			}
			if _, err := there.WriteToUDPAddrPort([]byte("and back"), from); err != nil {
				t.Fatal(err)
			}
			n, from, err = p.Receive(b)
			if err != nil || string(b[:n]) != "and back" {
				t.Fatalf("%q, %v", b[:n], err)
			}
			if netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != peer {
				t.Errorf("from %v, want %v", from, peer)
			}
			if err := p.Send([]byte("once more"), nil, from); err != nil {
				t.Fatal(err)
			}
			if n, _, err = there.ReadFromUDPAddrPort(b); err != nil || string(b[:n]) != "once more" {
				t.Fatalf("%q, %v", b[:n], err)
			}
		})
	}
}

func TestPacketsErrors(t *testing.T) {
	c := listen(t, "udp", "127.0.0.1:0")
	p, err := NewPackets(c)
	if err != nil {
		t.Fatal(err)
	}
	peer := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := p.Send(make([]byte, 70_000), nil, peer); err == nil {
		t.Error("a packet longer than UDP has was sent")
	}
	if err := p.Send([]byte("x"), nil, netip.AddrPort{}); err == nil {
		t.Error("a packet to nowhere was sent")
	}
	// Peers name the addresses that they want to be reached at.
	if err := p.Send([]byte("x"), nil, netip.MustParseAddrPort("[2001:db8::1]:9")); err == nil {
		t.Error("a packet to IPv6 was sent from a socket of IPv4")
	}
	if _, _, err := p.Receive(nil); err == nil {
		t.Error("received into nothing")
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, _, err := p.Receive(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	done := make(chan error, 1)
	go func() {
		_, _, err := p.Receive(make([]byte, 10))
		done <- err
	}()
	_ = c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("while it is closed: %v", err)
	}
	if err := p.Send([]byte("x"), nil, peer); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sending when it is closed: %v", err)
	}
}

// Many send at once, each its own packets.
func TestSendersDoNotMix(t *testing.T) {
	here, there := listen(t, "udp", "127.0.0.1:0"), listen(t, "udp", "127.0.0.1:0")
	p, err := NewPackets(here)
	if err != nil {
		t.Fatal(err)
	}
	const senders, each = 8, 50
	_ = there.SetReadBuffer(1 << 20)
	peer := there.LocalAddr().(*net.UDPAddr).AddrPort()
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				if err := p.Send(bytes.Repeat([]byte{byte(s)}, i+1), nil, peer); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	got := map[byte]int{}
	b := make([]byte, 1000)
	for range senders * each {
		_ = there.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := there.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got[b[0]] += n
		if !bytes.Equal(b[:n], bytes.Repeat(b[:1], n)) {
			t.Fatalf("a packet of several senders: %v", b[:n])
		}
	}
	for s := range senders {
		if want := each * (each + 1) / 2; got[byte(s)] != want {
			t.Errorf("sender %d: %d bytes, want %d", s, got[byte(s)], want)
		}
	}
}

// A packet there and back: with package net, and with this one.
func BenchmarkPackets(b *testing.B) {
	run := func(b *testing.B, receive func([]byte) (int, error), send func([]byte) error) {
		packet, buf := make([]byte, 1200), make([]byte, 1500)
		b.ReportAllocs()
		for b.Loop() {
			if err := send(packet); err != nil {
				b.Fatal(err)
			}
			if _, err := receive(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	c := listen(b, "udp", "127.0.0.1:0")
	to := c.LocalAddr().(*net.UDPAddr).AddrPort()
	b.Run("net", func(b *testing.B) {
		run(b, func(p []byte) (int, error) { n, _, err := c.ReadFromUDPAddrPort(p); return n, err },
			func(p []byte) error { _, err := c.WriteToUDPAddrPort(p, to); return err })
	})
	p, err := NewPackets(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("quiet", func(b *testing.B) {
		run(b, func(p2 []byte) (int, error) { n, _, err := p.Receive(p2); return n, err },
			func(p2 []byte) error { return p.Send(p2, nil, to) })
	})
}
