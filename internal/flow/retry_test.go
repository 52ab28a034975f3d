package flow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
)

// trip is a flow of three steps, of which one can be told to fail or to hang.
type trip struct {
	ran   calls
	fails atomic.Pointer[string]
	hangs atomic.Pointer[string]
}

func (tr *trip) define(e *flow.Engine) {
	flow.Register(e, "trip", func(c flow.Context, _ int) (string, error) {
		for _, name := range []string{"pack", "drive", "arrive"} {
			_, err := flow.Step(c, name, func(ctx context.Context) (string, error) {
				tr.ran.add(name)
				if s := tr.hangs.Load(); s != nil && *s == name {
					<-ctx.Done()
					return "", ctx.Err()
				}
				if s := tr.fails.Load(); s != nil && *s == name {
					return "", errors.New("no fuel")
				}
				return name + "ed", nil
			}, flow.Retries{Max: 2, Base: time.Millisecond})
			if err != nil {
				return "", err
			}
		}
		return "there", nil
	})
}

func (tr *trip) counts() [3]int {
	return [3]int{tr.ran.of("pack"), tr.ran.of("drive"), tr.ran.of("arrive")}
}

func named(name string) *string { return &name }

// TestRetryFrom: a flow that failed or was cancelled goes on under its own id;
// the steps before the place keep their results.
func TestRetryFrom(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		for _, tt := range []struct {
			name, from string
			cancelled  bool
			before     [3]int
			after      [3]int
		}{
			{"failed, from the failed step", "", false, [3]int{1, 3, 0}, [3]int{1, 4, 1}},
			{"failed, from the beginning", "pack", false, [3]int{1, 3, 0}, [3]int{2, 4, 1}},
			{"cancelled, from where it was", "", true, [3]int{1, 1, 0}, [3]int{1, 2, 1}},
			{"cancelled, from an earlier step", "pack", true, [3]int{1, 1, 0}, [3]int{2, 2, 1}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				ctx := t.Context()
				cfg := fresh(t, cfg)
				var tr trip
				e := open(t, cfg)
				tr.define(e)
				start(t, e)
				end := flow.Failed
				if tt.cancelled {
					end = flow.Cancelled
					tr.hangs.Store(named("drive"))
				} else {
					tr.fails.Store(named("drive"))
				}
				if err := flow.Run(ctx, e, "trip", "t", 7); err != nil {
					t.Fatal(err)
				}
				if tt.cancelled {
					waitFor(t, "it hangs", func() bool { return tr.ran.of("drive") == 1 })
					if a, ok := e.Activity("t"); !ok || a.Step != "drive" || a.Tries != 1 || a.Since.IsZero() {
						t.Errorf("it does %+v, %v", a, ok)
					}
					if err := e.RetryFrom(ctx, "t", ""); errs.CodeOf(err) != errs.Conflict {
						t.Errorf("retrying what runs: %v", err)
					}
					if err := e.Cancel(ctx, "t"); err != nil {
						t.Fatal(err)
					}
				}
				waitStatus(t, e, "t", end)
				if got := tr.counts(); got != tt.before {
					t.Errorf("the steps ran %v, want %v", got, tt.before)
				}
				// As soon as its run has let go of the step.
				waitFor(t, "a step that is not there is refused", func() bool {
					return errs.CodeOf(e.RetryFrom(ctx, "t", "elsewhere")) == errs.NotFound
				})

				tr.fails.Store(nil)
				tr.hangs.Store(nil)
				retry(t, e, "t", tt.from)
				info := waitStatus(t, e, "t", flow.Done)
				if string(info.Output) != `"there"` || string(info.Input) != "7" || info.Error != "" {
					t.Errorf("it ended with %s of %s, error %q", info.Output, info.Input, info.Error)
				}
				if got := tr.counts(); got != tt.after {
					t.Errorf("the steps ran %v, want %v", got, tt.after)
				}
				if err := e.RetryFrom(ctx, "t", ""); errs.CodeOf(err) != errs.Conflict {
					t.Errorf("retrying what is done: %v", err)
				}
				// It is the same after a restart.
				shutdown(t, e)
				e = open(t, cfg)
				tr.define(e)
				start(t, e)
				if got := waitStatus(t, e, "t", flow.Done); string(got.Output) != `"there"` || tr.counts() != tt.after {
					t.Errorf("after a restart %+v, ran %v", got, tr.counts())
				}
			})
		}
	})
}

// retry waits out a run that has not let go of its step yet.
func retry(t *testing.T, e *flow.Engine, id, from string) {
	t.Helper()
	waitFor(t, "it is tried again", func() bool {
		err := e.RetryFrom(t.Context(), id, from)
		if err != nil && errs.CodeOf(err) != errs.Conflict {
			t.Fatal(err)
		}
		return err == nil
	})
}

// fresh is a database of the same kind for a case of its own.
func fresh(t *testing.T, cfg flow.Config) flow.Config {
	t.Helper()
	if cfg.URL == "" {
		cfg.Path = t.TempDir() + "/flow.db"
		flowtest.File(t, cfg.Path)
		return cfg
	}
	cfg.URL = flowtest.Database(t)
	return cfg
}

// TestRetryRefused: what is not there, and flows of no known function.
func TestRetryRefused(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		e := open(t, cfg)
		flow.Register(e, "old", func(flow.Context, int) (int, error) { return 0, errors.New("no luck") })
		start(t, e)
		if err := flow.Run(t.Context(), e, "old", "o", 0); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "o", flow.Failed)
		if err := e.RetryFrom(t.Context(), "nosuch", ""); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("an unknown id: %v", err)
		}
		shutdown(t, e)
		if err := e.RetryFrom(t.Context(), "o", ""); errs.CodeOf(err) != errs.Unavailable {
			t.Errorf("after the end: %v", err)
		}
		e = open(t, cfg)
		start(t, e)
		if err := e.RetryFrom(t.Context(), "o", ""); errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), `"old"`) {
			t.Errorf("a flow that this version does not have: %v", err)
		}
	})
}

// TestAbandonedFlowIsRetried: one that crashed its node too often gets all its
// tries again.
func TestAbandonedFlowIsRetried(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		var tr trip
		tr.hangs.Store(named("arrive"))
		e := open(t, cfg)
		tr.define(e)
		start(t, e)
		if err := flow.Run(t.Context(), e, "trip", "t", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "it hangs", func() bool { return tr.ran.of("arrive") == 1 })
		shutdown(t, e)
		if _, err := rawDB(t, cfg).Exec(`UPDATE ` + flowTable(cfg, "workflow_status") + ` SET recovery_attempts = 2000`); err != nil {
			t.Fatal(err)
		}
		tr.hangs.Store(nil)
		e = open(t, cfg)
		tr.define(e)
		start(t, e)
		waitStatus(t, e, "t", flow.Abandoned)
		retry(t, e, "t", "")
		if info := waitStatus(t, e, "t", flow.Done); info.Attempts > 10 {
			t.Errorf("it is at attempt %d", info.Attempts)
		}
		if got := tr.counts(); got != [3]int{1, 1, 2} {
			t.Errorf("the steps ran %v", got)
		}
	})
}

func flowTable(cfg flow.Config, name string) string {
	if cfg.URL != "" {
		return "flow." + name
	}
	return name
}

// TestTriesAreRecorded: how often a step was tried and why the tries before
// failed, while it is tried and afterwards; and what a flow waits for.
func TestTriesAreRecorded(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		var ran calls
		var patient, answered atomic.Bool
		deadline := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
		e := open(t, cfg)
		flow.Register(e, "tries", func(c flow.Context, _ int) (int, error) {
			long := strings.Repeat("x", 10_000)
			_, err := flow.Step(c, "flaky", func(context.Context) (int, error) {
				ran.add("flaky")
				if n := ran.of("flaky"); n < 9 {
					return 0, errors.New(long)
				}
				if !patient.Load() {
					return 0, errors.New("not yet")
				}
				return 0, nil
			}, flow.Retries{Max: flow.Forever, Base: time.Millisecond, MaxDelay: time.Millisecond})
			if err != nil {
				return 0, err
			}
			_, _, err = flow.Await(c, "answer", "k", deadline, func(context.Context) (int, bool, error) { return 0, answered.Load(), nil })
			return 0, err
		})
		start(t, e)
		if err := flow.Run(ctx, e, "tries", "t", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "tries fail", func() bool {
			a, ok := e.Activity("t")
			return ok && a.Step == "flaky" && a.Tries > 10 && len(a.Failed) == 5 && a.Failed[4].Error == "not yet"
		})
		patient.Store(true)
		waitFor(t, "it waits", func() bool {
			a, ok := e.Activity("t")
			return ok && a.Step == "answer" && a.Waits && a.Deadline.Equal(deadline) && len(a.Failed) == 0
		})
		answered.Store(true)
		e.Wake("k")
		waitStatus(t, e, "t", flow.Done)
		if a, ok := e.Activity("t"); ok {
			t.Errorf("it is done and does %+v", a)
		}
		steps, err := e.Timeline(ctx, "t")
		if err != nil || len(steps) != 2 {
			t.Fatalf("%+v, %v", steps, err)
		}
		if s := steps[0]; s.Tries != ran.of("flaky") || len(s.Failed) != 5 || s.Error != "" {
			t.Errorf("%d tries, %d are told; %d ran", s.Tries, len(s.Failed), ran.of("flaky"))
		}
		for _, f := range steps[0].Failed {
			if f.At.IsZero() || len(f.Error) > 600 {
				t.Errorf("a try at %v failed with %d bytes", f.At, len(f.Error))
			}
		}
		if steps[1].Tries != 1 || len(steps[1].Failed) != 0 {
			t.Errorf("the wait: %+v", steps[1])
		}
	})
}

// TestTimelineWithAPatch: what DBOS records of its own is no step.
func TestTimelineWithAPatch(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		var fails atomic.Bool
		fails.Store(true)
		e := open(t, cfg)
		flow.Register(e, "patched", func(c flow.Context, _ int) (int, error) {
			if _, err := flow.Patched(c, "more"); err != nil {
				return 0, err
			}
			return flow.Step(c, "only", func(context.Context) (int, error) {
				if fails.Load() {
					return 0, errs.New(errs.Invalid, "no luck")
				}
				return 5, nil
			})
		})
		start(t, e)
		if err := flow.Run(t.Context(), e, "patched", "p", 0); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "p", flow.Failed)
		fails.Store(false)
		retry(t, e, "p", "only")
		waitStatus(t, e, "p", flow.Done)
		steps, err := e.Timeline(t.Context(), "p")
		if err != nil || len(steps) != 1 || steps[0].Name != "only" || string(steps[0].Output) != "5" {
			t.Errorf("%+v, %v", steps, err)
		}
	})
}

// TestListGoesOn: the pages of a list hold every flow once, also those that
// began in the same millisecond, and while new ones are added.
func TestListGoesOn(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		e := open(t, cfg)
		flow.Register(e, "quick", func(flow.Context, int) (int, error) { return 0, nil })
		start(t, e)
		var want []string
		for _, id := range []string{"life-a", "life-b", "life-c", "post-a", "post-b", "post-c"} {
			if err := flow.Run(ctx, e, "quick", id, 0); err != nil {
				t.Fatal(err)
			}
			waitStatus(t, e, id, flow.Done)
			want = append(want, id)
		}
		if _, err := rawDB(t, cfg).Exec(`UPDATE ` + flowTable(cfg, "workflow_status") + ` SET created_at = 1000 WHERE workflow_uuid <> 'life-a'`); err != nil {
			t.Fatal(err)
		}
		var got []string
		var after flow.Place
		for page := 0; ; page++ {
			list, err := e.List(ctx, flow.Filter{Limit: 2, After: after})
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			for _, i := range list {
				got = append(got, i.ID)
			}
			last := list[len(list)-1]
			after = flow.Place{CreatedAt: last.CreatedAt, ID: last.ID}
			if page == 0 {
				if err := flow.Run(ctx, e, "quick", "new", 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got[0] != "life-a" {
			t.Errorf("%v; the newest is life-a", got)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the pages hold %v, want %v", got, want)
		}
		both, err := e.List(ctx, flow.Filter{IDPrefixes: []string{"life-b", "post-b"}})
		if err != nil || len(both) != 2 {
			t.Errorf("of two prefixes: %+v, %v", both, err)
		}
	})
}
