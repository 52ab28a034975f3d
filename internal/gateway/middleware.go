package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// request is what the gateway knows about a request while it is served.
type request struct {
	id  string
	err error // why it failed, for the log
}

type requestKey struct{}

func requestFrom(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

func requestID(ctx context.Context) string {
	if r := requestFrom(ctx); r != nil {
		return r.id
	}
	return ""
}

// noteError keeps why a request failed for its line in the log.
func noteError(ctx context.Context, err error) {
	if r := requestFrom(ctx); r != nil {
		r.err = err
	}
}

// Handler is everything the gateway serves.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serve) }

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	info := &request{id: id.New()}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, info))
	c := classOf(r.URL.Path)
	w.Header().Set("X-Request-Id", info.id)

	if !c.wrapped() {
		defer func() {
			g.metrics.unwatched(r)
			g.recovered(recover(), nil, r)
		}()
		g.admit(c, w, r)
		return
	}
	watched := &watcher{ResponseWriter: w}
	defer func() {
		g.recovered(recover(), watched, r)
		elapsed := time.Since(began)
		g.metrics.watched(r, watched.status(), elapsed)
		g.log(r, info, watched.status(), elapsed)
	}()
	g.admit(c, watched, r)
}

// maxRawBody bounds, in bytes, the bodies of raw routes: an SDP is some kB, a
// PutEvents at most ten events.
const maxRawBody = 4 << 20

// admit lets a request through to its handler, or says why not.
func (g *Gateway) admit(c class, w http.ResponseWriter, r *http.Request) {
	secure(c, w, r)
	if g.origins.allow(c, w, r) {
		return
	}
	if c != bearer && g.origins.forged(r) {
		Fail(w, r, errs.New(errs.Forbidden, "a page of another site may not do this"))
		return
	}
	if c == apiCalls && !g.limit(w, r) {
		return
	}
	if err := checkText(c, r); err != nil {
		Fail(w, r, err)
		return
	}
	ctx, err := g.identify(c, r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	if c == bearer && r.Body != nil {
		// Operations of the API have their own limit, 1 MB where they say nothing.
		r.Body = http.MaxBytesReader(w, r.Body, maxRawBody)
	}
	// The mux writes the pattern that it chose into the request it is given.
	inner := r.WithContext(withBase(ctx, r))
	defer func() { r.Pattern = inner.Pattern }()
	g.mux.ServeHTTP(w, inner)
}

// identify puts the signed-in user into the context.
func (g *Gateway) identify(c class, r *http.Request) (context.Context, error) {
	ctx := r.Context()
	if g.cfg.Authenticate == nil || c == operators || c == webPages {
		return ctx, nil
	}
	if strings.HasPrefix(r.URL.Path, "/live/") {
		return ctx, nil // public, and asked for several times a second
	}
	if c == bearer && g.origins.foreign(r) {
		return ctx, nil // a foreign page may use a token, never our user's cookie
	}
	p, ok, err := g.cfg.Authenticate(ctx, r)
	switch {
	case err != nil && c == media:
		// What is public plays on while the database does not answer.
		g.cfg.Logger.WarnContext(ctx, "nobody can be identified", "err", err)
		return ctx, nil
	case err != nil:
		return ctx, errs.Wrap(err, errs.Unavailable, "who you are cannot be looked up now; try again")
	case ok:
		return identity.With(ctx, p), nil
	}
	return ctx, nil
}

// recovered ends a request whose handler panicked: with a problem document
// where nothing was written yet, else by breaking the connection, so that the
// client does not take half an answer for a whole one.
func (g *Gateway) recovered(cause any, w *watcher, r *http.Request) {
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	err := fmt.Errorf("panic: %v", cause)
	g.cfg.Logger.ErrorContext(r.Context(), "a handler panicked",
		"method", r.Method, "path", r.URL.Path, "request", requestID(r.Context()), "err", err, "stack", string(debug.Stack()))
	if w == nil || w.code != 0 {
		panic(http.ErrAbortHandler)
	}
	Fail(w, r, err)
}

// log writes a line about a request: what failed by our fault always, the rest
// when debugging.
func (g *Gateway) log(r *http.Request, info *request, status int, elapsed time.Duration) {
	level := slog.LevelDebug
	gone := errors.Is(info.err, context.Canceled) && r.Context().Err() != nil
	if status >= http.StatusInternalServerError && !gone {
		level = slog.LevelError
	}
	if !g.cfg.Logger.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Duration("took", elapsed), slog.String("remote", r.RemoteAddr), slog.String("request", info.id),
	}
	if info.err != nil {
		attrs = append(attrs, slog.Any("err", info.err))
	}
	g.cfg.Logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// watcher sees the status of an answer. It stands only before handlers that
// write small answers: http.ResponseController finds the real writer behind it.
type watcher struct {
	http.ResponseWriter
	code int
}

func (w *watcher) WriteHeader(code int) {
	if w.code == 0 && code >= http.StatusOK { // 1xx announce, they are no answer
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *watcher) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watcher) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}
