package whip

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

// gatherTimeout is far above what gathering on one port takes.
const gatherTimeout = 5 * time.Second

// session is one publisher's connection.
type session struct {
	id, channel, etag string
	key               [sha256.Size]byte // hash of the stream key it began with
	log               *slog.Logger
	peer              *webrtc.PeerConnection
	broadcast         Broadcast // set before any media can come
	ready             chan struct{}

	closing   sync.Once
	closed    chan struct{}
	reason    string // why, set before closed is
	readers   sync.WaitGroup
	videoSSRC atomic.Uint32
	keyFrames chan struct{}

	mu    sync.Mutex
	taken map[webrtc.RTPCodecType]bool // kinds of tracks that are being read
}

func newSession(channel, key string, peer *webrtc.PeerConnection, log *slog.Logger) *session {
	s := &session{
		id: id.New(), channel: channel, etag: `"` + id.New() + `"`, key: sha256.Sum256([]byte(key)),
		peer: peer, ready: make(chan struct{}), closed: make(chan struct{}),
		keyFrames: make(chan struct{}, 1), taken: map[webrtc.RTPCodecType]bool{},
	}
	s.log = log.With("channel", channel, "session", s.id)
	return s
}

// begunWith says whether this is the stream key that the session began with.
func (s *session) begunWith(key string) bool {
	hash := sha256.Sum256([]byte(key))
	return key != "" && subtle.ConstantTimeCompare(hash[:], s.key[:]) == 1
}

// answer takes the offer and returns the answer with all candidates.
func (s *session) answer(ctx context.Context, offer string) (string, error) {
	s.peer.OnTrack(s.track)
	s.peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		s.log.Debug("connection", "state", state.String())
		switch state {
		case webrtc.PeerConnectionStateFailed:
			s.Close("the connection was lost")
		case webrtc.PeerConnectionStateClosed:
			s.Close("the publisher closed the connection")
		}
	})
	err := s.peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be used: it is not a complete WebRTC offer", Err: err}
	}
	answer, err := s.peer.CreateAnswer(nil)
	if err != nil {
		return "", &errs.Error{Code: errs.Invalid, Message: "the offer cannot be answered", Err: err}
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
	case <-ctx.Done():
		return "", errs.Wrap(ctx.Err(), errs.Unavailable, "the media port did not answer in time; try again")
	}
}

// begin lets media in.
func (s *session) begin(b Broadcast) {
	s.broadcast = b
	close(s.ready)
}

// run sends key frame requests until the session is closed, then ends it.
func (s *session) run() {
	for {
		select {
		case <-s.keyFrames:
			s.sendPLI()
			continue
		case <-s.closed:
		}
		break
	}
	if err := s.peer.GracefulClose(); err != nil {
		s.log.Debug("closing the connection", "error", err)
	}
	s.readers.Wait()
	select {
	case <-s.ready:
		s.broadcast.End(s.reason)
	default: // refused before it began
	}
}

// Close cuts the connection. It does not wait.
func (s *session) Close(reason string) {
	s.closing.Do(func() {
		s.reason = reason
		close(s.closed)
	})
}

// RequestKeyFrame asks for a key frame. It does not block: a request that is
// waiting serves for this one too.
func (s *session) RequestKeyFrame() {
	select {
	case s.keyFrames <- struct{}{}:
	default:
	}
}

func (s *session) sendPLI() {
	ssrc := s.videoSSRC.Load()
	if ssrc == 0 {
		return
	}
	err := s.peer.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
	if err != nil && !errors.Is(err, webrtc.ErrConnectionClosed) {
		s.log.Debug("asking for a key frame", "error", err)
	}
}

// track reads a track of the publisher's, the first of its kind.
func (s *session) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return
	default:
	}
	if s.taken[track.Kind()] {
		return
	}
	s.taken[track.Kind()] = true
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		s.videoSSRC.Store(uint32(track.SSRC()))
		s.readers.Go(func() { s.readVideo(track) })
	} else {
		s.readers.Go(func() { s.readAudio(track) })
	}
	s.readers.Go(func() { s.readReports(track, receiver) })
}
