// Package whip takes live video over WebRTC by the WebRTC-HTTP ingestion
// protocol, WHIP (RFC 9725).
package whip

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// maxSessions is how many connections there may be, those being made too.
const maxSessions = 1000

// Gate says who may publish.
type Gate interface {
	// Authorize returns nil if the caller may publish on the channel: by its
	// stream key, or by being signed in as its owner when key is empty.
	Authorize(ctx context.Context, channel, key string) error
}

// Config is what an operator may choose.
type Config struct {
	// ICEServers are the STUN and TURN servers that publishers are told of. Only
	// those who may publish hear of servers with a credential.
	ICEServers []webrtc.ICEServer
}

// Needs is what the server is given. All are required.
type Needs struct {
	Engine *rtc.Engine // the caller closes it after the server
	Gate   Gate
	Host   ingest.Host
	// Fail answers a request with an error.
	Fail func(http.ResponseWriter, *http.Request, error)
	Log  *slog.Logger
}

// Server answers WHIP requests and owns the connections that come of them.
type Server struct {
	cfg    Config
	needs  Needs
	log    *slog.Logger
	engine *rtc.Engine

	mu       sync.Mutex
	sessions map[string]*session // those that linger too
	closed   bool
	quit     chan struct{}  // closed when the server is
	running  sync.WaitGroup // sessions, from add to their end
}

// New makes a server. It needs Routes to be of use.
func New(cfg Config, needs Needs) *Server {
	return &Server{cfg: cfg, needs: needs, log: needs.Log, engine: needs.Engine, sessions: map[string]*session{}, quit: make(chan struct{})}
}

// Close cuts all connections and waits until their broadcasts know. Requests
// that come later are refused.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.quit)
	}
	for _, session := range s.sessions {
		session.Close("the server is stopping")
	}
	s.mu.Unlock()
	s.running.Wait()
}

// add keeps a session until remove.
func (s *Server) add(session *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errs.New(errs.Unavailable, "the server is stopping")
	}
	if len(s.sessions) >= maxSessions {
		return errs.New(errs.Unavailable, "too many publishers are connecting; try again")
	}
	s.sessions[session.id] = session
	s.running.Add(1)
	return nil
}

// remove forgets a session that is over.
func (s *Server) remove(session *session) {
	s.mu.Lock()
	delete(s.sessions, session.id)
	s.mu.Unlock()
	s.running.Done()
}

// find returns a session of a channel, also one that lingers. Errors:
// errs.NotFound.
func (s *Server) find(channel, id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[id]
	if session == nil || session.channel != channel {
		return nil, errs.New(errs.NotFound, "there is no such WHIP session, or it is over")
	}
	return session, nil
}
