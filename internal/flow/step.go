package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// Forever, as Retries.Max, tries a step again until it succeeds.
const Forever = -1

// Retries says how often a step that failed is tried again, and how long to
// wait before: Base, then twice as long each time, up to MaxDelay. Tries are
// counted in memory: after a restart the count begins anew.
type Retries struct {
	Max      int           // 0: never; Forever: until it succeeds
	Base     time.Duration // 100 ms when zero
	MaxDelay time.Duration // 10 s when zero
}

// DefaultRetries bridge a database or network that is away for about a minute.
func DefaultRetries() Retries {
	return Retries{Max: 10, Base: 100 * time.Millisecond, MaxDelay: 10 * time.Second}
}

// Option changes how a step runs.
type Option interface{ apply(*stepConfig) }

type stepConfig struct{ retries Retries }

func (r Retries) apply(c *stepConfig) { c.retries = r }

// Step runs fn as the named step of the flow, unless an earlier run of the flow
// finished it: then it returns what was recorded. The result is recorded as
// JSON. fn runs at least once, and again when the run is interrupted before the
// record is written.
//
// An error of fn is tried again (DefaultRetries, or a Retries option) unless
// its errs code says that it cannot get better: Invalid, NotFound, Conflict,
// Unauthenticated, Forbidden, Unsupported. The last error is recorded too, so
// a later run takes the same path; what Step returns has its code and message,
// and its text as the wrapped error.
func Step[T any](c Context, name string, fn func(ctx context.Context) (T, error), opts ...Option) (T, error) {
	var out T
	raw, err := c.step(name, func(ctx context.Context) (any, error) { return fn(ctx) }, opts)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("the recorded result of step %s: %w", name, err)
	}
	return out, nil
}

// record is what a step leaves in the database: its value or its error.
type record struct {
	Value  json.RawMessage `json:"value,omitempty"`
	Error  *recordedError  `json:"error,omitempty"`
	Tries  int             `json:"tries,omitempty"`  // absent in records of older builds
	Failed []FailedTry     `json:"failed,omitempty"` // before the last one
	Parked *unrecorded     `json:"parked,omitempty"` // of a wait that is not over: never recorded
}

type recordedError struct {
	Code    errs.Code `json:"code,omitempty"`    // empty for an error without one
	Message string    `json:"message,omitempty"` // for people
	Text    string    `json:"text"`              // for the log
}

func recordError(err error) *recordedError {
	rec := &recordedError{Text: err.Error()}
	var coded *errs.Error
	if errors.As(err, &coded) {
		rec.Code, rec.Message = coded.Code, coded.Message
	}
	return rec
}

func (r *recordedError) err() error {
	if r.Code == "" {
		return errors.New(r.Text)
	}
	return errs.Wrap(errors.New(r.Text), r.Code, r.Message)
}

func (x *execution) step(name string, fn func(ctx context.Context) (any, error), opts []Option) (json.RawMessage, error) {
	if x.ended != nil {
		return nil, x.ended
	}
	if x.ctx.Err() != nil {
		return nil, x.interrupt(context.Cause(x.ctx))
	}
	if !x.inStep.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("flow %s: step %s began inside another step", x.id, name)
	}
	defer x.inStep.Store(false)

	cfg := stepConfig{retries: DefaultRetries()}
	for _, o := range opts {
		o.apply(&cfg)
	}
	rec, err := dbos.RunAsStep(x.dbos, func(context.Context) (record, error) {
		x.doing.begin(name)
		defer x.doing.end()
		value, err := x.attempt(name, fn, cfg.retries)
		if x.ctx.Err() != nil {
			// Not recorded, whatever came out of it: DBOS sees that its own
			// context is done or that the flow is no longer this run's.
			return record{}, context.Cause(x.ctx)
		}
		if errors.Is(err, errParked) {
			return record{Parked: &unrecorded{}}, nil
		}
		rec := record{Value: value}
		rec.Tries, rec.Failed = x.doing.tries()
		if err != nil {
			rec.Error = recordError(err)
		}
		return rec, nil
	}, dbos.WithStepName(name))
	failpoint.Pass("flow.step.recorded", name)
	switch {
	case err != nil:
		return nil, x.interrupt(err)
	case rec.Error != nil:
		return nil, rec.Error.err()
	}
	return rec.Value, nil
}

// attempt runs fn until it succeeds, cannot succeed or may not be tried again.
func (x *execution) attempt(name string, fn func(ctx context.Context) (any, error), r Retries) (json.RawMessage, error) {
	delay := r.Base
	if delay <= 0 {
		delay = 100 * time.Millisecond
	}
	limit := r.MaxDelay
	if limit <= 0 {
		limit = 10 * time.Second
	}
	for try := 1; ; try++ {
		x.doing.try()
		value, err := x.once(name, fn)
		if err == nil {
			return value, nil
		}
		if x.ctx.Err() != nil || permanent(err) || (r.Max >= 0 && try > r.Max) {
			return nil, err
		}
		x.engine.log.Warn("step failed, trying again", "id", x.id, "step", name, "try", try, "after", delay, "err", err)
		x.doing.failed(err, delay)
		select {
		case <-x.ctx.Done():
			return nil, err
		case <-time.After(delay):
		}
		delay = min(2*delay, limit)
	}
}

// once runs fn and encodes what it returns. A panic is a bug, which another try
// does not mend: it becomes an error, so that the flow can say what happened.
func (x *execution) once(name string, fn func(ctx context.Context) (any, error)) (raw json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			x.engine.log.Error("step panicked", "id", x.id, "step", name, "panic", p, "stack", string(debug.Stack()))
			raw, err = nil, &panicError{fmt.Sprintf("step %s panicked: %v", name, p)}
		}
	}()
	failpoint.Pass("flow.step", name)
	value, err := fn(x.ctx)
	if err != nil {
		return nil, err
	}
	failpoint.Pass("flow.step.done", name)
	raw, err = json.Marshal(value)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "the result of step "+name+" cannot be encoded")
	}
	return raw, nil
}

type panicError struct{ text string }

func (e *panicError) Error() string { return e.text }

// permanent says whether trying again cannot help.
func permanent(err error) bool {
	var p *panicError
	if errors.As(err, &p) {
		return true
	}
	switch errs.CodeOf(err) {
	case errs.Invalid, errs.NotFound, errs.Conflict, errs.Unauthenticated, errs.Forbidden, errs.Unsupported:
		return true
	}
	return false
}
