// Package sse writes server-sent events (WHATWG HTML, section 9.2) to pages that
// may be slow, or gone.
package sse

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Writer writes to one page.
type Writer struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	deadline time.Duration
	ctx      context.Context // of the page

	mu   sync.Mutex
	over bool // the response is done; it must not be touched
}

// New returns a writer for the answer to a request. A write that the page does
// not take within deadline fails; none begins once ctx is done. Its owner calls
// Finish before the handler returns.
func New(ctx context.Context, w http.ResponseWriter, deadline time.Duration) *Writer {
	return &Writer{w: w, control: http.NewResponseController(w), deadline: deadline, ctx: ctx}
}

// Begin sets the headers of the answer; the first Write sends them.
func (o *Writer) Begin(r *http.Request) {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the messages back
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // the deadlines are the connection's
	}
}

// Write writes whole frames and sends them.
func (o *Writer) Write(frames []byte) error {
	if err := o.ready(); err != nil {
		return err
	}
	if _, err := o.w.Write(frames); err != nil {
		return err
	}
	return o.control.Flush()
}

// ready gives the page its time, unless it is cut: under the lock, so that an
// Interrupt is not undone.
func (o *Writer) ready() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.ctx.Err(); err != nil {
		return err
	}
	// A writer without deadlines is a test's; the server's has them.
	_ = o.control.SetWriteDeadline(time.Now().Add(o.deadline))
	return nil
}

// Interrupt ends a write that waits for the page; anybody may call it, when ctx is
// done.
func (o *Writer) Interrupt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		_ = o.control.SetWriteDeadline(time.Now())
	}
}

// Finish says that the handler returns: the response is not touched any more.
func (o *Writer) Finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}
