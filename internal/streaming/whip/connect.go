package whip

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

// gatherTimeout is far above what gathering on one port takes.
const gatherTimeout = 5 * time.Second

// connect begins a session: the host takes it, then the offer is answered. What
// fails has left nothing behind.
func (s *Server) connect(ctx context.Context, session *session, o ingest.Offer, offer string) (answer string, err error) {
	if err := s.add(session); err != nil {
		return "", err
	}
	media, err := s.needs.Host.Begin(ctx, o, session)
	if err != nil {
		s.remove(session)
		return "", err
	}
	peer, said, err := newPeer(s.engine, media.Codec())
	if err != nil {
		media.Leave(true, "no connection could be made")
		s.remove(session)
		return "", err
	}
	session.mu.Lock() // Stats may be asked for already
	session.media, session.peer, session.feedback = media, peer, said
	session.mu.Unlock()
	answer, err = session.answer(ctx, offer)
	if err != nil {
		session.end(true, "the offer could not be answered")
		session.run()
		s.remove(session)
		return "", err
	}
	// A session that is closed already is taken down there.
	go func() {
		defer s.remove(session)
		session.run()
		session.linger(s.quit)
	}()
	return answer, nil
}

// answer takes the offer and returns the answer with all candidates.
func (s *session) answer(ctx context.Context, offer string) (string, error) {
	s.negotiating.Lock()
	defer s.negotiating.Unlock()
	s.peer.OnTrack(s.track)
	s.peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		s.log.Debug("connection", "state", state.String())
		switch state {
		case webrtc.PeerConnectionStateConnected:
			s.connected.Store(true)
		case webrtc.PeerConnectionStateFailed:
			s.Close("the connection was lost")
		case webrtc.PeerConnectionStateClosed:
			s.Close("the publisher closed the connection")
		}
	})
	s.offer = oneLayer(offer)
	return s.negotiate(ctx, s.offer)
}

// negotiate applies an offer and returns the answer to it.
func (s *session) negotiate(ctx context.Context, offer string) (string, error) {
	err := s.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be used: it is not a complete WebRTC offer", Err: err}
	}
	answer, err := s.peer.CreateAnswer(nil)
	if err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be answered", Err: err}
	}
	if err := accepted(answer.SDP, offer); err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(s.peer)
	if err := s.peer.SetLocalDescription(answer); err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be answered", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
		return s.peer.LocalDescription().SDP, nil
	case <-s.closed:
		return "", errs.New(errs.Unavailable, "the session was closed: "+s.reason)
	case <-ctx.Done():
		return "", errs.Wrap(ctx.Err(), errs.Unavailable, "the media port did not answer in time; try again")
	}
}

// oneLayer takes simulcast out of an offer (RFC 8853, 5.3.2): an answer without
// it means that one stream is sent, the first.
func oneLayer(offer string) string {
	lines := strings.SplitAfter(offer, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "a=simulcast:") || strings.HasPrefix(l, "a=rid:")
	}), "")
}

// accepted refuses an answer that takes a part of the offer only: the publisher
// would not notice (RFC 9725, 4.4.3).
func accepted(answer, offer string) error {
	var a, o sdp.SessionDescription
	if a.UnmarshalString(answer) != nil || o.UnmarshalString(offer) != nil || len(a.MediaDescriptions) != len(o.MediaDescriptions) {
		return errs.New(errs.Invalid, "the offer cannot be answered")
	}
	for i, m := range a.MediaDescriptions {
		if sends(o.MediaDescriptions[i]) && m.MediaName.Port.Value == 0 {
			return errs.Newf(errs.Unsupported, "none of the offer's forms of %s is taken; %s", m.MediaName.Media, supported)
		}
	}
	return nil
}
