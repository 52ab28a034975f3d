// Package whep plays live streams over WebRTC, below a second behind, by the
// WebRTC-HTTP egress protocol, WHEP (draft-ietf-wish-whep).
//
// A fan takes the frames of one rung of a stream and makes RTP payloads of them,
// once. Every viewer has a sender that follows a fan: it owns no media, only a
// place in the fan's memory, its own sequence numbers and times, and the keys.
package whep

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

const defaultMaxSessions = 2000

// Host is who has the streams.
type Host interface {
	// Find returns the live stream of a channel that the caller may see. Errors:
	// errs.NotFound when it is not live.
	Find(ctx context.Context, channel string) (Stream, error)
}

// Stream is a live stream.
type Stream interface {
	// ID is never used for another stream.
	ID() string
	// Rungs are ordered from the top one down and stay for the stream.
	Rungs() []Rung
	// Audio is nil when there is none.
	Audio() *cmaf.AudioConfig
	// RequestKeyFrame asks the publisher. It does not block.
	RequestKeyFrame()
}

// Rung is one quality of a stream.
type Rung struct {
	Name          string // unique in the stream
	Width, Height int
	Bitrate       int64 // of the video, bits per second; 0 when it is not known
	Source
}

// Source gives the media of a rung.
type Source interface {
	// Video is nil until the first key frame.
	Video() *cmaf.VideoConfig
	// Tap first plays, before it returns, the video frames since the last key
	// frame; then the tap hears the rung live, with the stream's audio, until stop
	// has returned.
	Tap(frame.Tap) (stop func())
}

// Config is what may differ between installations.
type Config struct {
	MaxSessions int // connections, those being made too; 2,000 if 0
	// ICEServers are told to viewers.
	ICEServers []webrtc.ICEServer
	Metrics    Metrics
}

// Metrics are called when something happens, from any goroutine; they must not
// block. Those that are nil are not called.
type Metrics struct {
	Sessions      func(change int)    // viewers now
	Ended         func(reason Reason) // of sessions that were connected or being made
	Sent          func(bytes int)     // media payloads
	Retransmitted func(packets int)   // on request of viewers
	KeyFrames     func()              // asked of publishers
	Switched      func(down bool)     // to another rung
}

// Server answers WHEP requests and owns the connections that come of them.
type Server struct {
	engine      *rtc.Engine
	host        Host
	config      Config
	fail        func(http.ResponseWriter, *http.Request, error)
	log         *slog.Logger
	limits      limits
	certificate []webrtc.Certificate // one for all: making one costs more than a session's other beginnings

	mu       sync.Mutex
	sessions map[string]*session
	over     graveyard
	fans     map[fanKey]*fan
	closed   bool
	running  sync.WaitGroup
}

// New makes a server on ports that others use too. The caller closes the engine
// after the server. Fail answers a request with an error.
func New(e *rtc.Engine, host Host, c Config, fail func(http.ResponseWriter, *http.Request, error), log *slog.Logger) (*Server, error) {
	certificate, err := makeCertificate()
	if err != nil {
		return nil, err
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	return &Server{
		engine: e, host: host, config: c, fail: fail, log: log, limits: defaultLimits(), certificate: certificate,
		sessions: map[string]*session{}, fans: map[fanKey]*fan{},
	}, nil
}

// Sessions is how many viewers of a stream are connected, without those that
// send beacons and are counted by them.
func (s *Server) Sessions(streamID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, session := range s.sessions {
		if session.stream.ID() == streamID && session.connected.Load() && !session.beacons {
			n++
		}
	}
	return n
}

// Close ends all sessions and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, session := range s.sessions {
		session.Close(ReasonStopped)
	}
	s.mu.Unlock()
	s.running.Wait()
}

// add keeps a session until it is over.
func (s *Server) add(session *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errs.New(errs.Unavailable, "the server is stopping")
	}
	if len(s.sessions) >= s.config.MaxSessions {
		return errs.Newf(errs.Unavailable, "there are %d viewers over WebRTC already; watch by HLS instead, or try again", len(s.sessions))
	}
	s.sessions[session.id] = session
	s.running.Go(func() {
		session.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, session.id)
		s.over.bury(session, time.Now())
	})
	return nil
}

// find returns a session of a channel, or why and that it is over. Errors:
// errs.NotFound.
func (s *Server) find(channel, id string) (*session, Reason, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session := s.sessions[id]; session != nil && session.channel == channel {
		return session, "", nil
	}
	if reason, ok := s.over.find(channel, id); ok {
		return nil, reason, nil
	}
	return nil, "", errs.New(errs.NotFound, "there is no such WHEP session")
}
