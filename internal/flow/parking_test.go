package flow

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// The moments that a test from outside does not meet for sure.

func engineWithNet(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "flow.db"), NodeID: "node-a", Park: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	e.Net(func(context.Context) ([]string, error) { return nil, nil })
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func runOf(e *Engine, id string) *execution {
	x := &execution{engine: e, id: id}
	x.ctx, x.cancel = context.WithCancelCause(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.active[id] == nil {
		e.active[id] = map[*execution]struct{}{}
	}
	e.active[id][x] = struct{}{}
	return x
}

func TestMomentsOfParking(t *testing.T) {
	t.Parallel()
	e := engineWithNet(t)
	for _, tt := range []struct {
		name     string
		deadline time.Time
		before   func(x *execution, w *waiter) // it parks
		parks    bool
	}{
		{"nothing", time.Time{}, func(*execution, *waiter) {}, true},
		{"a deadline that is far", time.Now().Add(time.Hour), func(*execution, *waiter) {}, true},
		{"a deadline that is near", time.Now().Add(30 * time.Second), func(*execution, *waiter) {}, false},
		{"it is woken", time.Time{}, func(x *execution, _ *waiter) { e.Wake(x.id) }, false},
		{"it is cancelled", time.Time{}, func(x *execution, _ *waiter) { e.interrupt(x.id) }, false},
		{"it is run here again", time.Time{}, func(x *execution, _ *waiter) {
			other := runOf(e, x.id)
			t.Cleanup(func() { e.end(other) })
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := runOf(e, tt.name)
			defer e.end(x)
			w := e.waits.add(x.id)
			defer e.waits.remove(w)
			tt.before(x, w)
			if got := x.park(w, tt.deadline); got != tt.parks {
				t.Errorf("parked: %v", got)
			}
			if _, there := e.waits.activity(x.id); there != tt.parks {
				t.Errorf("it waits without a run: %v", there)
			}
			e.interrupt(x.id)
			if _, there := e.waits.activity(x.id); there {
				t.Error("it still waits after it was cancelled")
			}
		})
	}
	if e.waits.any() {
		t.Errorf("somebody waits in the end: %+v", e.waits)
	}
}

// A wake that comes while the run lets go is kept until it has.
func TestWakeWaitsForTheRun(t *testing.T) {
	t.Parallel()
	e := engineWithNet(t)
	x := runOf(e, "f")
	w := e.waits.add("k")
	if !x.park(w, time.Time{}) {
		t.Fatal("it does not park")
	}
	_ = x.interrupt(errParked)
	e.Wake("k")
	time.Sleep(20 * time.Millisecond) // the owner of the wakes looks
	if due := e.waits.due(); len(due) != 1 || due[0].id != "f" {
		t.Errorf("due are %v", due)
	}
	e.end(x)
	// There is no such flow in the database: it is forgotten.
	for end := time.Now().Add(10 * time.Second); e.waits.any(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not looked at when the run has let go")
		}
	}
}

// Cancel waits for who is about to resume a flow, but no longer than its caller.
func TestCancelWaitsForWakes(t *testing.T) {
	t.Parallel()
	e := engineWithNet(t)
	done := make(chan error, 1)
	err := e.exclusively(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := e.Cancel(ctx, "none"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller who did not wait got %v", err)
		}
		go func() { done <- e.Cancel(t.Context(), "none") }()
		select {
		case err := <-done:
			t.Errorf("it did not wait: %v", err)
			done <- err
		case <-time.After(50 * time.Millisecond):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; errs.CodeOf(err) != errs.NotFound {
		t.Errorf("got %v", err)
	}
}
