package flow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

type answer struct {
	Value string
	OK    bool
	Err   string
}

// awaiting registers a flow that awaits poll under the key "k" until d after it
// began (0: for ever).
func awaiting(e *flow.Engine, d time.Duration, deadlines chan<- time.Time, poll func(ctx context.Context) (string, bool, error)) {
	flow.Register(e, "await", func(c flow.Context, _ int) (answer, error) {
		var until time.Time
		if d > 0 {
			var err error
			if until, err = flow.Deadline(c, "deadline", d); err != nil {
				return answer{}, err
			}
		}
		if deadlines != nil {
			deadlines <- until
		}
		v, ok, err := flow.Await(c, "answer", "k", until, poll)
		if errors.Is(err, flow.ErrInterrupted) {
			return answer{}, err
		}
		if err != nil {
			return answer{Err: string(errs.CodeOf(err)) + ": " + errs.MessageOf(err)}, nil
		}
		return answer{Value: v, OK: ok}, nil
	})
}

func TestAwait(t *testing.T) {
	const never = time.Hour
	for _, tt := range []struct {
		name     string
		interval time.Duration
		limit    time.Duration
		wake     bool
		poll     func(n int64, answered bool) (string, bool, error)
		want     answer
	}{
		{"there at once", never, 0, false,
			func(int64, bool) (string, bool, error) { return "early", true, nil }, answer{Value: "early", OK: true}},
		{"woken", never, 0, true,
			func(_ int64, answered bool) (string, bool, error) { return "woken", answered, nil }, answer{Value: "woken", OK: true}},
		{"found by the slow poll", 20 * time.Millisecond, 0, false,
			func(_ int64, answered bool) (string, bool, error) { return "polled", answered, nil }, answer{Value: "polled", OK: true}},
		{"too late", never, 30 * time.Millisecond, false,
			func(int64, bool) (string, bool, error) { return "", false, nil }, answer{}},
		{"poll fails for a while", 20 * time.Millisecond, 30 * time.Millisecond, false,
			func(n int64, _ bool) (string, bool, error) {
				if n < 5 {
					return "", false, errors.New("the database is away")
				}
				return "in the end", true, nil
			}, answer{Value: "in the end", OK: true}},
		{"poll cannot succeed", never, 0, false,
			func(int64, bool) (string, bool, error) { return "", false, errs.New(errs.Forbidden, "not for you") },
			answer{Err: "forbidden: not for you"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg flow.Config) {
				cfg.PollInterval = tt.interval
				e := open(t, cfg)
				var polls atomic.Int64
				var answered atomic.Bool
				awaiting(e, tt.limit, nil, func(context.Context) (string, bool, error) {
					return tt.poll(polls.Add(1), answered.Load())
				})
				start(t, e)
				if err := flow.Run(context.Background(), e, "await", "a", 0); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "the first poll", func() bool { return polls.Load() > 0 })
				answered.Store(true)
				if tt.wake {
					e.Wake("another key")
					e.Wake("k")
				}
				info := waitStatus(t, e, "a", flow.Done)
				if got := decode[answer](t, info.Output); got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

// TestShutdownInMidAwait: a wait goes on after a restart with the deadline it
// had, and hears what came while nobody ran.
func TestShutdownInMidAwait(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.PollInterval = time.Hour
		deadlines := make(chan time.Time, 4)
		var polls atomic.Int64
		var answered atomic.Bool
		poll := func(context.Context) (string, bool, error) {
			polls.Add(1)
			return "while down", answered.Load(), nil
		}
		run := func() *flow.Engine {
			e := open(t, cfg)
			awaiting(e, time.Hour, deadlines, poll)
			start(t, e)
			return e
		}
		e := run()
		if err := flow.Run(context.Background(), e, "await", "a", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the first poll", func() bool { return polls.Load() == 1 })
		shutdown(t, e)
		e = run()
		waitFor(t, "the poll after the restart", func() bool { return polls.Load() == 2 })
		if first, second := <-deadlines, <-deadlines; !first.Equal(second) || first.IsZero() {
			t.Errorf("the deadline moved from %v to %v", first, second)
		}
		shutdown(t, e)
		answered.Store(true)
		e = run()
		if got := decode[answer](t, waitStatus(t, e, "a", flow.Done).Output); got != (answer{Value: "while down", OK: true}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestSleep(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		e := open(t, cfg)
		flow.Register(e, "nap", func(c flow.Context, _ int) (bool, error) {
			until, err := flow.Deadline(c, "when", 50*time.Millisecond)
			if err != nil {
				return false, err
			}
			if err := flow.Sleep(c, "sleep", until); err != nil {
				return false, err
			}
			return flow.Step(c, "awake", func(context.Context) (bool, error) { return !time.Now().Before(until), nil })
		})
		start(t, e)
		if err := flow.Run(context.Background(), e, "nap", "n", 0); err != nil {
			t.Fatal(err)
		}
		if info := waitStatus(t, e, "n", flow.Done); string(info.Output) != "true" {
			t.Error("it woke before its time")
		}
	})
}

// TestCancel: a cancelled flow lets go of its wait, takes no other step, and
// stays cancelled over restarts.
func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.PollInterval = time.Hour
		ctx := context.Background()
		var polls, after, ended atomic.Int64
		run := func() *flow.Engine {
			e := open(t, cfg)
			flow.Register(e, "patient", func(c flow.Context, _ int) (int, error) {
				defer ended.Add(1)
				_, _, err := flow.Await(c, "for ever", "k", time.Time{}, func(context.Context) (int, bool, error) {
					polls.Add(1)
					return 0, false, nil
				})
				if !errors.Is(err, flow.ErrInterrupted) {
					t.Errorf("the wait ended with %v", err)
				}
				_, _ = flow.Step(c, "after", func(context.Context) (int, error) { after.Add(1); return 0, nil })
				return 0, nil
			})
			start(t, e)
			return e
		}
		e := run()
		if err := flow.Run(ctx, e, "patient", "p", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "it waits", func() bool { return polls.Load() == 1 })
		if err := e.Cancel(ctx, "p"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the flow let go", func() bool { return ended.Load() == 1 })
		waitStatus(t, e, "p", flow.Cancelled)
		shutdown(t, e)
		e = run()
		if err := flow.Run(ctx, e, "patient", "p", 0); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "p", flow.Cancelled)
		if polls.Load() != 1 || after.Load() != 0 {
			t.Errorf("%d polls, %d steps after the end", polls.Load(), after.Load())
		}
	})
}

// TestManyFlows: many flows at once, stopped in the middle; after the restart
// all of them arrive, and no recorded step has run again.
func TestManyFlows(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		const flows, steps = 100, 4
		cfg.PollInterval = time.Hour
		ctx := context.Background()
		var ran calls
		var gate atomic.Bool // the gate in the middle of every flow
		run := func() *flow.Engine {
			e := open(t, cfg)
			flow.Register(e, "many", func(c flow.Context, n int) (int, error) {
				sum := 0
				for i := range steps {
					v, err := flow.Step(c, fmt.Sprint("step-", i), func(context.Context) (int, error) {
						ran.add(fmt.Sprint(n, "-", i))
						return n, nil
					})
					if err != nil {
						return 0, err
					}
					sum += v
					if i != 1 {
						continue
					}
					if _, _, err = flow.Await(c, "gate", "gate", time.Time{}, func(context.Context) (int, bool, error) {
						ran.add("gate")
						return 0, gate.Load(), nil
					}); err != nil {
						return 0, err
					}
				}
				return sum, nil
			})
			start(t, e)
			return e
		}
		e := run()
		var wg sync.WaitGroup
		for n := range flows {
			wg.Go(func() {
				if err := flow.Run(ctx, e, "many", fmt.Sprint("m-", n), n); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		waitFor(t, "all wait at the gate", func() bool { return ran.of("gate") == flows })
		shutdown(t, e)
		e = run()
		waitFor(t, "all wait at the gate again", func() bool { return ran.of("gate") == 2*flows })
		gate.Store(true)
		e.Wake("gate")
		waitFor(t, "all arrive", func() bool {
			list, err := e.List(ctx, flow.Filter{Status: []flow.Status{flow.Done}, Limit: 2 * flows})
			return err == nil && len(list) == flows
		})
		for n := range flows {
			for i := range steps {
				if got := ran.of(fmt.Sprint(n, "-", i)); got != 1 {
					t.Errorf("step %d of flow %d ran %d times", i, n, got)
				}
			}
			info, err := e.Status(ctx, fmt.Sprint("m-", n))
			if err != nil || decode[int](t, info.Output) != steps*n {
				t.Errorf("flow %d: %s, %v", n, info.Output, err)
			}
		}
	})
}

// With a net, a flow that waits polls when it begins, when it is found and when
// its deadline is past, and at no other time; and nobody asks the net while none
// waits.
func TestNet(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.PollInterval = 5 * time.Millisecond
		e := open(t, cfg)
		var looks, polls atomic.Int64
		var found, answered atomic.Bool
		e.Net(func(context.Context) ([]string, error) {
			switch n := looks.Add(1); {
			case n%2 == 0:
				return nil, errors.New("the database is away")
			case found.Load():
				return []string{"another key", "k"}, nil
			}
			return nil, nil
		})
		awaiting(e, 0, nil, func(context.Context) (string, bool, error) {
			polls.Add(1)
			return "found", answered.Load(), nil
		})
		start(t, e)
		if err := flow.Run(context.Background(), e, "await", "a", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the first poll", func() bool { return polls.Load() > 0 })
		if !e.Running("a") || e.Running("b") {
			t.Errorf("running: a %v, b %v", e.Running("a"), e.Running("b"))
		}
		waitFor(t, "the net", func() bool { return looks.Load() > 10 })
		if n := polls.Load(); n != 1 {
			t.Errorf("%d polls of a flow that nobody woke, want 1", n)
		}
		answered.Store(true)
		found.Store(true)
		if got := decode[answer](t, waitStatus(t, e, "a", flow.Done).Output); got != (answer{Value: "found", OK: true}) {
			t.Errorf("got %+v", got)
		}
		waitFor(t, "the end of the run", func() bool { return !e.Running("a") })
		before := looks.Load()
		time.Sleep(50 * time.Millisecond) // ten looks, if there were any
		if n := looks.Load() - before; n > 1 {
			t.Errorf("%d looks while nobody waits", n)
		}
	})
}
