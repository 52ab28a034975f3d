package streamtest

import (
	"net"
	"sync/atomic"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// network is the publisher's: UDP sockets that can lose packets and go dead.
type network struct {
	*stdnet.Net
	gone      atomic.Bool
	dropEvery int64
	sent      atomic.Int64
}

func newNetwork(dropEvery int) (*network, error) {
	n, err := stdnet.NewNet()
	return &network{Net: n, dropEvery: int64(dropEvery)}, err
}

// ListenUDP opens a socket of this network.
func (n *network) ListenUDP(name string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(name, local)
	if err != nil {
		return nil, err
	}
	return &wire{UDPConn: conn, network: n}, nil
}

// wire is a socket.
type wire struct {
	transport.UDPConn
	network *network
}

// WriteTo sends a packet, if the network is there and does not lose it.
func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	n := w.network
	if n.gone.Load() || n.dropEvery > 0 && isMedia(b) && n.sent.Add(1)%n.dropEvery == 0 {
		return len(b), nil
	}
	return w.UDPConn.WriteTo(b, to)
}

// ReadFrom reads the next packet that the network brings.
func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := w.UDPConn.ReadFrom(b)
		if err != nil || !w.network.gone.Load() {
			return n, from, err
		}
	}
}

// isMedia tells SRTP from STUN and DTLS (RFC 7983).
func isMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }
