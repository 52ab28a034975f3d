package whip

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

const (
	// statsEvery is how old statistics may be.
	statsEvery = time.Second
	// goodbyeFor is how long a session whose connection is gone may still be
	// ended by its publisher: as long as a broadcast waits by default.
	goodbyeFor = time.Minute
)

// goodbye is why a broadcast ends that its publisher ended.
const goodbye = "the publisher ended it"

// session is one publisher's connection.
type session struct {
	id, channel string
	firstETag   string            // etag in the beginning
	key         [sha256.Size]byte // hash of the stream key it began with
	log         *slog.Logger

	// Set by connect, before any media can come and before run.
	media    ingest.Session
	peer     *webrtc.PeerConnection
	feedback *feedback

	closing   sync.Once
	closed    chan struct{}
	forGood   bool   // the publisher said goodbye; set before closed is
	reason    string // why, the same
	parting   sync.Once
	goodbye   chan struct{} // closed when the publisher said it
	readers   sync.WaitGroup
	videoSSRC atomic.Uint32
	connected atomic.Bool
	keyFrames chan struct{}

	mu      sync.Mutex
	taken   map[webrtc.RTPCodecType]bool // kinds of tracks that are being read
	stats   ingest.Stats
	statsAt time.Time

	negotiating sync.Mutex // guards the peer's descriptions, and:
	offer       string     // the last
	etag        string     // of the ICE session
}

func newSession(channel, key string, log *slog.Logger) *session {
	etag := newETag()
	s := &session{
		id: id.New(), channel: channel, firstETag: etag, etag: etag, key: sha256.Sum256([]byte(key)),
		closed: make(chan struct{}), goodbye: make(chan struct{}), keyFrames: make(chan struct{}, 1), taken: map[webrtc.RTPCodecType]bool{},
	}
	s.log = log.With("channel", channel, "session", s.id)
	return s
}

// newETag names an ICE session: a strong entity-tag (RFC 9110, 8.8.3).
func newETag() string { return `"` + id.New() + `"` }

// begunWith says whether this is the stream key that the session began with.
func (s *session) begunWith(key string) bool {
	hash := sha256.Sum256([]byte(key))
	return key != "" && subtle.ConstantTimeCompare(hash[:], s.key[:]) == 1
}

// run sends key frame requests until the session is closed, then takes it down
// and tells its broadcast.
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
	s.disconnect()
	s.media.Leave(s.forGood, s.reason)
}

// linger waits for the goodbye of a publisher whose connection is gone already:
// many clients close it first, and the DELETE comes a moment after.
func (s *session) linger(quit <-chan struct{}) {
	if s.forGood {
		return
	}
	t := time.NewTimer(goodbyeFor)
	defer t.Stop()
	select {
	case <-s.goodbye:
		s.media.Leave(true, goodbye)
	case <-t.C:
	case <-quit:
	}
}

// over says whether the connection is closed.
func (s *session) over() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// sayGoodbye ends the session and its broadcast. It does not wait.
func (s *session) sayGoodbye() {
	s.end(true, goodbye)
	s.parting.Do(func() { close(s.goodbye) })
}

// disconnect closes the connection and waits until nothing is read any more.
func (s *session) disconnect() {
	if err := s.peer.GracefulClose(); err != nil {
		s.log.Debug("closing the connection", "error", err)
	}
	s.readers.Wait()
}

// Close cuts the connection. It does not wait. Its broadcast may go on with
// another one.
func (s *session) Close(reason string) { s.end(false, reason) }

// end closes the session, the first reason counts.
func (s *session) end(forGood bool, reason string) {
	s.closing.Do(func() {
		s.forGood, s.reason = forGood, reason
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

// Stats is the state of the connection, at most a second old.
func (s *session) Stats() ingest.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.peer == nil || now.Sub(s.statsAt) < statsEvery {
		return s.stats
	}
	s.statsAt = now
	s.stats.PacketsReceived, s.stats.PacketsLost, s.stats.Jitter = s.feedback.stats()
	if !s.connected.Load() { // pion lets nobody ask while it starts the transport
		return s.stats
	}
	if pair, ok := s.peer.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats(); ok {
		s.stats.RoundTrip = time.Duration(pair.CurrentRoundTripTime * float64(time.Second))
	}
	return s.stats
}
