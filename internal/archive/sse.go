package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/sse"
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
	out := sse.New(ctx, w, l.cfg.WriteDeadline)
	defer out.Finish()
	stopInterrupt := context.AfterFunc(ctx, out.Interrupt)
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
	l.write(ctx, out, v, r)
}

// admit returns what an admin wants to see.
func (l *Live) admit(r *http.Request) (filter, error) {
	if _, err := identity.Require(r.Context(), identity.Admin); err != nil {
		return filter{}, err
	}
	q := r.URL.Query()
	for _, v := range []struct {
		name string
		most int
	}{{"source", maxName}, {"type", maxName}, {"about", maxID}} {
		if n := utf8.RuneCountInString(q.Get(v.name)); n > v.most {
			return filter{}, errs.At(errs.Place{Location: "query." + v.name, Message: fmt.Sprintf("expected length <= %d", v.most)})
		}
	}
	p, err := compile("query.pattern", q.Get("pattern"))
	return filter{source: q.Get("source"), detailType: q.Get("type"), about: q.Get("about"), pattern: p}, err
}

// The longest of what somebody looks for, in characters: as the tags of
// EventsQuery have it.
const (
	maxName = 256
	maxID   = 128
)

var errOver = errors.New("the session is over")

// write writes what is queued until the page goes, is cut or its session ends.
func (l *Live) write(ctx context.Context, out *sse.Writer, v *viewer, r *http.Request) {
	out.Begin(r)
	heartbeat := time.NewTicker(l.cfg.Heartbeat)
	defer heartbeat.Stop()
	session := time.NewTicker(l.cfg.SessionCheck)
	defer session.Stop()
	err := out.Write([]byte("retry: 3000\nevent: listening\ndata: {}\n\n"))
	for err == nil {
		select {
		case frame := <-v.queue:
			l.read(v, frame)
			err = out.Write(frame)
		case <-heartbeat.C:
			err = out.Write([]byte(": still here\n\n"))
		case <-session.C:
			err = l.stillAdmin(ctx, r)
		case <-ctx.Done():
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
