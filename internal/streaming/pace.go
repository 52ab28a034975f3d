package streaming

import (
	"io"
	"math"
	"net/http"
	"time"
)

const (
	// paceStep is how many bytes a client has to take in slowestStep: 17 kbit/s, less
	// than any player needs. One that pauses for longer asks again for the rest.
	paceStep    = 256 << 10
	slowestStep = 2 * time.Minute
)

// pacedWriter gives a client time for each step of an answer, so that one of any
// length can be had, and one that is not read is cut. Where what is written is a
// file and the server can send it without copying, it does.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	step    time.Duration
	cut     bool
}

func newPacedWriter(w http.ResponseWriter, step time.Duration) *pacedWriter {
	return &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), step: step}
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begin gives the client time for the next step. A server that has no deadlines to
// set serves without.
func (w *pacedWriter) begin() { _ = w.control.SetWriteDeadline(time.Now().Add(w.step)) }

// done takes the deadline away: the connection's next answer has its own. One that
// is cut has no next.
func (w *pacedWriter) done() {
	if !w.cut {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

// Write writes in steps.
func (w *pacedWriter) Write(p []byte) (n int, err error) {
	for first := true; first || n < len(p) && err == nil; first = false {
		w.begin()
		var m int
		m, err = w.ResponseWriter.Write(p[n:min(n+paceStep, len(p))])
		n += m
	}
	w.cut = w.cut || err != nil
	return n, err
}

// ReadFrom copies in steps. The server knows a file that it can send without
// copying only under one io.LimitedReader, so that of ServeContent is taken off.
func (w *pacedWriter) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(onlyWriter{w}, src)
	}
	left := int64(math.MaxInt64)
	limited, ok := src.(*io.LimitedReader)
	if ok {
		src, left = limited.R, limited.N
		defer func() { limited.N -= n }()
	}
	for n < left && err == nil {
		step := min(left-n, paceStep)
		w.begin()
		var m int64
		m, err = to.ReadFrom(&io.LimitedReader{R: src, N: step})
		n += m
		if m < step {
			break
		}
	}
	w.cut = w.cut || err != nil
	return n, err
}

// onlyWriter hides ReadFrom.
type onlyWriter struct{ io.Writer }
