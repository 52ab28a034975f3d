package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// What takes its time answers in lines of JSON: how far it is, now and then that it
// is still there, and in the end its result or failure. It ends with the command
// that asked for it.

const (
	aliveEvery    = 5 * time.Second
	progressEvery = 500 * time.Millisecond
	// silence is how long the command waits for the next line.
	silence = time.Minute
)

// line is one of them; without any field it says that the work goes on.
type line struct {
	Progress string          `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Failure  *failure        `json:"failure,omitempty"`
}

// handleLong answers such a call. The work ends with running, too.
func handleLong[In, Out any](running context.Context, mux *http.ServeMux, op longOperation[In, Out], ops Operations, logger *slog.Logger) {
	mux.HandleFunc("POST "+op.path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if !readInto(w, r, &in) {
			return
		}
		control := http.NewResponseController(w)
		// The server's time for a request is over long before this is; the
		// connection's end still ends the work.
		if err := control.SetReadDeadline(time.Time{}); err != nil {
			reply(w, http.StatusInternalServerError, failure{Code: errs.Internal, Message: err.Error()})
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := &lines{w: w, control: control}
		out.write(line{})
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		stop := out.keepAlive()
		result, err := op.run(ops, ctx, in, out.progress)
		stop()
		if err != nil {
			logger.Warn("a command failed", "operation", op.path, "error", err)
			out.write(line{Failure: &failure{Code: errs.CodeOf(err), Message: err.Error()}})
			return
		}
		logger.Info("did a command", "operation", op.path)
		raw, err := json.Marshal(result)
		if err != nil {
			out.write(line{Failure: &failure{Code: errs.Internal, Message: "the result cannot be encoded: " + err.Error()}})
			return
		}
		out.write(line{Result: raw})
	})
}

// lines writes them.
type lines struct {
	mu      sync.Mutex
	w       io.Writer
	control *http.ResponseController
	told    time.Time
}

// write writes a line. A command that has gone away is noticed by the context.
func (l *lines) write(v line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.control.SetWriteDeadline(time.Now().Add(callTime))
	if json.NewEncoder(l.w).Encode(v) == nil {
		_ = l.control.Flush()
	}
}

// progress tells how far the work is, not too often.
func (l *lines) progress(what string) {
	l.mu.Lock()
	soon := time.Since(l.told) < progressEvery
	if !soon {
		l.told = time.Now()
	}
	l.mu.Unlock()
	if !soon && what != "" {
		l.write(line{Progress: what})
	}
}

// keepAlive says now and then that the work goes on, until stop.
func (l *lines) keepAlive() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(aliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.write(line{})
			case <-done:
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// callLong asks the running node and waits for as long as it is at work.
func callLong[In, Out any](ctx context.Context, c *client, op longOperation[In, Out], in In, progress func(string)) (Out, error) {
	var out Out
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	resp, err := c.send(asked, &http.Client{Transport: c.http.Transport}, http.MethodPost, op.path, body)
	if err != nil {
		return out, lostNode(ctx, err)
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(io.LimitReader(resp.Body, 4*maxResponse))
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := decoder.Decode(&f); err != nil {
			return out, errs.Newf(errs.Internal, "the running node answered %s", resp.Status)
		}
		return out, errs.New(f.Code, f.Message)
	}
	for {
		var l line
		if err := decoder.Decode(&l); err != nil {
			return out, lostNode(ctx, err)
		}
		watchdog.Reset(silence)
		switch {
		case l.Failure != nil:
			return out, errs.New(l.Failure.Code, l.Failure.Message)
		case l.Result != nil:
			return out, errs.Wrap(json.Unmarshal(l.Result, &out), errs.Internal, "the running node's answer cannot be read")
		case l.Progress != "" && progress != nil:
			progress(l.Progress)
		}
	}
}

func lostNode(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ended before the work was done")
	}
	return errs.Wrap(err, errs.Unavailable, "the running node did not answer to the end; it is safe to do this again")
}
