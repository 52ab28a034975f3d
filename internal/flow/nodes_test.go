package flow_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// The tests here run an engine in a process of its own, this test's binary,
// to end it as the operating system would.
const childEnv = "FLOW_TEST_CHILD"

// plan is what a child does, as JSON in the environment.
type plan struct {
	Path, URL, Node string
	Journal         string // a line for each step that runs
	HangIn          string // the step that never ends by itself
	WaitFor         string // the file for which it waits, without a run
	Start           bool   // start the flow, or only take up what is there
	Lease           time.Duration
	Many            string // instead: start so many flows, named with this prefix, and run until SIGTERM
}

func (p plan) config() flow.Config {
	return flow.Config{Path: p.Path, URL: p.URL, NodeID: p.Node, LeaseTime: p.Lease, PollInterval: 50 * time.Millisecond, Park: 20 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
}

// define registers a flow of three steps and a wait that write down that they ran.
func (p plan) define(e *flow.Engine) {
	flow.Register(e, "journey", func(c flow.Context, _ int) (string, error) {
		for _, name := range []string{"one", "two", "wait", "three"} {
			visit := func(ctx context.Context) (string, error) {
				if err := note(p.Journal, p.Node+" "+name); err != nil {
					return "", err
				}
				if p.HangIn == name {
					<-ctx.Done()
					return "", ctx.Err()
				}
				return name, nil
			}
			var err error
			if name == "wait" {
				_, _, err = flow.Await(c, name, "k", time.Time{}, func(ctx context.Context) (string, bool, error) {
					s, err := visit(ctx)
					if p.WaitFor != "" && err == nil {
						_, missing := os.Stat(p.WaitFor)
						return s, missing == nil, nil
					}
					return s, true, err
				})
				if err != nil && p.WaitFor != "" {
					err = errors.Join(err, note(p.Journal, p.Node+" lets go"))
				}
			} else {
				_, err = flow.Step(c, name, visit)
			}
			if err != nil {
				return "", err
			}
		}
		return "arrived", nil
	})
}

func note(journal, line string) error {
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// child is the other process: it says "arrived" when the flow is done, and
// shuts down at SIGTERM.
func child() {
	var p plan
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &p)
	switch {
	case err != nil:
	case p.Many != "":
		err = p.runMany()
	default:
		err = p.run()
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func (p plan) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	e, err := flow.Open(ctx, p.config())
	if err != nil {
		return err
	}
	p.define(e)
	if p.WaitFor != "" {
		e.Net(func(context.Context) ([]string, error) { return nil, nil })
	}
	if err := e.Start(ctx); err != nil {
		return err
	}
	if p.Start {
		if err := flow.Run(ctx, e, "journey", "j", 0); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if info, err := e.Status(ctx, "j"); err == nil && info.Status.Final() {
			fmt.Println(info.Status)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return e.Shutdown(5 * time.Second)
}

type process struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func spawn(t *testing.T, p plan) process {
	t.Helper()
	env, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return process{cmd, bufio.NewReader(out)}
}

// end signals the process and waits until it is gone.
func (p process) end(t *testing.T, sig os.Signal) string {
	t.Helper()
	if sig != nil {
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	said, _ := io.ReadAll(p.out)
	err := p.cmd.Wait()
	if sig != syscall.SIGKILL && err != nil {
		t.Fatalf("the process: %v, said %q", err, said)
	}
	return strings.TrimSpace(string(said))
}

func journal(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ", ")
}

// TestProcessEnds: kill -9 and SIGTERM in the middle of a step and of a wait.
// The next process of the node goes on without running finished steps again.
func TestProcessEnds(t *testing.T) {
	for _, tt := range []struct {
		name, hangIn string
		signal       os.Signal
		before, all  string
	}{
		{"kill in a step", "two", syscall.SIGKILL, "a one, a two", "a one, a two, a two, a wait, a three"},
		{"kill in a wait", "wait", syscall.SIGKILL, "a one, a two, a wait", "a one, a two, a wait, a wait, a three"},
		{"term in a step", "two", syscall.SIGTERM, "a one, a two", "a one, a two, a two, a wait, a three"},
		{"term in a wait", "wait", syscall.SIGTERM, "a one, a two, a wait", "a one, a two, a wait, a wait, a three"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg flow.Config) {
				p := plan{Path: cfg.Path, URL: cfg.URL, Node: "a", Journal: filepath.Join(t.TempDir(), "journal"), Start: true}
				p.HangIn = tt.hangIn
				first := spawn(t, p)
				waitFor(t, "it hangs", func() bool { return journal(t, p.Journal) == tt.before })
				first.end(t, tt.signal)

				p.HangIn, p.Start = "", false
				if said := spawn(t, p).end(t, nil); said != string(flow.Done) {
					t.Errorf("the second process said %q", said)
				}
				if got := journal(t, p.Journal); got != tt.all {
					t.Errorf("ran %s, want %s", got, tt.all)
				}
			})
		})
	}
}

// TestOtherNodeGoesOn: two nodes on one database; when one dies or leaves, the
// other takes up its flow, and not before.
func TestOtherNodeGoesOn(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]os.Signal{"dies": syscall.SIGKILL, "leaves": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg flow.Config) {
				p := plan{Path: cfg.Path, URL: cfg.URL, Node: "a", Journal: filepath.Join(t.TempDir(), "journal"),
					HangIn: "two", Start: true, Lease: time.Second}
				first := spawn(t, p)
				waitFor(t, "node a hangs", func() bool { return journal(t, p.Journal) == "a one, a two" })

				p.Node, p.HangIn = "b", ""
				e := open(t, p.config())
				p.define(e)
				start(t, e)
				time.Sleep(3 * p.Lease / 2) // node b looks several times while a is alive
				if got := journal(t, p.Journal); got != "a one, a two" {
					t.Fatalf("node b took the flow of a living node: %s", got)
				}
				first.end(t, sig)
				if info := waitStatus(t, e, "j", flow.Done); info.Node != "b" {
					t.Errorf("finished by %s", info.Node)
				}
				if got := journal(t, p.Journal); got != "a one, a two, b two, b wait, b three" {
					t.Errorf("ran %s", got)
				}
			})
		})
	}
}

// TestSlowNodeIsFenced: a node that lost its lease while it works finds that
// the flow is no longer its own: its result does not count.
func TestSlowNodeIsFenced(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := context.Background()
		var slow, fast atomic.Int64
		release := make(chan struct{})
		define := func(e *flow.Engine, value string, runs *atomic.Int64, hold <-chan struct{}) {
			flow.Register(e, "work", func(c flow.Context, _ int) (string, error) {
				return flow.Step(c, "make", func(context.Context) (string, error) {
					runs.Add(1)
					<-hold
					return value, nil
				})
			})
		}
		a := open(t, cfg)
		define(a, "slow", &slow, release)
		start(t, a)
		if err := flow.Run(ctx, a, "work", "w", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "node a works", func() bool { return slow.Load() == 1 })

		// Node a is as good as dead to the others.
		table := "node_leases"
		if cfg.URL != "" {
			table = "flow.node_leases"
		}
		if _, err := rawDB(t, cfg).Exec(`UPDATE ` + table + ` SET expires_at = 1 WHERE node = 'node-a'`); err != nil {
			t.Fatal(err)
		}
		cfg.NodeID, cfg.LeaseTime = "node-b", 300*time.Millisecond
		done := make(chan struct{})
		close(done)
		b := open(t, cfg)
		define(b, "fast", &fast, done)
		start(t, b)
		waitFor(t, "a node took it up again", func() bool { return slow.Load()+fast.Load() == 2 })
		close(release)
		info := waitStatus(t, b, "w", flow.Done)
		want := `"fast"`
		if slow.Load() == 2 { // node a drew its own flow from the queue
			want = `"slow"`
		}
		if string(info.Output) != want {
			t.Errorf("output %s, want %s", info.Output, want)
		}
		steps, err := b.Timeline(ctx, "w")
		if err != nil || len(steps) != 1 || string(steps[0].Output) != want {
			t.Errorf("timeline %+v, %v", steps, err)
		}
	})
}

// TestCancelFromAnotherNode needs a database that two nodes share.
func TestCancelFromAnotherNode(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		if cfg.URL == "" {
			return // one SQLite file has one node
		}
		ctx := context.Background()
		cfg.PollInterval = 50 * time.Millisecond
		var waiting, ended atomic.Bool
		define := func(e *flow.Engine) {
			flow.Register(e, "work", func(c flow.Context, _ int) (int, error) {
				defer ended.Store(true)
				return flow.Step(c, "hang", func(ctx context.Context) (int, error) {
					waiting.Store(true)
					<-ctx.Done()
					return 0, ctx.Err()
				})
			})
		}
		a := open(t, cfg)
		define(a)
		start(t, a)
		if err := flow.Run(ctx, a, "work", "w", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "it hangs", waiting.Load)
		cfg.NodeID = "node-b"
		b := open(t, cfg)
		define(b)
		start(t, b)
		if err := b.Cancel(ctx, "w"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "node a let go", ended.Load)
		waitStatus(t, a, "w", flow.Cancelled)
	})
}

func rawDB(t *testing.T, cfg flow.Config) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3F", " ", "%20").Replace(cfg.Path)+"?_pragma=busy_timeout(10000)"
	if cfg.URL != "" {
		driver, dsn = "pgx", cfg.URL
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
