package streamtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
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
	// With clips of different sizes the resolution changes. They have one codec.
	Clips []*Clip
	// Repeat is how often each clip but the last is sent, once if 0.
	Repeat int
	// NoAudio publishes without an audio track; MuteAfter stops sending audio
	// after a time, if it is not 0.
	NoAudio   bool
	MuteAfter time.Duration
	// Duration of what is sent; 0: until Stop or Vanish.
	Duration time.Duration
	// TCP sends over ICE's TCP alone (RFC 6544), from the publisher's side.
	TCP bool
	// DropEvery loses every so-many-th UDP packet that is sent, none if 0.
	DropEvery int
	// AnswerPLI makes the publisher go to the clip's first frame, a key frame,
	// when it is asked for one, as an encoder makes one then.
	AnswerPLI bool
	// Stamp puts the time of sending into every frame of H264; StampsOf reads it.
	Stamp bool
	// Client sends the WHIP requests, http.DefaultClient if nil.
	Client *http.Client
}

// Publisher is a publisher that is sending.
type Publisher struct {
	peer     *webrtc.PeerConnection
	network  *network
	client   *http.Client
	location string
	key      string
	stop     chan struct{}
	stopping sync.Once
	senders  sync.WaitGroup
	frames   atomic.Int64
	asked    atomic.Bool // for a key frame
	etag     string
	answer   string // the server's
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
	encoder, err := encoderOf(o.Clips[0].codec())
	if err != nil {
		return nil, nil, err
	}
	if p.network, err = newNetwork(o.DropEvery); err != nil {
		return nil, nil, err
	}
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	var setting webrtc.SettingEngine
	setting.LoggerFactory = logs
	setting.SetNet(p.network)
	setting.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	setting.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if o.TCP {
		setting.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	}
	setting.SetIncludeLoopbackCandidate(true)
	setting.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	p.peer, err = newPeer(setting, encoder)
	if err != nil {
		return nil, nil, err
	}
	video, err = p.track(webrtc.RTPCodecCapability{MimeType: encoder.mime, ClockRate: 90000, SDPFmtpLine: encoder.format}, "video")
	if err == nil && !o.NoAudio {
		audio, err = p.track(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio")
	}
	return video, audio, err
}

// newPeer makes a peer connection that offers the clips' codec, with
// retransmission, and Opus.
func newPeer(setting webrtc.SettingEngine, e encoder) (*webrtc.PeerConnection, error) {
	media := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	err := errors.Join(
		media.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: e.mime, ClockRate: 90000, SDPFmtpLine: e.format, RTCPFeedback: feedback},
			PayloadType:        102,
		}, webrtc.RTPCodecTypeVideo),
		media.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=102"},
			PayloadType:        103,
		}, webrtc.RTPCodecTypeVideo),
		media.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"},
			PayloadType:        111,
		}, webrtc.RTPCodecTypeAudio))
	if err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(setting), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry))
	return api.NewPeerConnection(webrtc.Configuration{})
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
		for {
			packets, _, err := sender.Sender().ReadRTCP()
			if err != nil {
				return
			}
			if slices.ContainsFunc(packets, asksForKey) {
				p.asked.Store(true)
			}
		}
	})
	return track, nil
}

// asksForKey says whether a report asks for a key frame (RFC 4585, 6.3.1; RFC
// 5104, 4.3.1).
func asksForKey(p rtcp.Packet) bool {
	switch p.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		return true
	}
	return false
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
	p.answer = answer
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
	req, err := p.newRequest(ctx, method, to, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/sdp")
	return p.client.Do(req)
}

func (p *Publisher) newRequest(ctx context.Context, method, to, body string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err == nil && p.key != "" {
		req.Header.Set("Authorization", "Bearer "+p.key)
	}
	return req, err
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
	p.Cut()
	return p.Close()
}

// Close closes the connection.
func (p *Publisher) Close() error {
	p.halt()
	var err error
	if p.peer != nil {
		err = p.peer.GracefulClose()
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
		if p.asked.Swap(false) && o.AnswerPLI {
			clips.frame = 0
		}
		data := clips.next()
		if o.Stamp {
			data = stamped(data, time.Now())
		}
		if err := track.WriteSample(media.Sample{Data: data, Duration: frameDuration}); err != nil {
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
