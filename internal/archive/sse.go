package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// Routes registers the live view's route.
func (l *Live) Routes(mux *http.ServeMux) { mux.HandleFunc("GET /events/live", l.serve) }

// serve is GET /events/live?source=&type=&about=&pattern=: for admins, events as
// they pass and the changes of deliveries as server-sent events (WHATWG HTML,
// section 9.2) by the names event (an EventView) and delivery. It is not among
// the operations of the API: it does not end.
func (l *Live) serve(w http.ResponseWriter, r *http.Request) {
	f, err := l.admit(r)
	if err != nil {
		l.cfg.Fail(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stopClosing := context.AfterFunc(l.closing, cancel)
	defer stopClosing()
	out := &stream{w: w, control: http.NewResponseController(w), deadline: l.cfg.WriteDeadline, ctx: ctx}
	defer out.finish()
	stopInterrupt := context.AfterFunc(ctx, out.interrupt)
	defer stopInterrupt()
	v := &viewer{filter: f, queue: make(chan []byte, l.cfg.MaxQueue), cut: cancel}
	joined, err := l.join(v)
	switch {
	case err != nil:
		l.cfg.Fail(w, r, err)
		return
	case !joined:
		l.cfg.Fail(w, r, errs.Newf(errs.Unavailable, "%d pages look at the events already, or the node is stopping; try again later", l.cfg.MaxViewers))
		return
	}
	defer l.leave(v)
	l.write(out, v, r)
}

// admit returns what an admin wants to see.
func (l *Live) admit(r *http.Request) (filter, error) {
	if _, err := identity.Require(r.Context(), identity.Admin); err != nil {
		return filter{}, err
	}
	q := r.URL.Query()
	p, err := compile("query.pattern", q.Get("pattern"))
	return filter{source: q.Get("source"), detailType: q.Get("type"), about: q.Get("about"), pattern: p}, err
}

var errOver = errors.New("the session is over")

// write writes what is queued until the page goes, is cut or its session ends.
func (l *Live) write(out *stream, v *viewer, r *http.Request) {
	h := out.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the messages back
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // the deadlines are the connection's
	}
	heartbeat := time.NewTicker(l.cfg.Heartbeat)
	defer heartbeat.Stop()
	session := time.NewTicker(l.cfg.SessionCheck)
	defer session.Stop()
	err := out.write([]byte("retry: 3000\nevent: listening\ndata: {}\n\n"))
	for err == nil {
		select {
		case frame := <-v.queue:
			l.read(v, frame)
			err = out.write(frame)
		case <-heartbeat.C:
			err = out.write([]byte(": still here\n\n"))
		case <-session.C:
			err = l.stillAdmin(out.ctx, r)
		case <-out.ctx.Done():
			return
		}
	}
}

// stillAdmin asks whether the session that a page began with still is an admin's.
// Nobody is sent away because the database does not answer.
func (l *Live) stillAdmin(ctx context.Context, r *http.Request) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	who, ok, err := l.cfg.Authenticate(ctx, r)
	if err != nil {
		l.log.Warn("archive: a session is not checked", "err", err)
		return nil
	}
	if !ok || !who.Roles.Has(identity.Admin) {
		return errOver
	}
	return nil
}

// stream writes to a page that may be slow.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	deadline time.Duration
	ctx      context.Context // of the page

	mu   sync.Mutex
	over bool // the response is done; it must not be touched
}

func (o *stream) write(b []byte) error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	// A writer without deadlines is a test's; the server's has them.
	_ = o.control.SetWriteDeadline(time.Now().Add(o.deadline))
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	return o.control.Flush()
}

// interrupt ends a write that waits for the page; others may call it.
func (o *stream) interrupt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		_ = o.control.SetWriteDeadline(time.Now())
	}
}

func (o *stream) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}

// oneLine is JSON without line breaks between its tokens.
func oneLine(text []byte) []byte {
	if !bytes.ContainsAny(text, "\r\n") {
		return text
	}
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return []byte("null") // it was valid JSON, so this is not reached
	}
	return b.Bytes()
}
