package flow

import (
	"context"
	"encoding/json"
	"fmt"
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
// A wait that is interrupted is taken up at the next start, and one that takes
// long ends its run to begin again when there is something to see (park.go): the
// function then runs once more from its beginning, on its records. Get the deadline
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
	w := c.engine.waits.add(key)
	defer c.engine.waits.remove(w)

	grace := time.NewTimer(c.engine.cfg.Park)
	defer grace.Stop()
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
			case <-w.woken:
			case <-due.C:
				if waiting = !past(deadline); waiting {
					due.Reset(untilNextLook(deadline))
				}
			case <-again:
			case <-grace.C:
				if err == nil && c.park(w, deadline) {
					return zero, false, errParked
				}
				grace.Reset(c.engine.cfg.Park)
				waiting = true
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
