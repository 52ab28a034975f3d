package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/quiet"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

const (
	maxCommand = 64 << 10  // bytes of a command or of metadata
	maxAudio   = 256 << 10 // bytes of an audio message
	maxControl = 64        // bytes of a protocol control message
	// What the header of a message may claim: more of one who has shown a key.
	reserveUnknown   = 4 << 10
	reservePublisher = 256 << 10
	// How long a client that has been told why may take to hang up, and how
	// much it may send meanwhile. Closing at once would lose the words.
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// session is one connection. All but Close and Stats is done by the goroutine
// that runs it.
type session struct {
	cfg   Config
	keys  Keys
	host  ingest.Host
	log   *slog.Logger
	conn  net.Conn
	began time.Time

	in         *chunk.Reader
	out        output
	ackEvery   uint64 // bytes, half of what the client wants
	acked      uint64
	places     []string // where the key can be but in the stream's name
	connected  bool
	streams    uint32       // message streams made, their ids are 1 to this
	take       *publication // nil while nothing is published
	publishing atomic.Bool  // take is not nil
	stats      statistics

	mu     sync.Mutex // of what follows
	closed bool
	reason string // why it was closed
}

func newSession(s *Server, conn net.Conn, id string) *session {
	return &session{
		cfg: s.cfg, keys: s.keys, host: s.host, conn: conn, began: time.Now(),
		log:      s.log.With("session", id, "remote", conn.RemoteAddr().String()),
		out:      output{conn: conn, chunks: chunk.NewWriter()},
		ackEvery: uint64(s.cfg.WindowAckSize) / 2,
	}
}

// run serves the connection until it is over.
func (s *session) run(ctx context.Context) {
	defer s.conn.Close()
	err := s.serve(ctx)
	s.end(err)
}

func (s *session) serve(ctx context.Context) error {
	deadline := s.began.Add(s.cfg.SetupTimeout)
	_ = s.conn.SetWriteDeadline(deadline)
	s.until(deadline)
	if err := handshake(s.conn); err != nil {
		return err
	}
	s.in = chunk.NewReader(quiet.Reader(s.conn), s.limits())
	for {
		m, err := s.in.Next()
		if err != nil {
			return err
		}
		s.acknowledge()
		if err := s.message(ctx, m); err != nil {
			return err
		}
	}
}

// limits are those for a client that publishes, or not yet.
func (s *session) limits() chunk.Limits {
	media, audio, reserve := maxCommand, maxCommand, reserveUnknown
	if s.publishing.Load() {
		media, audio, reserve = s.cfg.MaxMessage, maxAudio, reservePublisher
	}
	return chunk.Limits{Reserve: reserve, Pending: media + 2*maxAudio, Message: func(kind uint8) int {
		switch {
		case kind <= chunk.SetPeerBandwidth:
			return maxControl
		case kind == chunk.Video || kind == chunk.Aggregate:
			return media
		case kind == chunk.Audio:
			return audio
		}
		return maxCommand
	}}
}

// until sets when reading gives up.
func (s *session) until(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = s.conn.SetReadDeadline(t)
	}
}

// Close cuts the connection and tells the client why. It does not wait.
func (s *session) Close(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed, s.reason = true, reason
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// RequestKeyFrame does nothing: RTMP has no way to ask.
func (s *session) RequestKeyFrame() {}

// Stats is the state of the connection now.
func (s *session) Stats() ingest.Stats {
	return ingest.Stats{
		PacketsReceived: s.stats.messages.Load(),
		Jitter:          time.Duration(s.stats.jitter.Load()),
		RoundTrip:       roundTrip(s.conn),
	}
}

// end leaves the broadcast and tells the client why, if it did not hang up.
func (s *session) end(err error) {
	r := s.ending(err)
	s.logEnd(r)
	if s.take != nil {
		s.leave(false, r.message)
	}
	if r.code == "" || !s.connected {
		return
	}
	s.out.status(s.streams, "error", r.code, r.message)
	s.linger()
}

// logEnd notes the end of a connection; of those that never spoke RTMP, such as
// port scans, only for who looks closely.
func (s *session) logEnd(r refusal) {
	level := slog.LevelDebug
	if s.connected {
		level = slog.LevelInfo
	}
	values := []any{"reason", r.message}
	if r.err != nil {
		values = append(values, "error", r.err)
	}
	s.log.Log(context.Background(), level, "an RTMP connection ended", values...)
}

// ending says how a connection ended: in words and, if the client is to hear of
// it, with a code.
func (s *session) ending(err error) refusal {
	s.mu.Lock()
	closed, reason := s.closed, s.reason
	s.mu.Unlock()
	var r refusal
	var network net.Error
	switch {
	case closed:
		return refusal{code: codeFailed, message: reason}
	case errors.As(err, &r):
		return r
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal{code: codeFailed, message: s.late()}
	case errors.Is(err, io.EOF), errors.As(err, &network):
		return refusal{message: "the publisher closed the connection", err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refusal{message: "the connection was lost", err: err}
	case errs.CodeOf(err) == errs.Unsupported:
		return refusal{code: codeRejected, message: errs.MessageOf(err), err: err}
	}
	return refusal{code: codeFailed, message: "what came is no RTMP: " + err.Error(), err: err}
}

// late says what did not come in time.
func (s *session) late() string {
	if s.publishing.Load() {
		return fmt.Sprintf("no media came for %v", s.cfg.IdleTimeout)
	}
	return fmt.Sprintf("nothing was published within %v", s.cfg.SetupTimeout)
}

// linger waits until the client has read what it was told.
func (s *session) linger() {
	if c, ok := s.conn.(interface{ CloseWrite() error }); !ok || c.CloseWrite() != nil {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, s.conn, lingerBytes) // whatever ends it, it is over
}

// acknowledge says how much has come, if it is time.
func (s *session) acknowledge() {
	if n := s.in.Received(); n-s.acked >= s.ackEvery {
		s.acked = n
		s.out.control(chunk.Acknowledgement, uint32(n))
	}
}

// underlying returns the connection below TLS.
func underlying(conn net.Conn) net.Conn {
	if c, ok := conn.(*tls.Conn); ok {
		return c.NetConn()
	}
	return conn
}

// statistics is what Stats tells, of all goroutines.
type statistics struct {
	messages atomic.Int64
	jitter   atomic.Int64 // ns
}

// arrived counts a message and, of video, learns how evenly they come (RFC 3550,
// 6.4.1). delay is arrival minus timestamp, previous that of the one before.
func (s *statistics) arrived(delay, previous time.Duration) {
	d := (delay - previous).Abs()
	if d > time.Second {
		return // a clock set anew
	}
	j := s.jitter.Load()
	s.jitter.Store(j + (int64(d)-j)/16)
}
