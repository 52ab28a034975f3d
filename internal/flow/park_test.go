package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// patient is a flow that waits under its id for an answer, between two steps.
type patient struct {
	ran      calls         // by step and id
	limit    time.Duration // 0: it waits for ever
	answered sync.Map      // by id
	broken   atomic.Bool   // polls fail
}

func (p *patient) define(e *flow.Engine) {
	p.defineAs(e, "")
}

// defineAs makes it note which node runs it.
func (p *patient) defineAs(e *flow.Engine, node string) {
	flow.Register(e, "patient", func(c flow.Context, _ int) (answer, error) {
		defer p.ran.add("let go " + c.ID())
		until, err := flow.Step(c, "before", func(context.Context) (time.Time, error) {
			p.ran.add("before " + c.ID())
			if p.limit == 0 {
				return time.Time{}, nil
			}
			return time.Now().Add(p.limit), nil
		})
		if err != nil {
			return answer{}, err
		}
		p.ran.add("run " + c.ID())
		v, ok, err := flow.Await(c, "answer", c.ID(), until, func(context.Context) (string, bool, error) {
			defer p.ran.add(node + "poll " + c.ID())
			if p.broken.Load() {
				return "", false, errors.New("the database is away")
			}
			v, ok := p.answered.Load(c.ID())
			if !ok {
				return "", false, nil
			}
			return v.(string), true, nil
		})
		if err != nil {
			// What a flow makes of it does not count.
			_, _ = flow.Step(c, "after", func(context.Context) (int, error) { p.ran.add("wrong " + c.ID()); return 0, nil })
			return answer{Value: "interrupted"}, nil
		}
		return flow.Step(c, "after", func(context.Context) (answer, error) {
			p.ran.add("after " + c.ID())
			return answer{Value: v, OK: ok}, nil
		})
	})
}

// parking is a node whose flows wait without a run almost at once, with a net that
// finds nothing.
func parking(t *testing.T, cfg flow.Config, p *patient) *flow.Engine {
	t.Helper()
	if cfg.Park == 0 {
		cfg.Park = 20 * time.Millisecond
	}
	e := open(t, cfg)
	e.Net(func(context.Context) ([]string, error) { return nil, nil })
	p.defineAs(e, cfg.NodeID+" ")
	start(t, e)
	return e
}

// begin starts flows and waits until they wait without a run.
func (p *patient) begin(t *testing.T, e *flow.Engine, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := flow.Run(t.Context(), e, "patient", id, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		p.waitsWithoutARun(t, e, id)
	}
}

func (p *patient) waitsWithoutARun(t *testing.T, e *flow.Engine, id string) {
	t.Helper()
	waitFor(t, id+" waits without a run", func() bool { return p.parked(e, id) })
}

// parked says whether all runs that came to the wait have let go, and the flow is
// still there.
func (p *patient) parked(e *flow.Engine, id string) bool {
	runs := p.ran.of("run " + id)
	return runs > 0 && p.ran.of("let go "+id) == runs && e.Running(id)
}

// ends checks how a flow ended, and that what it did is there once.
func (p *patient) ends(t *testing.T, e *flow.Engine, id string, want answer) {
	t.Helper()
	info := waitStatus(t, e, id, flow.Done)
	if got := decode[answer](t, info.Output); got != want {
		t.Errorf("%s ended with %+v, want %+v", id, got, want)
	}
	if before, after, wrong := p.ran.of("before "+id), p.ran.of("after "+id), p.ran.of("wrong "+id); before != 1 || after != 1 || wrong != 0 {
		t.Errorf("%s: the step before ran %d times, the one after %d and %d times", id, before, after, wrong)
	}
	steps, err := e.Timeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"before", "answer", "after"}) {
		t.Errorf("%s has the steps %q", id, names)
	}
	waitFor(t, id+" is gone from memory", func() bool { return !e.Running(id) })
}

func (p *patient) answer(e *flow.Engine, id string) answer {
	p.answered.Store(id, "to "+id)
	e.Wake(id)
	return answer{Value: "to " + id, OK: true}
}

func TestParkAndAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		var p patient
		e := parking(t, cfg, &p)
		p.begin(t, e, "a", "b")
		e.Wake("another key")
		p.ends(t, e, "a", p.answer(e, "a"))
		if runs := p.ran.of("run a"); runs != 2 {
			t.Errorf("%d runs, want 2", runs)
		}
		// A wake without an answer is one more run.
		e.Wake("b")
		waitFor(t, "b looks again", func() bool { return p.ran.of("run b") == 2 })
		p.waitsWithoutARun(t, e, "b")
		p.ends(t, e, "b", p.answer(e, "b"))
		if runs := p.ran.of("run b"); runs != 3 {
			t.Errorf("%d runs, want 3", runs)
		}
	})
}

func TestParkAndDeadline(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		p := patient{limit: time.Second}
		e := parking(t, cfg, &p)
		p.begin(t, e, "late", "in time")
		// Heard by nobody, but in time.
		p.answered.Store("in time", "heard")
		p.ends(t, e, "late", answer{})
		p.ends(t, e, "in time", answer{Value: "heard", OK: true})
		if runs := p.ran.of("run late"); runs != 2 {
			t.Errorf("%d runs, want 2", runs)
		}
	})
}

// The end of a wait that is near is waited for.
func TestShortWaitsKeepTheirRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.Park = 300 * time.Millisecond
		p := patient{limit: 500 * time.Millisecond}
		e := parking(t, cfg, &p)
		if err := flow.Run(t.Context(), e, "patient", "a", 0); err != nil {
			t.Fatal(err)
		}
		p.ends(t, e, "a", answer{})
		if runs := p.ran.of("run a"); runs != 1 {
			t.Errorf("%d runs, want 1", runs)
		}
	})
}

// Without a net only a run that polls sees an answer whose wake was missed. Sleep
// needs none.
func TestParkNeedsANet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.Park, cfg.PollInterval = time.Millisecond, 10*time.Millisecond
		var p patient
		e := open(t, cfg)
		p.define(e)
		var naps atomic.Int64
		flow.Register(e, "nap", func(c flow.Context, _ int) (int, error) {
			until, err := flow.Deadline(c, "when", time.Second)
			if err != nil {
				return 0, err
			}
			naps.Add(1)
			return 0, flow.Sleep(c, "sleep", until)
		})
		start(t, e)
		for flowName, id := range map[string]string{"patient": "a", "nap": "n"} {
			if err := flow.Run(t.Context(), e, flowName, id, 0); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, "it polls", func() bool { return p.ran.of("poll a") > 10 })
		p.answered.Store("a", "found")
		p.ends(t, e, "a", answer{Value: "found", OK: true})
		if runs := p.ran.of("run a"); runs != 1 {
			t.Errorf("%d runs, want 1", runs)
		}
		waitStatus(t, e, "n", flow.Done)
		if n := naps.Load(); n != 2 {
			t.Errorf("%d runs of the one that slept, want 2", n)
		}
	})
}

// The net finds the answers that nobody told of.
func TestNetFindsParked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.Park, cfg.PollInterval = 10*time.Millisecond, 20*time.Millisecond
		var p patient
		var looks atomic.Int64
		var found atomic.Bool
		e := open(t, cfg)
		e.Net(func(context.Context) ([]string, error) {
			looks.Add(1)
			if found.CompareAndSwap(true, false) {
				return []string{"of another node", "a"}, nil
			}
			return nil, nil
		})
		p.define(e)
		start(t, e)
		p.begin(t, e, "a")
		before := looks.Load()
		waitFor(t, "the net is asked", func() bool { return looks.Load() > before+5 })
		if runs := p.ran.of("run a"); runs != 1 {
			t.Errorf("%d runs while nothing happened", runs)
		}
		p.answered.Store("a", "found")
		found.Store(true)
		p.ends(t, e, "a", answer{Value: "found", OK: true})
	})
}

// A flow that waits without a run is running for everybody.
func TestParkedIsRunning(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		cfg.Keep, cfg.KeepFailed = time.Nanosecond, time.Nanosecond
		p := patient{limit: time.Hour}
		e := parking(t, cfg, &p)
		p.begin(t, e, "a", "b", "c")
		info, err := e.Status(ctx, "a")
		if err != nil || info.Status != flow.Running || !info.EndedAt.IsZero() || info.Attempts != 1 || info.Node != cfg.NodeID || info.Error != "" || info.Output != nil {
			t.Errorf("status %+v, %v", info, err)
		}
		for status, want := range map[flow.Status]int{flow.Running: 3, flow.Queued: 0, flow.Cancelled: 0, flow.Failed: 0, flow.Done: 0, flow.Abandoned: 0} {
			list, err := e.List(ctx, flow.Filter{Status: []flow.Status{status}})
			if err != nil || len(list) != want {
				t.Errorf("%d are %s, want %d: %v", len(list), status, want, err)
			}
		}
		first, err := e.List(ctx, flow.Filter{Status: []flow.Status{flow.Running}, Limit: 2})
		if err != nil || len(first) != 2 {
			t.Fatalf("the first page %+v, %v", first, err)
		}
		second, err := e.List(ctx, flow.Filter{Status: []flow.Status{flow.Running}, Limit: 2, After: flow.Place{CreatedAt: first[1].CreatedAt, ID: first[1].ID}})
		if err != nil || len(second) != 1 || second[0].ID == first[0].ID || second[0].ID == first[1].ID {
			t.Errorf("the second page %+v, %v", second, err)
		}
		sum, err := e.Summary(ctx)
		if err != nil || len(sum.Counts) != 1 || sum.Counts[0] != (flow.Count{Name: "patient", Status: flow.Running, Flows: 3}) || sum.Oldest == nil || sum.Oldest.ID != "a" {
			t.Errorf("summary %+v, %v", sum, err)
		}
		doing, ok := e.Activity("a")
		if !ok || doing.Step != "answer" || !doing.Waits || time.Until(doing.Deadline) < time.Minute || doing.Since.IsZero() || doing.Tries != 1 {
			t.Errorf("it does %+v, %v", doing, ok)
		}
		if err := e.RetryFrom(ctx, "a", "before"); errs.CodeOf(err) != errs.Conflict {
			t.Errorf("retry: %v", err)
		}
		if err := e.Prune(ctx); err != nil {
			t.Fatal(err)
		}
		if ids, err := e.IDs(ctx, ""); err != nil || len(ids) != 3 {
			t.Errorf("ids %q, %v", ids, err)
		}
		if own, err := e.Attempts(ctx, "a"); err != nil || len(own) != 1 {
			t.Errorf("attempts %q, %v", own, err)
		}
		// A second start of it is none.
		if err := flow.Run(ctx, e, "patient", "a", 0); err != nil {
			t.Fatal(err)
		}
		if runs := p.ran.of("run a"); runs != 1 {
			t.Errorf("%d runs", runs)
		}
		steps, err := e.Timeline(ctx, "a")
		if err != nil || len(steps) != 1 {
			t.Errorf("steps %+v, %v", steps, err)
		}
	})
}

func TestCancelParked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		var p patient
		e := parking(t, cfg, &p)
		p.begin(t, e, "a", "b", "c")
		if err := e.Cancel(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if e.Running("a") {
			t.Error("it runs after its end")
		}
		if _, ok := e.Activity("a"); ok {
			t.Error("it does something after its end")
		}
		p.answer(e, "a")
		if err := e.Forget(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		p.answer(e, "b")
		p.ends(t, e, "c", p.answer(e, "c"))
		waitStatus(t, e, "a", flow.Cancelled)
		if _, err := e.Status(ctx, "b"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("the one that was forgotten: %v", err)
		}
		if p.ran.of("run a") != 1 || p.ran.of("run b") != 1 {
			t.Error("one ran again after its end")
		}
		// One that was cancelled while it waited can be tried again.
		if err := e.RetryFrom(ctx, "a", ""); err != nil {
			t.Fatal(err)
		}
		p.ends(t, e, "a", answer{Value: "to a", OK: true})
	})
}

// Whatever moment of parking and waking a Cancel or an answer meets: the flow ends, and
// one that is cancelled stays so.
func TestParkingRaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		const flows = 60
		cfg.Park = 10 * time.Millisecond
		var p patient
		e := parking(t, cfg, &p)
		var all sync.WaitGroup
		for n := range flows {
			all.Go(func() {
				id := fmt.Sprint("f-", n)
				if err := flow.Run(ctx, e, "patient", id, 0); err != nil {
					t.Error(err)
					return
				}
				waitFor(t, id+" polls", func() bool { return p.ran.of(cfg.NodeID+" poll "+id) > 0 })
				// Up to twice the time after which it parks, in steps of a third of a ms.
				time.Sleep(time.Duration(n) * cfg.Park / (flows / 2))
				switch n % 3 {
				case 0:
					p.answer(e, id)
				case 1:
					if err := e.Cancel(ctx, id); err != nil {
						t.Error(err)
					}
					p.answer(e, id)
				case 2: // woken for nothing, so that it is cancelled while it wakes
					e.Wake(id)
					time.Sleep(time.Duration(n) * 1500 * time.Millisecond / flows)
					if err := e.Cancel(ctx, id); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for n := range flows {
			id := fmt.Sprint("f-", n)
			if n%3 == 0 {
				p.ends(t, e, id, answer{Value: "to " + id, OK: true})
				continue
			}
			waitFor(t, id+" lets go", func() bool { return !e.Running(id) })
		}
		for n := range flows {
			if id := fmt.Sprint("f-", n); n%3 != 0 {
				if info, err := e.Status(ctx, id); err != nil || info.Status != flow.Cancelled || p.ran.of("after "+id) != 0 {
					t.Errorf("%s is %s, %v", id, info.Status, err)
				}
			}
		}
	})
}

// A restart takes up flows that wait without a run like the others, and hears what
// came meanwhile.
func TestRestartWhileParked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		var p patient
		e := parking(t, cfg, &p)
		p.begin(t, e, "a", "b", "c", "d")
		shutdown(t, e)
		p.answered.Store("a", "while down")

		// At rest, one of them is forgotten.
		rest := open(t, cfg)
		if err := rest.Forget(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		shutdown(t, rest)

		e = parking(t, cfg, &p)
		p.ends(t, e, "a", answer{Value: "while down", OK: true})
		p.waitsWithoutARun(t, e, "b")
		p.ends(t, e, "b", p.answer(e, "b"))
		waitFor(t, "c runs again", func() bool { return p.ran.of("run c") == 2 })
		p.waitsWithoutARun(t, e, "c")
		if err := e.Cancel(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if runs := p.ran.of("run d"); runs != 1 {
			t.Errorf("the one that was forgotten ran %d times", runs)
		}
	})
}
