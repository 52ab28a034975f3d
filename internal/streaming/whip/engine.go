package whip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
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

// engine makes peer connections that share one UDP port.
type engine struct {
	udp     *ice.UDPMuxDefault
	tcp     ice.TCPMux
	setting webrtc.SettingEngine
}

func newEngine(n Network, log *slog.Logger) (*engine, error) {
	logs := pionLogs{log}
	conn, err := net.ListenPacket("udp", n.UDP)
	if err != nil {
		return nil, fmt.Errorf("WebRTC over UDP: %w", err)
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		// The kernel grants what its limits allow; less is no failure.
		_ = udp.SetReadBuffer(socketBuffer)
		_ = udp.SetWriteBuffer(socketBuffer)
	}
	e := &engine{udp: ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: logs.NewLogger("ice")})}
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
	if len(n.Hosts) > 0 {
		err := e.setting.SetICEAddressRewriteRules(
			// Loopback stays itself, for publishers on this machine.
			webrtc.ICEAddressRewriteRule{
				External: []string{"127.0.0.1"}, Local: "127.0.0.1",
				AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
			},
			webrtc.ICEAddressRewriteRule{
				External:        n.Hosts,
				AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
			})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("addresses to offer to WebRTC peers: %w", err), e.close())
		}
	}
	return e, nil
}

func (e *engine) close() error {
	err := e.udp.Close()
	if e.tcp != nil {
		err = errors.Join(err, e.tcp.Close())
	}
	return err
}

// address is where UDP media comes in.
func (e *engine) address() net.Addr { return e.udp.LocalAddr() }

// peer makes a peer connection with codecs and feedback of its own.
func (e *engine) peer() (*webrtc.PeerConnection, error) {
	media := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	if err := errors.Join(codecs(media), feedback(media, registry)); err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(e.setting))
	return api.NewPeerConnection(webrtc.Configuration{})
}

// codecs registers Opus, and H264 in all profiles that players decode.
func codecs(media *webrtc.MediaEngine) error {
	err := media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			SDPFmtpLine: "minptime=10;useinbandfec=1;stereo=1",
		},
		PayloadType: 127,
	}, webrtc.RTPCodecTypeAudio)
	// Constrained baseline, baseline, main and high (RFC 6184, 8.1).
	profiles := []string{"42e01f", "42c01f", "42001f", "4d001f", "4d401f", "64001f", "640c1f"}
	payload := webrtc.PayloadType(96)
	for _, mode := range []int{1, 0} {
		for _, profile := range profiles {
			line := fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", mode, profile)
			video := webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: line},
				PayloadType:        payload,
			}
			video.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}}
			rtx := webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", payload)},
				PayloadType:        payload + 1,
			}
			err = errors.Join(err, media.RegisterCodec(video, webrtc.RTPCodecTypeVideo), media.RegisterCodec(rtx, webrtc.RTPCodecTypeVideo))
			payload += 2
		}
	}
	return err
}

// feedback registers what we send back: NACK, PLI, TWCC and receiver reports.
// Header extensions that are not registered are not accepted, above all not
// urn:3gpp:video-orientation: a browser without it rotates the pixels itself.
func feedback(media *webrtc.MediaEngine, registry *interceptor.Registry) error {
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack"}, webrtc.RTPCodecTypeVideo)
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack", Parameter: "pli"}, webrtc.RTPCodecTypeVideo)
	nacks, err1 := nack.NewGeneratorInterceptor(nack.GeneratorInterval(20 * time.Millisecond))
	reports, err2 := report.NewReceiverInterceptor()
	feedback, err3 := twcc.NewSenderInterceptor()
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	var err error
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		media.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, kind)
		for _, uri := range []string{sdp.TransportCCURI, sdp.SDESMidURI} {
			err = errors.Join(err, media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind))
		}
	}
	registry.Add(nacks)
	registry.Add(reports)
	registry.Add(feedback)
	return err
}
