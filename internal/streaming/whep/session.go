package whep

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// gatherTimeout is far above what gathering on one port takes.
const gatherTimeout = 5 * time.Second

// session is one viewer's connection.
type session struct {
	id, channel, etag string
	log               *slog.Logger
	server            *Server
	stream            Stream
	peer              *webrtc.PeerConnection
	sender            *sender
	warm              *fan   // of the first rung, until the sender follows it
	silent            string // why the viewer gets no audio though it takes some
	beacons           bool   // the viewer sends beacons, whichever way it watches
	connected         atomic.Bool

	up      chan struct{} // closed when media may be sent
	upping  sync.Once
	closing sync.Once
	closed  chan struct{}
	reason  Reason // why, set before closed is
}

func newSession(s *Server, channel string, stream Stream, steps []step) *session {
	v := &session{
		id: id.New(), channel: channel, etag: `"` + id.New() + `"`, server: s, stream: stream,
		up: make(chan struct{}), closed: make(chan struct{}),
	}
	v.log = s.log.With("channel", channel, "session", v.id)
	v.sender = &sender{
		limits: s.limits, wakeup: make(chan struct{}, 1), start: time.Now(), ladder: ladder{steps: steps},
		events: senderEvents{
			end:     v.Close,
			acquire: func(r Rung) *fan { return s.acquire(stream, r) },
			release: s.release,
			rtcp:    v.writeRTCP,
			metrics: s.config.Metrics,
		},
	}
	v.sender.heard = v.sender.feedback()
	return v
}

// Close ends the session. It does not wait.
func (v *session) Close(r Reason) {
	v.closing.Do(func() {
		v.reason = r
		close(v.closed)
	})
}

// answer takes the offer and returns the answer with all candidates.
func (v *session) answer(ctx context.Context, offer string) (string, error) {
	v.peer.OnConnectionStateChange(v.state)
	err := v.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be used: it is not a complete WebRTC offer", Err: err}
	}
	if err := v.silence(); err != nil {
		return "", err
	}
	answer, err := v.peer.CreateAnswer(nil)
	if err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be answered", Err: err}
	}
	gathered := webrtc.GatheringCompletePromise(v.peer)
	if err := v.peer.SetLocalDescription(answer); err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be answered", Err: err}
	}
	v.peer.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(v.path)
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
		return v.peer.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", errs.Wrap(ctx.Err(), errs.Unavailable, "the media port did not answer in time; try again")
	}
}

// silence makes sections inactive that nothing is sent for: their transceivers
// came with the offer.
func (v *session) silence() error {
	for _, t := range v.peer.GetTransceivers() {
		if t.Sender() == nil {
			if err := t.Stop(); err != nil {
				return fmt.Errorf("a section without media: %w", err)
			}
		}
	}
	return nil
}

func (v *session) state(state webrtc.PeerConnectionState) {
	v.log.Debug("connection", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		v.upping.Do(func() { close(v.up) })
	case webrtc.PeerConnectionStateFailed:
		v.Close(ReasonLost)
	case webrtc.PeerConnectionStateClosed:
		v.Close(ReasonLeft)
	}
}

// path takes the way to the viewer, when ICE has found it or another one.
func (v *session) path(pair *webrtc.ICECandidatePair) {
	var burst *rtc.Burst
	if pair.Remote.Protocol == webrtc.ICEProtocolUDP {
		if ip, err := netip.ParseAddr(pair.Remote.Address); err == nil {
			burst = v.server.engine.Burst(netip.AddrPortFrom(ip, pair.Remote.Port))
		}
	}
	v.sender.reach(burst)
}

// run sends media until the session is closed, then ends it.
func (v *session) run() {
	up := v.connect()
	v.server.release(v.warm)
	if up {
		v.sender.run(v.closed)
	}
	<-v.closed
	v.sender.end()
	if err := v.peer.GracefulClose(); err != nil {
		v.log.Debug("closing the connection", "error", err)
	}
	v.sender.reach(nil) // the last path may have come late
	if v.connected.Swap(false) && v.server.config.Metrics.Sessions != nil {
		v.server.config.Metrics.Sessions(-1)
	}
	if v.server.config.Metrics.Ended != nil {
		v.server.config.Metrics.Ended(v.reason)
	}
	v.log.Info("a viewer is gone", "reason", string(v.reason), "rung", v.sender.ladder.at)
}

// connect waits for the connection; false if it does not come up.
func (v *session) connect() bool {
	timer := time.NewTimer(v.server.limits.setup)
	defer timer.Stop()
	select {
	case <-v.up:
	case <-timer.C:
		v.Close(ReasonLost)
		return false
	case <-v.closed:
		return false
	}
	v.connected.Store(true)
	if v.server.config.Metrics.Sessions != nil {
		v.server.config.Metrics.Sessions(1)
	}
	v.sender.begin(v.server.acquire(v.stream, v.sender.ladder.steps[0].rung), time.Now())
	return true
}

func (v *session) writeRTCP(packets []rtcp.Packet) {
	if err := v.peer.WriteRTCP(packets); err != nil {
		v.log.Debug("sending reports", "error", err)
	}
}

// restarts says whether the credentials are others than the session's.
func (v *session) restarts(f rtc.Fragment) bool {
	if f.Ufrag == "" {
		return false
	}
	remote := v.peer.RemoteDescription()
	return remote == nil || !strings.Contains(remote.SDP, "a=ice-ufrag:"+f.Ufrag+"\r\n")
}
