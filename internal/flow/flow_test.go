package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// each runs a test on SQLite and on PostgreSQL.
func each(t *testing.T, test func(t *testing.T, cfg flow.Config)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "flow %?.db")
		flowtest.File(t, path)
		test(t, flow.Config{Path: path, NodeID: "node-a", Logger: logger(t)})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, flow.Config{URL: flowtest.Database(t), NodeID: "node-a", Logger: logger(t)})
	})
}

// logger shows the engine's log of a test that fails.
func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func open(t *testing.T, cfg flow.Config) *flow.Engine {
	t.Helper()
	e, err := flow.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, e) })
	return e
}

func start(t *testing.T, e *flow.Engine) {
	t.Helper()
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func shutdown(t *testing.T, e *flow.Engine) {
	t.Helper()
	if err := e.Shutdown(10 * time.Second); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func waitStatus(t *testing.T, e *flow.Engine, id string, want flow.Status) flow.Info {
	t.Helper()
	var info flow.Info
	waitFor(t, id+" is "+string(want), func() bool {
		var err error
		info, err = e.Status(context.Background(), id)
		return err == nil && info.Status == want
	})
	return info
}

// calls counts by name what ran.
type calls struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *calls) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]int{}
	}
	c.m[name]++
}

func (c *calls) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[name]
}

type order struct {
	Item string `json:"item"`
	N    int    `json:"n"`
}

func TestFlowRunsOnceAndIsRecorded(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		var ran calls
		e := open(t, cfg)
		double := func(c flow.Context, in order) (order, error) {
			n, err := flow.Step(c, "double", func(context.Context) (int, error) {
				ran.add("double")
				return in.N * 2, nil
			})
			return order{in.Item, n}, err
		}
		flow.Register(e, "double", double)
		// The same types under another name are another flow.
		flow.Register(e, "other", func(_ flow.Context, in order) (order, error) { return in, nil })
		if err := flow.Run(ctx, e, "double", "too-early", order{}); errs.CodeOf(err) != errs.Unavailable {
			t.Errorf("Run before Start: %v", err)
		}
		start(t, e)
		for range 2 {
			if err := flow.Run(ctx, e, "double", "order-1", order{"cup", 21}); err != nil {
				t.Fatal(err)
			}
		}
		info := waitStatus(t, e, "order-1", flow.Done)
		if err := flow.Run(ctx, e, "double", "order-1", order{"cup", 99}); err != nil {
			t.Fatal("Run of a finished flow:", err)
		}
		if ran.of("double") != 1 {
			t.Errorf("the step ran %d times", ran.of("double"))
		}
		if string(info.Input) != `{"item":"cup","n":21}` || string(info.Output) != `{"item":"cup","n":42}` {
			t.Errorf("input %s, output %s", info.Input, info.Output)
		}
		if info.Name != "double" || info.Node != "node-a" || info.EndedAt.IsZero() || info.CreatedAt.IsZero() {
			t.Errorf("info %+v", info)
		}
		steps, err := e.Timeline(ctx, "order-1")
		if err != nil || len(steps) != 1 || steps[0].Name != "double" || string(steps[0].Output) != "42" || steps[0].EndedAt.IsZero() {
			t.Errorf("timeline %+v, %v", steps, err)
		}

		if err := flow.Run(ctx, e, "other", "order-1", order{}); errs.CodeOf(err) != errs.Conflict {
			t.Errorf("the id of another flow: %v", err)
		}
		if err := flow.Run(ctx, e, "nosuch", "x", order{}); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("unknown flow: %v", err)
		}
		if _, err := e.Status(ctx, "nosuch"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("unknown id: %v", err)
		}
		if err := e.Cancel(ctx, "nosuch"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("cancelling an unknown id: %v", err)
		}

		if err := flow.Run(ctx, e, "other", "order-2", order{}); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "order-2", flow.Done)
		for _, f := range []struct {
			filter flow.Filter
			want   []string
		}{
			{flow.Filter{}, []string{"order-2", "order-1"}},
			{flow.Filter{Name: "double"}, []string{"order-1"}},
			{flow.Filter{IDPrefixes: []string{"order-2"}}, []string{"order-2"}},
			{flow.Filter{Status: []flow.Status{flow.Running, flow.Failed}}, nil},
			{flow.Filter{Status: []flow.Status{flow.Done}, Limit: 1}, []string{"order-2"}},
		} {
			list, err := e.List(ctx, f.filter)
			var ids []string
			for _, info := range list {
				ids = append(ids, info.ID)
			}
			if err != nil || !slices.Equal(ids, f.want) {
				t.Errorf("list %+v: %v, %v; want %v", f.filter, ids, err, f.want)
			}
		}
	})
}

// TestStepErrors follows what a step's error becomes, at first and when the
// flow runs again from its records.
func TestStepErrors(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		var ran calls
		var seen sync.Map // what each run of the flow saw
		var restarted atomic.Bool
		quick := flow.Retries{Max: 2, Base: time.Millisecond, MaxDelay: time.Millisecond}
		define := func(e *flow.Engine) {
			flow.Register(e, "errors", func(c flow.Context, _ struct{}) ([]string, error) {
				var out []string
				try := func(name string, fn func() error) {
					_, err := flow.Step(c, name, func(context.Context) (int, error) {
						ran.add(name)
						return 0, fn()
					}, quick)
					if err != nil {
						out = append(out, name+"|"+string(errs.CodeOf(err))+"|"+errs.MessageOf(err)+"|"+err.Error())
					}
				}
				try("flaky", func() error {
					if ran.of("flaky") < 3 {
						return errors.New("not yet")
					}
					return nil
				})
				try("broken", func() error { return errors.New("the disk is on fire") })
				try("busy", func() error { return errs.New(errs.Unavailable, "come back later") })
				try("wrong", func() error { return errs.Wrap(errors.New("line 3"), errs.Invalid, "the file is no video") })
				try("panics", func() error { panic("oops") })
				seen.Store(restarted.Load(), out)
				_, _, err := flow.Await(c, "restart", "restart", time.Time{}, func(context.Context) (int, bool, error) {
					return 0, restarted.Load(), nil
				})
				return out, err
			})
		}
		e := open(t, cfg)
		define(e)
		start(t, e)
		if err := flow.Run(ctx, e, "errors", "e1", struct{}{}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the flow waits", func() bool { _, ok := seen.Load(false); return ok })
		shutdown(t, e)

		restarted.Store(true)
		e = open(t, cfg)
		define(e)
		start(t, e)
		waitStatus(t, e, "e1", flow.Done)

		want := []string{
			"broken|internal|something went wrong on the server|the disk is on fire",
			"busy|unavailable|come back later|come back later: come back later",
			"wrong|invalid|the file is no video|the file is no video: the file is no video: line 3",
			"panics|internal|something went wrong on the server|step panics panicked: oops",
		}
		for _, after := range []bool{false, true} {
			got, _ := seen.Load(after)
			if !slices.Equal(got.([]string), want) {
				t.Errorf("after the restart %v:\n%s\nwant\n%s", after, strings.Join(got.([]string), "\n"), strings.Join(want, "\n"))
			}
		}
		for name, n := range map[string]int{"flaky": 3, "broken": 3, "busy": 3, "wrong": 1, "panics": 1} {
			if ran.of(name) != n {
				t.Errorf("%s ran %d times, want %d", name, ran.of(name), n)
			}
		}
		steps, err := e.Timeline(ctx, "e1")
		if err != nil || len(steps) != 6 || steps[1].Error != "the disk is on fire" || steps[1].Output != nil || steps[0].Error != "" {
			t.Errorf("timeline %+v, %v", steps, err)
		}
	})
}

func TestFlowErrorIsFinal(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		e := open(t, cfg)
		flow.Register(e, "fails", func(flow.Context, int) (int, error) { return 0, errors.New("no luck") })
		flow.Register(e, "panics", func(flow.Context, int) (int, error) { panic("oops") })
		flow.Register(e, "nested", func(c flow.Context, _ int) (int, error) {
			return flow.Step(c, "outer", func(context.Context) (int, error) {
				return flow.Step(c, "inner", func(context.Context) (int, error) { return 1, nil })
			}, flow.Retries{})
		})
		start(t, e)
		for name, want := range map[string]string{
			"fails": "no luck", "panics": "flow panics panicked: oops", "nested": "step inner began inside another step",
		} {
			if err := flow.Run(ctx, e, name, name, 0); err != nil {
				t.Fatal(err)
			}
			if info := waitStatus(t, e, name, flow.Failed); !strings.Contains(info.Error, want) {
				t.Errorf("%s: error %q, want %q", name, info.Error, want)
			}
		}
		// Bad input of an old version fails the flow, and nothing else.
		if err := flow.Run(ctx, e, "fails", "bad", "text"); err != nil {
			t.Fatal(err)
		}
		if info := waitStatus(t, e, "bad", flow.Failed); !strings.Contains(info.Error, "the input of flow fails") {
			t.Error(info.Error)
		}
	})
}

// TestShutdownInMidStep: the interrupted step is not recorded, the flow cannot
// act on its interruption, and after the restart it goes on where it was.
func TestShutdownInMidStep(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		var ran calls
		var patient atomic.Bool
		define := func(e *flow.Engine) {
			flow.Register(e, "work", func(c flow.Context, in order) (string, error) {
				step := func(name string, fn func(ctx context.Context) (string, error)) (string, error) {
					return flow.Step(c, name, func(ctx context.Context) (string, error) {
						ran.add(name)
						return fn(ctx)
					})
				}
				if _, err := step("first", func(context.Context) (string, error) { return in.Item, nil }); err != nil {
					return "", err
				}
				out, err := step("second", func(ctx context.Context) (string, error) {
					if !patient.Load() {
						<-ctx.Done()
						return "", ctx.Err()
					}
					return "made", nil
				})
				if err != nil {
					if !errors.Is(err, flow.ErrInterrupted) {
						t.Errorf("second: %v", err)
					}
					_, _ = step("compensate", func(context.Context) (string, error) { return "", nil })
					return "gave up", nil
				}
				return out, nil
			})
		}
		e := open(t, cfg)
		define(e)
		start(t, e)
		if err := flow.Run(ctx, e, "work", "w1", order{"cup", 1}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "second runs", func() bool { return ran.of("second") == 1 })
		shutdown(t, e)

		patient.Store(true)
		e = open(t, cfg)
		define(e)
		start(t, e)
		info := waitStatus(t, e, "w1", flow.Done)
		if string(info.Output) != `"made"` {
			t.Errorf("output %s", info.Output)
		}
		for name, n := range map[string]int{"first": 1, "second": 2, "compensate": 0} {
			if ran.of(name) != n {
				t.Errorf("%s ran %d times, want %d", name, ran.of(name), n)
			}
		}
	})
}

// TestDatabaseRefusesARecord: a flow does not fail for good because its step
// could not be recorded.
func TestDatabaseRefusesARecord(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		var ran calls
		e := open(t, cfg)
		flow.Register(e, "work", func(c flow.Context, _ int) (int, error) {
			return flow.Step(c, "only", func(context.Context) (int, error) {
				ran.add("only")
				return 7, nil
			})
		})
		start(t, e)
		db := rawDB(t, cfg)
		refuse, allow := `CREATE TRIGGER full_disk BEFORE INSERT ON operation_outputs BEGIN SELECT RAISE(ABORT, 'disk full'); END`,
			`DROP TRIGGER full_disk`
		if cfg.URL != "" {
			refuse, allow = `ALTER TABLE flow.operation_outputs ADD CONSTRAINT full_disk CHECK (false) NOT VALID`,
				`ALTER TABLE flow.operation_outputs DROP CONSTRAINT full_disk`
		}
		if _, err := db.Exec(refuse); err != nil {
			t.Fatal(err)
		}
		if err := flow.Run(ctx, e, "work", "w1", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the step ran", func() bool { return ran.of("only") > 0 })
		if _, err := db.Exec(allow); err != nil {
			t.Fatal(err)
		}
		if info := waitStatus(t, e, "w1", flow.Done); string(info.Output) != "7" {
			t.Errorf("output %s", info.Output)
		}
	})
}

// TestEmptyDatabase: the engine makes its tables where there are none, and finds
// them the next time.
func TestEmptyDatabase(t *testing.T) {
	for name, cfg := range map[string]flow.Config{
		"sqlite":   {Path: filepath.Join(t.TempDir(), "flow.db"), NodeID: "n"},
		"postgres": {URL: storetest.PostgresURL(t), NodeID: "n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Logger = logger(t)
			for _, id := range []string{"first", "second"} {
				e := open(t, cfg)
				flow.Register(e, "work", func(flow.Context, int) (int, error) { return 7, nil })
				start(t, e)
				if err := flow.Run(t.Context(), e, "work", id, 0); err != nil {
					t.Fatal(err)
				}
				waitStatus(t, e, "first", flow.Done)
				waitStatus(t, e, id, flow.Done)
				shutdown(t, e)
			}
		})
	}
}

func TestOpenRejects(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "flow.db")
	if _, err := flow.Open(ctx, flow.Config{Path: path}); err == nil {
		t.Error("a node without an id")
	}
	if _, err := flow.Open(ctx, flow.Config{Path: filepath.Join(path, "no", "folder"), NodeID: "n"}); err == nil {
		t.Error("a folder that is not there")
	}
	t.Setenv("DBOS__VMID", "somebody-else")
	if _, err := flow.Open(ctx, flow.Config{Path: path, NodeID: "n"}); err == nil || !strings.Contains(err.Error(), "DBOS__VMID") {
		t.Errorf("an environment that changes the node's id: %v", err)
	}
}

func decode[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}
