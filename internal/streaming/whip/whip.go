// Package whip takes live video over WebRTC by the WebRTC-HTTP ingestion
// protocol, WHIP (RFC 9725).
package whip

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// maxSessions is how many connections there may be, those being made too.
const maxSessions = 1000

// Host is who broadcasts belong to.
type Host interface {
	// Authorize returns nil if the caller may publish on the channel: by its
	// stream key, or by being signed in as its owner when key is empty.
	Authorize(ctx context.Context, channel, key string) error
	// Begin makes a broadcast, or refuses it. It may call the publisher before
	// it returns.
	Begin(ctx context.Context, channel string, audio bool, publisher Publisher) (Broadcast, error)
}

// Publisher is what a broadcast can ask of its source.
type Publisher interface {
	// RequestKeyFrame does not block.
	RequestKeyFrame()
	// Close cuts the connection. It does not wait for it.
	Close(reason string)
}

// Broadcast takes the media of a publisher.
type Broadcast interface {
	Video(frame.Video)
	Audio(frame.Audio)
	VideoReport(frame.Report)
	AudioReport(frame.Report)
	// Lost says that video is missing.
	Lost(now time.Time)
	// Received counts bytes of media, Dropped packets that never came or that
	// could not be used.
	Received(bytes int, now time.Time)
	Dropped(packets int)
	// End ends the broadcast, when its publisher is gone. It returns when it
	// has been finalised.
	End(reason string)
}

// Server answers WHIP requests and owns the connections that come of them.
type Server struct {
	host   Host
	fail   func(http.ResponseWriter, *http.Request, error)
	log    *slog.Logger
	engine *engine

	mu       sync.Mutex
	sessions map[string]*session
	closed   bool
	running  sync.WaitGroup
}

// New opens the media ports. Fail answers a request with an error.
func New(n Network, host Host, fail func(http.ResponseWriter, *http.Request, error), log *slog.Logger) (*Server, error) {
	e, err := newEngine(n, log)
	if err != nil {
		return nil, err
	}
	return &Server{host: host, fail: fail, log: log, engine: e, sessions: map[string]*session{}}, nil
}

// Address is where UDP media comes in.
func (s *Server) Address() net.Addr { return s.engine.address() }

// Close ends all sessions, waits for them and closes the ports.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, session := range s.sessions {
		session.Close("the server is stopping")
	}
	s.mu.Unlock()
	s.running.Wait()
	return s.engine.close()
}

// add keeps a session until it is over.
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
	s.running.Go(func() {
		session.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, session.id)
	})
	return nil
}

// find returns a session of a channel. Errors: errs.NotFound.
func (s *Server) find(channel, id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[id]
	if session == nil || session.channel != channel {
		return nil, errs.New(errs.NotFound, "there is no such WHIP session, or it is over")
	}
	return session, nil
}
