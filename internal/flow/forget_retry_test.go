package flow

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// TestForgetWhileRetried: a flow that is retried while it is forgotten is either not
// there any more for who retries it, or its new run has ended when Forget returns.
func TestForgetWhileRetried(t *testing.T) {
	for name, cfg := range map[string]func() Config{
		"sqlite":   func() Config { return Config{Path: filepath.Join(t.TempDir(), "flow.db")} },
		"postgres": func() Config { return Config{URL: storetest.PostgresURL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg()
			cfg.NodeID, cfg.Logger = "node-a", slog.New(slog.DiscardHandler)
			e, err := Open(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := e.Shutdown(10 * time.Second); err != nil {
					t.Error(err)
				}
			})
			var hangs atomic.Bool
			var inside atomic.Int32
			Register(e, "bake", func(c Context, _ int) (int, error) {
				return Step(c, "bake", func(ctx context.Context) (int, error) {
					if !hangs.Load() {
						return 0, errors.New("no flour")
					}
					inside.Add(1)
					defer inside.Add(-1)
					<-ctx.Done()
					return 0, ctx.Err()
				}, Retries{Max: 1, Base: time.Millisecond})
			})
			if err := e.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			forgetWhileRetried(t, e, &hangs, &inside)
		})
	}
}

func forgetWhileRetried(t *testing.T, e *Engine, hangs *atomic.Bool, inside *atomic.Int32) {
	ctx := t.Context()
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never: " + what)
			}
		}
	}
	if err := Run(ctx, e, "bake", "b", 1); err != nil {
		t.Fatal(err)
	}
	until("it fails", func() bool {
		info, err := e.Status(ctx, "b")
		return err == nil && info.Status == Failed && e.runs("b") == 0
	})
	hangs.Store(true)
	forgotten := make(chan error, 1)
	// The retry has the lock, so Forget must wait for it, having found the flow at
	// rest before or not.
	err := e.exclusively(ctx, func() error {
		go func() { forgotten <- e.Forget(ctx, "b") }()
		select {
		case err := <-forgotten:
			return errors.Join(errors.New("Forget did not wait for who changes the flow"), err)
		case <-time.After(200 * time.Millisecond): // long enough for it to come to its wait
		}
		if err := e.retryFrom(ctx, "b", ""); err != nil {
			return err
		}
		until("the retry runs", func() bool { return inside.Load() == 1 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-forgotten; err != nil {
		t.Fatal(err)
	}
	if n := inside.Load(); n != 0 {
		t.Errorf("%d runs go on after the flow was forgotten", n)
	}
	if _, err := e.Status(ctx, "b"); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("the flow is still there: %v", err)
	}
	if err := e.RetryFrom(ctx, "b", ""); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("retrying what is forgotten: %v", err)
	}
}
