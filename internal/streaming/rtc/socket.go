package rtc

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/quiet"
)

const (
	// One send carries so much at most: the kernel takes at most 64 segments,
	// and a UDP datagram's length has 16 bits.
	maxBurstSegments = 64
	maxBurstBytes    = 64000
)

// socket is the one UDP socket. Packets of media that are sent in a burst to one
// peer are handed to the kernel together, where it can take them apart again
// (UDP generic segmentation offload, Linux): most of the cost of sending is the
// way through the kernel, not the bytes.
type socket struct {
	*net.UDPConn
	mu     sync.RWMutex
	bursts map[netip.AddrPort]*Burst
	// buffers are shared by all bursts: few are open at any time.
	buffers sync.Pool
	packets *quiet.Packets
	single  atomic.Bool // the kernel or the network card takes packets one by one only
}

func newSocket(c *net.UDPConn) (*socket, error) {
	packets, err := quiet.NewPackets(c)
	if err != nil {
		return nil, err
	}
	s := &socket{UDPConn: c, packets: packets, bursts: map[netip.AddrPort]*Burst{}}
	s.buffers.New = func() any { b := make([]byte, 0, maxBurstBytes); return &b }
	s.single.Store(!segmentation(c))
	return s, nil
}

// ReadFromAddrPort and WriteToAddrPort are what pion calls to read, from one
// goroutine, and to send without allocations.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return s.packets.Receive(b)
}

// WriteToAddrPort sends a packet, or adds it to the open burst of its peer.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if isMedia(b) && !s.single.Load() {
		s.mu.RLock()
		burst := s.bursts[canonical(to)]
		s.mu.RUnlock()
		if burst != nil && burst.take(b) {
			return len(b), nil
		}
	}
	return len(b), s.packets.Send(b, nil, to)
}

// canonical is one form for IPv4 addresses, mapped into IPv6 or not.
func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// isMedia tells SRTP and SRTCP from STUN and DTLS (RFC 7983, section 7).
func isMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }

// Burst collects the packets that are sent to one peer between Begin and End.
// A nil Burst does nothing: packets are then sent one by one.
type Burst struct {
	socket *socket
	to     netip.AddrPort

	mu       sync.Mutex
	open     bool
	buf      *[]byte // what is collected, from the pool while there is some
	size     int     // bytes of each packet but the last
	segments int
	full     bool // a shorter packet was the last
}

// Burst returns a burst to a peer's address; there is one for each. Close it
// when the peer is gone or has another address.
func (e *Engine) Burst(to netip.AddrPort) *Burst {
	to = canonical(to)
	b := &Burst{socket: e.socket, to: to}
	e.socket.mu.Lock()
	defer e.socket.mu.Unlock()
	e.socket.bursts[to] = b
	return b
}

// Begin makes packets wait for End, or until they fill a send.
func (b *Burst) Begin() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
}

// End sends what was collected.
func (b *Burst) End() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
	b.open = false
}

// Close sends what was collected, and no more.
func (b *Burst) Close() {
	if b == nil {
		return
	}
	b.End()
	b.socket.mu.Lock()
	defer b.socket.mu.Unlock()
	if b.socket.bursts[b.to] == b {
		delete(b.socket.bursts, b.to)
	}
}

// take adds a packet; false if the burst is not open.
func (b *Burst) take(p []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return false
	}
	if b.segments > 0 && (b.full || len(p) > b.size || b.segments == maxBurstSegments || len(*b.buf)+len(p) > maxBurstBytes) {
		b.flush()
	}
	if b.segments == 0 {
		b.size = len(p)
		b.buf = b.socket.buffers.Get().(*[]byte)
	}
	*b.buf = append(*b.buf, p...)
	b.segments++
	b.full = len(p) < b.size
	return true
}

// flush sends what was collected. A lost packet is what UDP is about: errors
// are noticed by the connection's own checks.
func (b *Burst) flush() {
	if b.segments == 0 {
		return
	}
	data := *b.buf
	if b.segments == 1 {
		_ = b.socket.packets.Send(data, nil, b.to)
	} else if err := b.socket.writeSegments(data, b.size, b.to); err != nil {
		if noSegmentation(err) {
			b.socket.single.Store(true)
		}
		for len(data) > 0 {
			n := min(b.size, len(data))
			_ = b.socket.packets.Send(data[:n], nil, b.to)
			data = data[n:]
		}
	}
	*b.buf = (*b.buf)[:0]
	b.socket.buffers.Put(b.buf)
	b.buf, b.segments, b.full = nil, 0, false
}
