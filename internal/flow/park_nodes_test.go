package flow_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// expire makes a node as good as dead to the others, until it renews its lease.
func expire(t *testing.T, cfg flow.Config, node string) {
	t.Helper()
	if _, err := rawDB(t, cfg).Exec(`UPDATE `+flowTable(cfg, "node_leases")+` SET expires_at = 1 WHERE node = $1`, node); err != nil {
		t.Fatal(err)
	}
}

// Flows that wait without a run on a node that dies are taken up like those that
// run. A node that was only slow does not take them back.
func TestNodeDiesWhileParked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		var p patient
		a := parking(t, cfg, &p)
		p.begin(t, a, "one", "two", "three")
		expire(t, cfg, "node-a")
		other := cfg
		other.NodeID, other.LeaseTime = "node-b", 300*time.Millisecond
		b := parking(t, other, &p)
		for _, id := range []string{"one", "two", "three"} {
			waitFor(t, id+" is taken up", func() bool { return p.ran.of("run "+id) > 1 })
		}
		// Both hear of the answers. Who has the flow no more finds that out.
		for _, id := range []string{"one", "two", "three"} {
			p.answered.Store(id, "to "+id)
			a.Wake(id)
			b.Wake(id)
		}
		for _, id := range []string{"one", "two", "three"} {
			p.ends(t, b, id, answer{Value: "to " + id, OK: true})
			waitFor(t, "node a forgets "+id, func() bool { return !a.Running(id) })
		}
	})
}

// A node does not resume what is not its own any more.
func TestLostFlowIsNotWoken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, set string
		want      flow.Info
	}{
		{"another node has it", `executor_id = 'node-b', owner_xid = 'somebody', recovery_attempts = 2`,
			flow.Info{Status: flow.Running, Node: "node-b", Attempts: 2}},
		{"another node cancelled it", `status = 'CANCELLED', owner_xid = NULL`,
			flow.Info{Status: flow.Cancelled, Node: "node-a", Attempts: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg flow.Config) {
				cfg.PollInterval = time.Hour // nobody tells it
				var p patient
				a := parking(t, cfg, &p)
				p.begin(t, a, "one")
				db := rawDB(t, cfg)
				if _, err := db.Exec(`UPDATE ` + flowTable(cfg, "workflow_status") + ` SET ` + tt.set + ` WHERE workflow_uuid = 'one'`); err != nil {
					t.Fatal(err)
				}
				p.answer(a, "one")
				waitFor(t, "node a forgets it", func() bool { return !a.Running("one") })
				info, err := a.Status(t.Context(), "one")
				if got := (flow.Info{Status: info.Status, Node: info.Node, Attempts: info.Attempts}); err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("it is %+v, %v", got, err)
				}
				if runs := p.ran.of("run one"); runs != 1 {
					t.Errorf("%d runs", runs)
				}
			})
		})
	}
}

// A node may draw from the queue a flow that waits on it, when the others took it for
// dead. It does not wait twice then.
func TestParkedFlowIsRunAnyway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		var p patient
		e := parking(t, cfg, &p)
		p.begin(t, e, "one")
		p.answered.Store("one", "seen")
		_, err := rawDB(t, cfg).Exec(`UPDATE ` + flowTable(cfg, "workflow_status") +
			` SET status = 'ENQUEUED', owner_xid = NULL, queue_name = '_dbos_internal_queue' WHERE workflow_uuid = 'one'`)
		if err != nil {
			t.Fatal(err)
		}
		p.ends(t, e, "one", answer{Value: "seen", OK: true})
	})
}

func TestCancelParkedFromAnotherNode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		if cfg.URL == "" {
			return // one SQLite file has one node
		}
		ctx := t.Context()
		cfg.PollInterval = 50 * time.Millisecond
		var p patient
		a := parking(t, cfg, &p)
		p.begin(t, a, "one", "two")
		other := cfg
		other.NodeID = "node-b"
		b := parking(t, other, &p)
		if _, ok := b.Activity("one"); ok || b.Running("one") {
			t.Error("it waits on node b")
		}
		if err := b.Cancel(ctx, "one"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "node a forgets it", func() bool { return !a.Running("one") })
		if err := b.Forget(ctx, "two"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "node a forgets the other", func() bool { return !a.Running("two") })
		p.answer(a, "one")
		p.answer(a, "two")
		waitStatus(t, a, "one", flow.Cancelled)
		if p.ran.of("run one") != 1 || p.ran.of("run two") != 1 {
			t.Error("one ran again after its end")
		}
	})
}

// While the flows' database refuses to wake it, a flow goes on waiting, and can be
// cancelled.
func TestDatabaseRefusesToWake(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		var p patient
		e := parking(t, cfg, &p)
		p.begin(t, e, "a", "b")
		db := rawDB(t, cfg)
		refuse, allow := `CREATE TRIGGER full_disk BEFORE UPDATE ON workflow_status WHEN NEW.status = 'ENQUEUED' BEGIN SELECT RAISE(ABORT, 'disk full'); END`,
			`DROP TRIGGER full_disk`
		if cfg.URL != "" {
			refuse, allow = `ALTER TABLE flow.workflow_status ADD CONSTRAINT full_disk CHECK (status <> 'ENQUEUED') NOT VALID`,
				`ALTER TABLE flow.workflow_status DROP CONSTRAINT full_disk`
		}
		if _, err := db.Exec(refuse); err != nil {
			t.Fatal(err)
		}
		want := p.answer(e, "a")
		p.answer(e, "b")
		time.Sleep(1500 * time.Millisecond) // it is tried more than once
		for _, id := range []string{"a", "b"} {
			if info, err := e.Status(ctx, id); err != nil || info.Status != flow.Running || !e.Running(id) || p.ran.of("run "+id) != 1 {
				t.Errorf("%s is %s after %d runs, %v", id, info.Status, p.ran.of("run "+id), err)
			}
		}
		if err := e.Cancel(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(allow); err != nil {
			t.Fatal(err)
		}
		p.ends(t, e, "a", want)
		waitStatus(t, e, "b", flow.Cancelled)
		if runs := p.ran.of("run b"); runs != 1 {
			t.Errorf("the one that was cancelled ran %d times", runs)
		}
	})
}

// While its polls fail nobody knows whether the answer is there: the run stays.
func TestPollFailsAtParking(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		cfg.Park = 10 * time.Millisecond
		var p patient
		p.broken.Store(true)
		e := parking(t, cfg, &p)
		if err := flow.Run(t.Context(), e, "patient", "a", 0); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "it has polled again", func() bool { return p.ran.of(cfg.NodeID+" poll a") > 1 })
		if n := p.ran.of("let go a"); n != 0 {
			t.Errorf("its run ended %d times", n)
		}
		p.broken.Store(false)
		p.waitsWithoutARun(t, e, "a")
		p.ends(t, e, "a", p.answer(e, "a"))
	})
}

// Nothing is said in the log about an end that is no failure.
func TestParkingIsQuiet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		var said atomic.Int64
		cfg.Logger = counting(cfg.Logger, &said)
		var p patient
		e := parking(t, cfg, &p)
		p.begin(t, e, "a")
		p.ends(t, e, "a", p.answer(e, "a"))
		if n := said.Load(); n != 0 {
			t.Errorf("%d warnings or errors", n)
		}
	})
}

// A process ends while its flow waits without a run: the next one of the node, or
// another node, goes on.
func TestProcessEndsWhileParked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, next string
		signal     os.Signal
	}{
		{"kill", "a", syscall.SIGKILL}, {"term", "a", syscall.SIGTERM},
		{"kill, another node", "b", syscall.SIGKILL}, {"term, another node", "b", syscall.SIGTERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, cfg flow.Config) {
				dir := t.TempDir()
				p := plan{Path: cfg.Path, URL: cfg.URL, Node: "a", Journal: filepath.Join(dir, "journal"), WaitFor: filepath.Join(dir, "answer"),
					Start: true, Lease: time.Second}
				first := spawn(t, p)
				waitFor(t, "it waits without a run", func() bool { return journal(t, p.Journal) == "a one, a two, a wait, a lets go" })
				first.end(t, tt.signal)
				if err := os.WriteFile(p.WaitFor, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				p.Node, p.Start = tt.next, false
				if said := spawn(t, p).end(t, nil); said != string(flow.Done) {
					t.Errorf("the second process said %q", said)
				}
				want := fmt.Sprintf("a one, a two, a wait, a lets go, %[1]s wait, %[1]s three", tt.next)
				if got := journal(t, p.Journal); got != want {
					t.Errorf("ran %s, want %s", got, want)
				}
			})
		})
	}
}

// counting counts what is at least a warning.
func counting(log *slog.Logger, said *atomic.Int64) *slog.Logger {
	return slog.New(counter{log.Handler(), said})
}

type counter struct {
	slog.Handler
	said *atomic.Int64
}

func (c counter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.said.Add(1)
	}
	return c.Handler.Handle(ctx, r)
}

func (c counter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counter{c.Handler.WithAttrs(attrs), c.said}
}
func (c counter) WithGroup(name string) slog.Handler {
	return counter{c.Handler.WithGroup(name), c.said}
}
