package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxRequest = 64 << 10 // bytes of a request's body
	// callTime is how long a call may take; hashing a password is the longest
	// part, and several may wait for it.
	callTime = 30 * time.Second
)

// Server answers the calls of commands while a node runs.
type Server struct {
	dir    string
	http   *http.Server
	logger *slog.Logger
	done   chan struct{}      // closed when serving has ended
	end    context.CancelFunc // of the calls that take their time
}

// Serve listens on a free loopback port, writes dir/admin.json and answers calls
// with ops until Close. The caller must hold the folder's lock.
func Serve(dir string, ops Operations, logger *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	token := newToken()
	running, end := context.WithCancel(context.Background())
	s := &Server{dir: dir, logger: logger, done: make(chan struct{}), end: end}
	s.http = &http.Server{
		Handler:           authorized(token, routes(running, ops, logger)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       callTime,
		WriteTimeout:      callTime + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the admin server ended", "error", err)
		}
	}()
	// The file comes last: who can read it, finds somebody listening.
	if err := (address{Address: l.Addr().String(), Token: token, PID: os.Getpid()}).write(dir); err != nil {
		end()
		return nil, errors.Join(unusable(dir, err), s.http.Close())
	}
	return s, nil
}

// Close removes admin.json, ends the calls that take their time, lets the others
// end until ctx is done, and stops.
func (s *Server) Close(ctx context.Context) error {
	s.end()
	err := os.Remove(addressPath(s.dir))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	shutdownErr := s.http.Shutdown(ctx)
	if shutdownErr != nil {
		shutdownErr = errors.Join(shutdownErr, s.http.Close())
	}
	<-s.done
	return errors.Join(err, shutdownErr)
}

func routes(running context.Context, ops Operations, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	handle(mux, addUser(), ops, logger)
	handle(mux, listChannels(), ops, logger)
	handle(mux, rotateKey(), ops, logger)
	handle(mux, startSimulation(), ops, logger)
	handle(mux, followSimulation(), ops, logger)
	handle(mux, stopSimulation(), ops, logger)
	handleLong(running, mux, check(), ops, logger)
	handleLong(running, mux, rebuildHistory(), ops, logger)
	profiles(mux)
	return mux
}

// profiles offers Go's profiles and execution traces, as net/http/pprof has them:
// whoever runs the node can see where its time and memory go without building it
// anew. One may take callTime at most.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
}

func handle[In, Out any](mux *http.ServeMux, op operation[In, Out], ops Operations, logger *slog.Logger) {
	mux.HandleFunc("POST "+op.path, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTime)
		defer cancel()
		var in In
		if !readInto(w, r, &in) {
			return
		}
		out, err := op.run(ops, ctx, in)
		if err != nil {
			logger.Warn("a command failed", "operation", op.path, "error", err)
			reply(w, http.StatusUnprocessableEntity, failure{Code: errs.CodeOf(err), Message: err.Error()})
			return
		}
		level := slog.LevelInfo
		if op.quiet {
			level = slog.LevelDebug
		}
		logger.Log(ctx, level, "did a command", "operation", op.path)
		reply(w, http.StatusOK, out)
	})
}

// readInto reads a request's body; else it has answered.
func readInto(w http.ResponseWriter, r *http.Request, in any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(in); err != nil {
		reply(w, http.StatusBadRequest, failure{Code: errs.Invalid, Message: "the request cannot be read: " + err.Error()})
		return false
	}
	return true
}

// failure is an error on its way to the command. The operator may read all of
// it, so Message is the whole error text.
type failure struct {
	Code    errs.Code `json:"code"`
	Message string    `json:"message"`
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Nothing can be done for a command that has gone away.
	_ = json.NewEncoder(w).Encode(body)
}

// authorized lets only calls with the token through.
func authorized(token string, next http.Handler) http.Handler {
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			reply(w, http.StatusUnauthorized, failure{Code: errs.Unauthenticated, Message: "the token of admin.json is needed"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
