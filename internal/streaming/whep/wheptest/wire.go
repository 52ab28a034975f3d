package wheptest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// slowQueue is the kernel's room for packets on a slow way: with a bandwidth, it
// is the queue before the bottleneck.
const slowQueue = 48 << 10

// wire is the viewer's network.
type wire struct {
	*net.UDPConn
	gone      atomic.Bool
	closed    chan struct{}
	closing   sync.Once
	dropEvery int64
	came      int64
	bandwidth atomic.Int64
	free      time.Time // when the bottleneck has sent all before
}

func newWire(c *net.UDPConn, o Options) *wire {
	size := 4 << 20
	if o.Bandwidth > 0 {
		size = slowQueue
	}
	_ = c.SetReadBuffer(size) // the kernel grants what its limits allow
	w := &wire{UDPConn: c, closed: make(chan struct{}), dropEvery: int64(o.DropEvery)}
	w.bandwidth.Store(o.Bandwidth)
	return w
}

// ReadFrom reads the next packet that the network does not lose.
func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := w.UDPConn.ReadFrom(b)
		if err != nil || !w.loses(b[:n]) {
			w.carry(n)
			return n, from, err
		}
	}
}

func (w *wire) loses(b []byte) bool {
	if w.gone.Load() {
		return true
	}
	if w.dropEvery == 0 || !isMedia(b) {
		return false
	}
	w.came++
	return w.came%w.dropEvery == 0
}

// carry takes the time that the bottleneck needs for so many bytes.
func (w *wire) carry(n int) {
	bandwidth := w.bandwidth.Load()
	if bandwidth == 0 {
		return
	}
	now := time.Now()
	if w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(int64(n) * 8 * int64(time.Second) / bandwidth))
	t := time.NewTimer(w.free.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.closed:
	}
}

// Close closes the socket, and ends waiting.
func (w *wire) Close() error {
	w.closing.Do(func() { close(w.closed) })
	return w.UDPConn.Close()
}

// WriteTo sends a packet, if the network is there.
func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	if w.gone.Load() {
		return len(b), nil
	}
	return w.UDPConn.WriteTo(b, to)
}

// isMedia tells SRTP and SRTCP from STUN and DTLS (RFC 7983).
func isMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }
