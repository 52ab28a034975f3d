//go:build !linux || 386 || s390x

package quiet

import (
	"io"
	"net"
	"net/netip"
)

// Reader returns what reads from conn.
func Reader(conn net.Conn) io.Reader { return conn }

// Packets receives from a UDP socket and sends through it.
type Packets struct{ conn *net.UDPConn }

// NewPackets returns what receives from c.
func NewPackets(c *net.UDPConn) (*Packets, error) { return &Packets{c}, nil }

// Receive waits for a packet; what does not fit into b is lost.
func (p *Packets) Receive(b []byte) (int, netip.AddrPort, error) {
	return p.conn.ReadFromUDPAddrPort(b)
}

// Send sends data, with control for the kernel where it is not empty.
func (p *Packets) Send(data, control []byte, to netip.AddrPort) error {
	_, _, err := p.conn.WriteMsgUDPAddrPort(data, control, to)
	return err
}
