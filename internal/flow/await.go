package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Await waits, as one step, until poll says done, and returns its value and
// true; or until the deadline is past and poll still says no: then it returns
// false. A zero deadline waits for ever.
//
// poll is called at once, whenever somebody calls Engine.Wake(key), when the net
// finds the key (Engine.Net; without a net, now and then), and a last time after the deadline, so what happened in time
// counts even when nobody was there to see it. An error of poll with a
// permanent errs code ends the wait and is recorded; any other is polled
// again, and no deadline counts before poll has answered.
//
// A wait that is interrupted is taken up at the next start. Get the deadline
// from a step (Deadline does), so that it stays the same then.
func Await[T any](c Context, name, key string, deadline time.Time, poll func(ctx context.Context) (T, bool, error)) (T, bool, error) {
	var out T
	type result struct {
		Value T    `json:"value"`
		OK    bool `json:"ok"`
	}
	raw, err := c.step(name, func(ctx context.Context) (any, error) {
		c.doing.await(deadline)
		value, ok, err := wait(ctx, c, name, key, deadline, poll)
		return result{value, ok}, err
	}, []Option{Retries{Max: 0}})
	if err != nil {
		return out, false, err
	}
	var res result
	if err := json.Unmarshal(raw, &res); err != nil {
		return out, false, fmt.Errorf("the recorded result of %s: %w", name, err)
	}
	return res.Value, res.OK, nil
}

// pollPause is the least time between two polls when poll fails.
const pollPause = time.Second

func wait[T any](ctx context.Context, c Context, name, key string, deadline time.Time, poll func(ctx context.Context) (T, bool, error)) (T, bool, error) {
	var zero T
	// Registered before the first poll: nothing between the two is missed.
	woken, forget := c.engine.waits.add(key)
	defer forget()

	due := time.NewTimer(untilNextLook(deadline))
	defer due.Stop()
	for {
		late := past(deadline)
		if !late {
			due.Reset(untilNextLook(deadline))
		}
		value, done, err := poll(ctx)
		var again <-chan time.Time
		switch {
		case ctx.Err() != nil:
			return zero, false, ctx.Err()
		case err != nil && permanent(err):
			return zero, false, err
		case err != nil:
			c.engine.log.Warn("polling failed", "id", c.id, "step", name, "err", err)
			c.doing.failed(err, pollPause)
			again = time.After(pollPause)
		case done:
			return value, true, nil
		case late:
			return zero, false, nil
		}
		for waiting := true; waiting; {
			waiting = false
			select {
			case <-woken:
			case <-due.C:
				if waiting = !past(deadline); waiting {
					due.Reset(untilNextLook(deadline))
				}
			case <-again:
			case <-ctx.Done():
				return zero, false, ctx.Err()
			}
		}
	}
}

// clockLook is how often a flow that waits looks at the clock, which may have
// been set meanwhile.
const clockLook = time.Minute

func untilNextLook(deadline time.Time) time.Duration {
	if deadline.IsZero() {
		return clockLook
	}
	return min(time.Until(deadline), clockLook)
}

func past(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// Deadline returns the time that was d from now when the flow first came here.
func Deadline(c Context, name string, d time.Duration) (time.Time, error) {
	ms, err := Step(c, name, func(context.Context) (int64, error) {
		return time.Now().Add(d).UnixMilli(), nil
	})
	return time.UnixMilli(ms).UTC(), err
}

// Sleep waits until the given time, which comes from a step (Deadline).
func Sleep(c Context, name string, until time.Time) error {
	_, _, err := Await(c, name, "", until, func(context.Context) (struct{}, bool, error) {
		return struct{}{}, false, nil
	})
	return err
}

// waits holds who waits for which key in this process.
type waits struct {
	mu    sync.Mutex
	byKey map[string]map[chan struct{}]struct{}
}

func newWaits() *waits { return &waits{byKey: map[string]map[chan struct{}]struct{}{}} }

func (w *waits) add(key string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey[key] == nil {
		w.byKey[key] = map[chan struct{}]struct{}{}
	}
	w.byKey[key][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byKey[key], ch)
		if len(w.byKey[key]) == 0 {
			delete(w.byKey, key)
		}
	}
}

func (w *waits) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	nudge(w.byKey[key])
}

func (w *waits) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byKey) > 0
}

func (w *waits) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, chans := range w.byKey {
		nudge(chans)
	}
}

// nudge never waits: a channel that is full holds a wake that is not yet heard.
func nudge(chans map[chan struct{}]struct{}) {
	for ch := range chans {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
