package streamtest

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
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	httpTimeout    = 15 * time.Second
	connectTimeout = 15 * time.Second
)

// Options says what is published.
type Options struct {
	// Clips are sent one after the other; then the last one again and again.
	// With clips of different sizes the resolution changes.
	Clips []*Clip
	// Repeat is how often each clip but the last is sent, once if 0.
	Repeat int
	// NoAudio publishes without an audio track; MuteAfter stops sending audio
	// after a time, if it is not 0.
	NoAudio   bool
	MuteAfter time.Duration
	// Duration of what is sent; 0: until Stop or Vanish.
	Duration time.Duration
	// DropEvery loses every so-many-th UDP packet that is sent, none if 0.
	DropEvery int
	// Client sends the WHIP requests, http.DefaultClient if nil.
	Client *http.Client
}

// Publisher is a publisher that is sending.
type Publisher struct {
	peer     *webrtc.PeerConnection
	wire     *wire
	client   *http.Client
	location string
	key      string
	stop     chan struct{}
	stopping sync.Once
	senders  sync.WaitGroup
	frames   atomic.Int64
	etag     string
}

// StatusError is an answer of the server that is not the wanted one.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.Body)
}

// Publish begins to publish at a WHIP endpoint and returns when the connection
// stands. The caller ends it with Stop, Vanish or Close.
func Publish(ctx context.Context, endpoint, key string, o Options) (*Publisher, error) {
	if len(o.Clips) == 0 {
		return nil, errors.New("there is no clip to publish")
	}
	p := &Publisher{client: o.Client, key: key, stop: make(chan struct{})}
	if p.client == nil {
		p.client = &http.Client{Timeout: httpTimeout}
	}
	video, audio, err := p.connect(o)
	if err == nil {
		err = p.negotiate(ctx, endpoint)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	start := time.Now()
	p.senders.Go(func() { p.sendVideo(video, o, start) })
	if audio != nil {
		p.senders.Go(func() { p.sendAudio(audio, o, start) })
	}
	return p, nil
}

// connect makes the peer connection with its tracks.
func (p *Publisher) connect(o Options) (video, audio *webrtc.TrackLocalStaticSample, err error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	p.wire = &wire{PacketConn: conn, dropEvery: int64(o.DropEvery)}
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	var setting webrtc.SettingEngine
	setting.LoggerFactory = logs
	setting.SetICEUDPMux(ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: p.wire, Logger: logs.NewLogger("ice")}))
	setting.SetIncludeLoopbackCandidate(true)
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	p.peer, err = webrtc.NewAPI(webrtc.WithSettingEngine(setting)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, nil, err
	}
	video, err = p.track(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}, "video")
	if err == nil && !o.NoAudio {
		audio, err = p.track(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio")
	}
	return video, audio, err
}

func (p *Publisher) track(c webrtc.RTPCodecCapability, name string) (*webrtc.TrackLocalStaticSample, error) {
	track, err := webrtc.NewTrackLocalStaticSample(c, name, "streamtest")
	if err != nil {
		return nil, err
	}
	sender, err := p.peer.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, err
	}
	p.senders.Go(func() { // feeds the interceptors, until the connection is closed
		buf := make([]byte, 1500)
		for {
			if _, _, err := sender.Sender().Read(buf); err != nil {
				return
			}
		}
	})
	return track, nil
}

func (p *Publisher) negotiate(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	connected := make(chan struct{})
	var once sync.Once
	p.peer.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(connected) })
		}
	})
	offer, err := p.peer.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(p.peer)
	if err := p.peer.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	answer, err := p.post(ctx, endpoint, p.peer.LocalDescription().SDP)
	if err != nil {
		return err
	}
	if err := p.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return err
	}
	select {
	case <-connected:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the connection does not come up: %w", ctx.Err())
	}
}

func (p *Publisher) post(ctx context.Context, endpoint, offer string) (answer string, err error) {
	resp, err := p.request(ctx, http.MethodPost, endpoint, offer)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusCreated {
		return "", &StatusError{Status: resp.StatusCode, Body: string(body)}
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	location, err := base.Parse(resp.Header.Get("Location"))
	if err != nil {
		return "", err
	}
	p.location, p.etag = location.String(), resp.Header.Get("ETag")
	return string(body), nil
}

func (p *Publisher) request(ctx context.Context, method, to, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/sdp")
	if p.key != "" {
		req.Header.Set("Authorization", "Bearer "+p.key)
	}
	return p.client.Do(req)
}

// Location is the URL of the WHIP session, ETag its ICE session.
func (p *Publisher) Location() string { return p.location }

// ETag is that of the session's answer.
func (p *Publisher) ETag() string { return p.etag }

// Sent is how much video was sent so far.
func (p *Publisher) Sent() time.Duration { return time.Duration(p.frames.Load()) * frameDuration }

// Wait waits until Options.Duration has been sent.
func (p *Publisher) Wait(ctx context.Context) error {
	select {
	case <-p.stop:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop ends the broadcast as a good client does: with DELETE.
func (p *Publisher) Stop(ctx context.Context) error {
	p.halt()
	resp, err := p.request(ctx, http.MethodDelete, p.location, "")
	if err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			err = &StatusError{Status: resp.StatusCode}
		}
	}
	return errors.Join(err, p.Close())
}

// Vanish is a network that is gone without a word: nothing is sent any more.
func (p *Publisher) Vanish() error {
	p.wire.gone.Store(true)
	return p.Close()
}

// Close closes the connection.
func (p *Publisher) Close() error {
	p.halt()
	var err error
	if p.peer != nil {
		err = p.peer.GracefulClose()
	}
	if p.wire != nil {
		_ = p.wire.Close() // the mux may have closed it
	}
	p.senders.Wait()
	return err
}

func (p *Publisher) halt() { p.stopping.Do(func() { close(p.stop) }) }

// sendVideo sends frames at their times.
func (p *Publisher) sendVideo(track *webrtc.TrackLocalStaticSample, o Options, start time.Time) {
	clips := playlist{o: o}
	for n := 0; ; n++ {
		at := time.Duration(n) * frameDuration
		if !p.until(start.Add(at)) {
			return
		}
		if o.Duration > 0 && at >= o.Duration {
			p.halt()
			return
		}
		if err := track.WriteSample(media.Sample{Data: clips.next(), Duration: frameDuration}); err != nil {
			return
		}
		p.frames.Add(1)
	}
}

// playlist gives the frames of the clips in turn.
type playlist struct {
	o                  Options
	clip, round, frame int
}

func (l *playlist) next() []byte {
	c := l.o.Clips[l.clip]
	data := c.Frames[l.frame]
	if l.frame++; l.frame == len(c.Frames) {
		l.frame = 0
		if l.round++; l.round >= max(l.o.Repeat, 1) && l.clip < len(l.o.Clips)-1 {
			l.clip, l.round = l.clip+1, 0
		}
	}
	return data
}

// sendAudio sends packets at their times.
func (p *Publisher) sendAudio(track *webrtc.TrackLocalStaticSample, o Options, start time.Time) {
	packets := o.Clips[0].Packets
	for n := 0; ; n++ {
		at := time.Duration(n) * audioDuration
		if !p.until(start.Add(at)) || o.MuteAfter > 0 && at >= o.MuteAfter {
			return
		}
		if err := track.WriteSample(media.Sample{Data: packets[n%len(packets)], Duration: audioDuration}); err != nil {
			return
		}
	}
}

// until sleeps to a time; false when it was stopped before.
func (p *Publisher) until(at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.stop:
		return false
	}
}

// wire is the publisher's network.
type wire struct {
	net.PacketConn
	gone      atomic.Bool
	dropEvery int64
	sent      atomic.Int64
}

// WriteTo sends a packet, if the network is there and does not lose it.
func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	if w.gone.Load() || w.dropEvery > 0 && isMedia(b) && w.sent.Add(1)%w.dropEvery == 0 {
		return len(b), nil
	}
	return w.PacketConn.WriteTo(b, to)
}

// isMedia tells SRTP from STUN and DTLS (RFC 7983).
func isMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }
