package flow_test

import (
	"context"
	"fmt"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

const (
	manyFlows = 40 // that each node starts
	manySteps = 6
)

// runMany starts flows whose steps write a row each, under receipts, as the
// services do.
func (p plan) runMany() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := store.Open(ctx, store.Config{URL: p.URL})
	if err != nil {
		return err
	}
	e, err := flow.Open(ctx, p.config())
	if err != nil {
		return err
	}
	flow.Register(e, "count", func(c flow.Context, _ int) (int, error) {
		for i := range manySteps {
			name := fmt.Sprintf("step %d", i)
			_, err := flow.Step(c, name, func(ctx context.Context) (string, error) {
				time.Sleep(20 * time.Millisecond) // the work, and a chance to be killed in it
				return store.Step(ctx, db, c.ID(), name, func(ctx context.Context, tx *store.Tx) (string, error) {
					_, err := tx.ExecContext(ctx, `INSERT INTO counted (flow, step, node) VALUES ($1, $2, $3)`, c.ID(), name, p.Node)
					return p.Node, err
				})
			}, flow.Retries{Max: flow.Forever})
			if err != nil {
				return 0, err
			}
		}
		return manySteps, nil
	})
	if err := e.Start(ctx); err != nil {
		return err
	}
	for i := range manyFlows {
		if err := flow.Run(ctx, e, "count", fmt.Sprintf("%s-%d", p.Many, i), 0); err != nil {
			return err
		}
	}
	<-ctx.Done()
	if err := e.Shutdown(5 * time.Second); err != nil {
		return err
	}
	return db.Close()
}

// TestNodeIsKilledAmongMany: two nodes, processes of their own, work on one
// PostgreSQL. One is killed with its hands full; the other one finishes all that
// both began, and every step has counted once.
func TestNodeIsKilledAmongMany(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		// No key: what counts twice is there twice.
		_, err := tx.ExecContext(ctx, `CREATE TABLE counted (flow TEXT, step TEXT, node TEXT)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	count := func(query string) (n int) {
		if err := db.Read().QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	a := spawn(t, plan{URL: url, Node: "a", Many: "from-a", Lease: time.Second})
	b := spawn(t, plan{URL: url, Node: "b", Many: "from-b", Lease: time.Second})
	waitFor(t, "both are at work", func() bool {
		return count(`SELECT count(DISTINCT node) FROM counted`) == 2 && count(`SELECT count(*) FROM counted WHERE node = 'a'`) >= 20
	})
	a.end(t, syscall.SIGKILL)
	byA := count(`SELECT count(*) FROM counted WHERE node = 'a'`)
	if byA == manyFlows*manySteps {
		t.Fatal("node a was killed too late to leave anything")
	}

	const flows, unfinished = `SELECT count(*) FROM flow.workflow_status`, `SELECT count(*) FROM flow.workflow_status WHERE status <> 'SUCCESS'`
	for deadline := time.Now().Add(time.Minute); count(flows+` WHERE workflow_uuid LIKE 'from-b-%'`) < manyFlows || count(unfinished) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d flows %d are not done", count(flows), count(unfinished))
		}
	}
	begun := count(flows)
	b.end(t, syscall.SIGTERM)
	if n := count(`SELECT count(*) FROM counted`); n != begun*manySteps {
		t.Errorf("%d steps counted, want %d flows of %d steps", n, begun, manySteps)
	}
	if n := count(`SELECT count(*) FROM (SELECT flow, step FROM counted GROUP BY flow, step HAVING count(*) <> 1) twice`); n != 0 {
		t.Errorf("%d steps counted more than once", n)
	}
	if n := count(`SELECT count(*) FROM counted WHERE node = 'b' AND flow LIKE 'from-a-%'`); n == 0 {
		t.Error("node b has done nothing for node a")
	}
}

// A thousand flows wait, are woken together and end.
func TestManyParked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, cfg flow.Config) {
		const flows = 1000
		ctx := t.Context()
		cfg.Park = 50 * time.Millisecond
		var p patient
		e := parking(t, cfg, &p)
		ids := make([]string, flows)
		var starts sync.WaitGroup
		queue := make(chan string)
		for range 8 {
			starts.Go(func() {
				for id := range queue {
					if err := flow.Run(ctx, e, "patient", id, 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range flows {
			ids[n] = fmt.Sprint("f-", n)
			queue <- ids[n]
		}
		close(queue)
		starts.Wait()
		for _, id := range ids {
			p.waitsWithoutARun(t, e, id)
		}
		if sum, err := e.Summary(ctx); err != nil || len(sum.Counts) != 1 || sum.Counts[0].Flows != flows {
			t.Errorf("summary %+v, %v", sum, err)
		}
		for _, id := range ids {
			p.answer(e, id)
		}
		waitLong(t, "all end", func() bool {
			sum, err := e.Summary(ctx)
			return err == nil && len(sum.Counts) == 1 && sum.Counts[0] == flow.Count{Name: "patient", Status: flow.Done, Flows: flows}
		})
		for _, id := range ids {
			if p.ran.of("before "+id) != 1 || p.ran.of("after "+id) != 1 {
				t.Fatalf("%s ran %d and %d times", id, p.ran.of("before "+id), p.ran.of("after "+id))
			}
		}
	})
}

func waitLong(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}
