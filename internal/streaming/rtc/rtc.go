// Package rtc is the network that WHIP and WHEP share: one UDP port, and one
// TCP port if wanted, for the WebRTC connections of all publishers and viewers.
package rtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

const (
	socketBuffer   = 4 << 20 // bytes; a key frame of every publisher at once
	receiveMTU     = 1600
	tcpReadBuffer  = 64 // packets
	disconnectedIn = 5 * time.Second
	failedIn       = 5 * time.Second // after that
	keepalive      = 2 * time.Second
)

// Network says where WebRTC media comes in.
type Network struct {
	UDP   string   // address of the one UDP port, required
	TCP   string   // address for ICE over TCP, empty for none
	Hosts []string // IP addresses to offer instead of the machine's own
}

// Engine makes peer connections that share one UDP port. Make it with New.
type Engine struct {
	socket  *socket
	udp     *ice.UDPMuxDefault
	tcp     ice.TCPMux
	setting webrtc.SettingEngine
}

// New opens the ports. The caller closes the engine when all its peer
// connections are closed.
func New(n Network, log *slog.Logger) (*Engine, error) {
	logs := pionLogs{log}
	conn, err := net.ListenPacket("udp", n.UDP)
	if err != nil {
		return nil, fmt.Errorf("WebRTC over UDP: %w", err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("WebRTC over UDP: %s is no UDP address", n.UDP), conn.Close())
	}
	// The kernel grants what its limits allow; less is no failure.
	_ = udp.SetReadBuffer(socketBuffer)
	_ = udp.SetWriteBuffer(socketBuffer)
	shared, err := newSocket(udp)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("WebRTC over UDP: %w", err), conn.Close())
	}
	e := &Engine{socket: shared}
	e.udp = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: e.socket, Logger: logs.NewLogger("ice")})
	types := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if n.TCP != "" {
		l, err := net.Listen("tcp", n.TCP)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("WebRTC over TCP: %w", err), e.udp.Close())
		}
		e.tcp = webrtc.NewICETCPMux(logs.NewLogger("ice"), l, tcpReadBuffer)
		e.setting.SetICETCPMux(e.tcp)
		types = append(types, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	}
	e.setting.LoggerFactory = logs
	e.setting.SetICEUDPMux(e.udp)
	e.setting.SetNetworkTypes(types)
	e.setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.setting.SetIncludeLoopbackCandidate(true)
	e.setting.SetICETimeouts(disconnectedIn, failedIn, keepalive)
	e.setting.SetReceiveMTU(receiveMTU)
	// Else pion looks at the first packet of a track, and gives the track up for good,
	// without a word, when that is of no payload type it knows. On a busy machine it is
	// a retransmission, which Chromium sends to probe the network and pion gives the
	// type 0 as long as it has seen no other packet.
	e.setting.SetFireOnTrackBeforeFirstRTP(true)
	if err := e.offer(n.Hosts); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// offer makes those addresses the candidates, instead of the machine's own.
func (e *Engine) offer(hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	for _, host := range hosts {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("addresses to offer to WebRTC peers: %q is no IP address", host)
		}
	}
	err := e.setting.SetICEAddressRewriteRules(
		// Loopback stays itself, for peers on this machine.
		webrtc.ICEAddressRewriteRule{
			External: []string{"127.0.0.1"}, Local: "127.0.0.1",
			AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		},
		webrtc.ICEAddressRewriteRule{
			External:        hosts,
			AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		})
	if err != nil {
		return fmt.Errorf("addresses to offer to WebRTC peers: %w", err)
	}
	return nil
}

// Close closes the ports.
func (e *Engine) Close() error {
	err := e.udp.Close()
	if e.tcp != nil {
		err = errors.Join(err, e.tcp.Close())
	}
	return err
}

// Address is where UDP media comes in.
func (e *Engine) Address() net.Addr { return e.udp.LocalAddr() }

// Peer makes a peer connection with those codecs and interceptors. An adjust
// that is not nil changes settings for this connection alone.
func (e *Engine) Peer(media *webrtc.MediaEngine, registry *interceptor.Registry, c webrtc.Configuration, adjust func(*webrtc.SettingEngine)) (*webrtc.PeerConnection, error) {
	setting := e.setting
	if adjust != nil {
		adjust(&setting)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(setting))
	return api.NewPeerConnection(c)
}
