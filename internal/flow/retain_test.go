package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// TestRetention: flows that ended long ago go with their steps, those that
// failed later; what is not final stays, however old.
func TestRetention(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		cfg.Keep, cfg.KeepFailed = 30*24*time.Hour, 90*24*time.Hour
		e := open(t, cfg)
		flow.Register(e, "work", func(c flow.Context, how string) (string, error) {
			return flow.Step(c, "only", func(ctx context.Context) (string, error) {
				switch how {
				case "fails":
					return "", errs.New(errs.Invalid, "no luck")
				case "hangs":
					<-ctx.Done()
					return "", ctx.Err()
				}
				return how, nil
			})
		})
		start(t, e)
		db := rawDB(t, cfg)
		set := func(id, column string, days int) {
			t.Helper()
			at := time.Now().Add(-time.Duration(days) * 24 * time.Hour).UnixMilli()
			_, err := db.Exec(`UPDATE `+flowTable(cfg, "workflow_status")+` SET `+column+` = $1 WHERE workflow_uuid = $2`, at, id)
			if err != nil {
				t.Fatal(err)
			}
		}
		for id, f := range map[string]struct {
			how  string
			end  flow.Status
			days int
		}{
			"done-29": {"", flow.Done, 29}, "done-31": {"", flow.Done, 31},
			"failed-89": {"fails", flow.Failed, 89}, "failed-91": {"fails", flow.Failed, 91},
			"cancelled-89": {"hangs", flow.Cancelled, 89}, "cancelled-91": {"hangs", flow.Cancelled, 91},
			"running": {"hangs", flow.Running, 400},
		} {
			if err := flow.Run(ctx, e, "work", id, f.how); err != nil {
				t.Fatal(err)
			}
			if f.end == flow.Cancelled {
				if err := e.Cancel(ctx, id); err != nil {
					t.Fatal(err)
				}
			}
			waitStatus(t, e, id, f.end)
			set(id, "created_at", f.days+1)
			if f.end.Final() {
				set(id, "completed_at", f.days)
			}
		}
		for i := range 230 { // more than two batches
			id := fmt.Sprintf("many-%d", i)
			if err := flow.Run(ctx, e, "work", id, ""); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, "all are done", func() bool {
			left, err := e.List(ctx, flow.Filter{IDPrefixes: []string{"many-"}, Status: []flow.Status{flow.Running, flow.Queued}})
			return err == nil && len(left) == 0
		})
		_, err := db.Exec(`UPDATE `+flowTable(cfg, "workflow_status")+` SET completed_at = $1 WHERE workflow_uuid LIKE 'many-%'`,
			time.Now().Add(-40*24*time.Hour).UnixMilli())
		if err != nil {
			t.Fatal(err)
		}

		// Two at once do not get into each other's way.
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := e.Prune(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		waitFor(t, "all batches are gone", func() bool {
			left, err := e.List(ctx, flow.Filter{IDPrefixes: []string{"many-"}, Limit: 1})
			if err == nil && len(left) > 0 {
				err = e.Prune(ctx) // a slow machine needs another round
			}
			return err == nil && len(left) == 0
		})
		list, err := e.List(ctx, flow.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, i := range list {
			left = append(left, i.ID)
		}
		slices.Sort(left)
		if want := []string{"cancelled-89", "done-29", "failed-89", "running"}; !slices.Equal(left, want) {
			t.Errorf("left are %v, want %v", left, want)
		}
		var orphans int
		for _, table := range []string{"operation_outputs", "workflow_input", "workflow_output", "workflow_events", "streams"} {
			var n int
			err := db.QueryRow(`SELECT count(*) FROM ` + flowTable(cfg, table) + ` WHERE workflow_uuid NOT IN (SELECT workflow_uuid FROM ` + flowTable(cfg, "workflow_status") + `)`).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			orphans += n
		}
		if orphans != 0 {
			t.Errorf("%d rows of deleted flows are left", orphans)
		}
		if err := e.Cancel(ctx, "running"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestKeptForEver: without a limit nothing is deleted.
func TestKeptForEver(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		e := open(t, cfg)
		flow.Register(e, "work", func(flow.Context, int) (int, error) { return 0, errors.New("no luck") })
		start(t, e)
		if err := flow.Run(t.Context(), e, "work", "w", 0); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "w", flow.Failed)
		if _, err := rawDB(t, cfg).Exec(`UPDATE ` + flowTable(cfg, "workflow_status") + ` SET completed_at = 1`); err != nil {
			t.Fatal(err)
		}
		if err := e.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitStatus(t, e, "w", flow.Failed)
	})
}

func TestSummary(t *testing.T) {
	each(t, func(t *testing.T, cfg flow.Config) {
		ctx := t.Context()
		e := open(t, cfg)
		flow.Register(e, "work", func(c flow.Context, fails bool) (int, error) {
			if fails {
				return 0, errors.New("no luck")
			}
			_, _, err := flow.Await(c, "wait", "k", time.Time{}, func(context.Context) (int, bool, error) { return 0, false, nil })
			return 0, err
		})
		start(t, e)
		if s, err := e.Summary(ctx); err != nil || len(s.Counts) != 0 || s.Oldest != nil {
			t.Errorf("of nothing: %+v, %v", s, err)
		}
		for id, fails := range map[string]bool{"f1": true, "f2": true, "r1": false} {
			if err := flow.Run(ctx, e, "work", id, fails); err != nil {
				t.Fatal(err)
			}
		}
		waitStatus(t, e, "f1", flow.Failed)
		waitStatus(t, e, "f2", flow.Failed)
		s, err := e.Summary(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := map[flow.Count]bool{}
		for _, c := range s.Counts {
			got[c] = true
		}
		if len(got) != 2 || !got[flow.Count{Name: "work", Status: flow.Failed, Flows: 2}] || !got[flow.Count{Name: "work", Status: flow.Running, Flows: 1}] {
			t.Errorf("counts %+v", s.Counts)
		}
		if s.Oldest == nil || s.Oldest.ID != "r1" {
			t.Errorf("the oldest is %+v", s.Oldest)
		}
		_, err = rawDB(t, cfg).Exec(`INSERT INTO ` + flowTable(cfg, "node_leases") + ` (node, expires_at) VALUES ('gone', 1000)`)
		if err != nil {
			t.Fatal(err)
		}
		nodes, err := e.Nodes(ctx)
		if err != nil || len(nodes) != 2 || nodes[0].ID != "gone" || nodes[0].Alive || !nodes[1].Alive || !nodes[1].Self {
			t.Errorf("nodes %+v, %v", nodes, err)
		}
	})
}
