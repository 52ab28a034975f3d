// Package rtmp takes live video over RTMP ("Adobe's Real Time Messaging
// Protocol", 1.0) and its successor, enhanced RTMP (versions 1 and 2). It is the
// server's side of publishing and nothing else.
package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

// Keys knows the stream keys.
type Keys interface {
	// ChannelByKey returns the channel that a stream key belongs to. Errors:
	// errs.NotFound for a wrong key.
	ChannelByKey(ctx context.Context, key string) (channel string, err error)
}

// Config is limits. What is zero has the default.
type Config struct {
	// MaxConnections is how many connections there may be, those without a
	// publisher too: 1000. When there are as many, the oldest of those makes
	// way for a new one.
	MaxConnections int
	// SetupTimeout is how long a client may take from connecting until it
	// publishes, handshakes and the key's check included: 10 s.
	SetupTimeout time.Duration
	// IdleTimeout is after how long without media a publisher is lost: 10 s.
	IdleTimeout time.Duration
	// MaxMessage is the largest video message, in bytes: 16 MiB - 1, which is
	// also the most that the protocol can say.
	MaxMessage int
	// WindowAckSize is after how many bytes each side acknowledges: 2.5 MB.
	WindowAckSize uint32
}

func (c Config) withDefaults() Config {
	set(&c.MaxConnections, 1000)
	set(&c.SetupTimeout, 10*time.Second)
	set(&c.IdleTimeout, 10*time.Second)
	set(&c.MaxMessage, 1<<24-1)
	set(&c.WindowAckSize, 2_500_000)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server takes publishers and owns their connections.
type Server struct {
	cfg  Config
	keys Keys
	host ingest.Host
	log  *slog.Logger

	ctx    context.Context // of all that is done for the sessions
	cancel context.CancelFunc

	mu        sync.Mutex
	listeners map[net.Listener]bool
	sessions  map[*session]bool
	closed    bool
	running   sync.WaitGroup
}

// New returns a server without a listener.
func New(cfg Config, keys Keys, host ingest.Host, log *slog.Logger) *Server {
	s := &Server{
		cfg: cfg.withDefaults(), keys: keys, host: host, log: log,
		listeners: map[net.Listener]bool{}, sessions: map[*session]bool{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve takes connections until Close, which closes the listener; then it
// returns nil. It may be called for several listeners: for RTMPS, with one that
// does TLS (crypto/tls.NewListener).
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = true
	s.mu.Unlock()
	pause := backoff{}
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = backoff{}
			s.take(conn)
		case s.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // too many open files, most likely
			s.log.Warn("taking an RTMP connection", "error", err)
			pause.wait(s.ctx)
		}
	}
}

// Close ends all sessions, waits for them and closes the listeners.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var err error
	for l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	clear(s.listeners)
	for session := range s.sessions {
		session.Close("the server is stopping")
	}
	s.cancel()
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// take makes a session of a connection, if there is room.
func (s *Server) take(conn net.Conn) {
	session := newSession(s, conn, id.New())
	if err := s.add(session); err != nil {
		s.log.Warn("refusing an RTMP connection", "remote", conn.RemoteAddr(), "error", err)
		_ = conn.Close()
	}
}

func (s *Server) add(session *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errs.New(errs.Unavailable, "the server is stopping")
	}
	if len(s.sessions) >= s.cfg.MaxConnections && !s.makeRoom() {
		return errs.New(errs.Unavailable, "there are too many publishers")
	}
	s.sessions[session] = true
	s.running.Go(func() {
		session.run(s.ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, session)
	})
	return nil
}

// makeRoom cuts the oldest connection that is not publishing, so that idle ones
// cannot keep publishers out. It returns false if all are publishing.
func (s *Server) makeRoom() bool {
	var oldest *session
	for c := range s.sessions {
		if !c.publishing.Load() && (oldest == nil || c.began.Before(oldest.began)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	oldest.Close("another connection needs the room")
	delete(s.sessions, oldest)
	return true
}

// backoff is the pauses between attempts: 5 ms, doubling up to a second.
type backoff struct{ last time.Duration }

func (b *backoff) wait(ctx context.Context) {
	b.last = min(max(2*b.last, 5*time.Millisecond), time.Second)
	t := time.NewTimer(b.last)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
