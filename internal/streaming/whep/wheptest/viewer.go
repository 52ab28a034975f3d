// Package wheptest is a WHEP viewer for tests: a real WebRTC client that puts
// access units together, counts, loses packets and is slow when told so.
package wheptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	httpTimeout  = 15 * time.Second
	nackInterval = 20 * time.Millisecond
)

// Options says how the viewer is.
type Options struct {
	// Codecs of video that it takes, by MIME type; H264 if there are none.
	Codecs  []string
	NoAudio bool
	// NoFeedback is a viewer without transport-wide feedback and retransmissions
	// in a stream of their own.
	NoFeedback bool
	// DropEvery loses every so-many-th packet of media that comes, none if 0.
	DropEvery int
	// Bandwidth of the way to the viewer in bits per second, endless if 0.
	Bandwidth int64
	// TCP is a viewer behind a firewall that lets only TCP through.
	TCP bool
	// Unit is called with every access unit and audio packet, one at a time for
	// each kind; nil: none is kept.
	Unit func(Unit)
	// Client sends the requests, one with a timeout if nil.
	Client *http.Client
}

// Unit is an access unit, or a packet of audio.
type Unit struct {
	Video     bool
	Key       bool
	Data      []byte // H264 and H265 as annex B, AV1 as OBUs with sizes
	Timestamp uint32
	Complete  time.Time // when its last packet was there
}

// StatusError is an answer of the server that is not the wanted one.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.Body)
}

// Viewer is a viewer that is connecting or connected.
type Viewer struct {
	options  Options
	peer     *webrtc.PeerConnection
	wire     *wire
	client   *http.Client
	location string
	header   http.Header
	answer   string
	answered time.Time
	readers  sync.WaitGroup
	closing  sync.Once

	mu      sync.Mutex
	stats   Stats
	changed chan struct{} // closed by the next change, nil while nobody waits
	ssrc    uint32
}

// Watch asks for a channel and returns with the server's answer; Wait waits for
// media. The caller ends it with Leave or Close.
func Watch(ctx context.Context, endpoint string, o Options) (*Viewer, error) {
	v := &Viewer{options: o, client: o.Client}
	if v.client == nil {
		v.client = &http.Client{Timeout: httpTimeout}
	}
	if len(o.Codecs) == 0 {
		v.options.Codecs = []string{webrtc.MimeTypeH264}
	}
	err := v.connect()
	if err == nil {
		err = v.negotiate(ctx, endpoint)
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// connect makes the peer connection.
func (v *Viewer) connect() error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	v.wire = newWire(conn, v.options)
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	var setting webrtc.SettingEngine
	setting.LoggerFactory = logs
	if v.options.TCP {
		setting.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	} else {
		setting.SetICEUDPMux(ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: v.wire, Logger: logs.NewLogger("ice")}))
	}
	setting.SetIncludeLoopbackCandidate(true)
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	setting.SetSRTPReplayProtectionWindow(1024) // as browsers have it: packets come again late
	media, registry, err := v.engine()
	if err != nil {
		return err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(setting))
	if v.peer, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return err
	}
	v.peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		v.update(func(s *Stats) { s.State = state })
	})
	v.peer.OnTrack(v.track)
	kinds := []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio}
	if v.options.NoAudio {
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		if _, err := v.peer.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	return nil
}

// engine makes the codecs and the feedback of the viewer.
func (v *Viewer) engine() (*webrtc.MediaEngine, *interceptor.Registry, error) {
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	err := media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"},
		PayloadType:        111,
	}, webrtc.RTPCodecTypeAudio)
	payload := webrtc.PayloadType(96)
	for _, mime := range v.options.Codecs {
		for _, line := range formats(mime) {
			err = errors.Join(err, v.register(media, mime, line, payload))
			payload += 2
		}
	}
	nacks, err1 := nack.NewGeneratorInterceptor(nack.GeneratorInterval(nackInterval))
	reports, err2 := report.NewReceiverInterceptor()
	feedback, err3 := twcc.NewSenderInterceptor()
	if err := errors.Join(err, err1, err2, err3); err != nil {
		return nil, nil, err
	}
	registry.Add(counter{v})
	registry.Add(nacks)
	registry.Add(reports)
	if !v.options.NoFeedback {
		registry.Add(feedback)
		err = media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.TransportCCURI}, webrtc.RTPCodecTypeVideo)
	}
	return media, registry, err
}

// formats are the parameters that a codec is offered with.
func formats(mime string) []string {
	if mime != webrtc.MimeTypeH264 {
		return []string{""}
	}
	var lines []string
	for _, mode := range []int{0, 1} {
		for _, profile := range []string{"64001f", "42e01f"} {
			lines = append(lines, fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", mode, profile))
		}
	}
	return lines
}

func (v *Viewer) register(media *webrtc.MediaEngine, mime, line string, payload webrtc.PayloadType) error {
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
	if !v.options.NoFeedback {
		feedback = append(feedback, webrtc.RTCPFeedback{Type: "transport-cc"})
	}
	err := media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, SDPFmtpLine: line, RTCPFeedback: feedback},
		PayloadType:        payload,
	}, webrtc.RTPCodecTypeVideo)
	if v.options.NoFeedback {
		return err
	}
	return errors.Join(err, media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", payload)},
		PayloadType:        payload + 1,
	}, webrtc.RTPCodecTypeVideo))
}

func (v *Viewer) negotiate(ctx context.Context, endpoint string) error {
	offer, err := v.peer.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(v.peer)
	if err := v.peer.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	resp, body, err := v.request(ctx, http.MethodPost, endpoint, v.peer.LocalDescription().SDP)
	if err != nil {
		return err
	}
	v.answered = time.Now()
	if resp.StatusCode != http.StatusCreated {
		return &StatusError{Status: resp.StatusCode, Body: body}
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	location, err := base.Parse(resp.Header.Get("Location"))
	if err != nil {
		return err
	}
	v.location, v.header, v.answer = location.String(), resp.Header, body
	return v.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body})
}

func (v *Viewer) request(ctx context.Context, method, to, body string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return resp, string(answer), err
}

// Location is the URL of the session, Header and Answer what the server said.
func (v *Viewer) Location() string { return v.location }

// Header is that of the server's answer.
func (v *Viewer) Header() http.Header { return v.header }

// Answer is the server's SDP.
func (v *Viewer) Answer() string { return v.answer }

// Answered is when the answer was there.
func (v *Viewer) Answered() time.Time { return v.answered }

// RequestKeyFrame sends a PLI.
func (v *Viewer) RequestKeyFrame() error {
	v.mu.Lock()
	ssrc := v.ssrc
	v.mu.Unlock()
	return v.peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
}

// SetBandwidth changes Options.Bandwidth.
func (v *Viewer) SetBandwidth(bits int64) { v.wire.bandwidth.Store(bits) }

// Get asks how the session is: the status and the body of the answer.
func (v *Viewer) Get(ctx context.Context) (int, string, error) {
	resp, body, err := v.request(ctx, http.MethodGet, v.location, "")
	if err != nil {
		return 0, "", err
	}
	return resp.StatusCode, body, nil
}

// Leave ends the session with DELETE.
func (v *Viewer) Leave(ctx context.Context) error {
	resp, body, err := v.request(ctx, http.MethodDelete, v.location, "")
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &StatusError{Status: resp.StatusCode, Body: body}
	}
	return errors.Join(err, v.Close())
}

// Vanish is a network that is gone without a word.
func (v *Viewer) Vanish() error {
	v.wire.gone.Store(true)
	return v.Close()
}

// Close closes the connection.
func (v *Viewer) Close() error {
	var err error
	v.closing.Do(func() {
		if v.peer != nil {
			err = v.peer.GracefulClose()
		}
		v.client.CloseIdleConnections()
		if v.wire != nil {
			_ = v.wire.Close() // the mux may have closed it
		}
		v.readers.Wait()
	})
	return err
}
