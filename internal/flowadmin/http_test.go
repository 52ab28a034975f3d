package flowadmin_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/flowadmin"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bakery is a service with a flow, as small as can be: its flow goes on when it
// is retried, unless the order was told to be lost.
type bakery struct {
	engine  *flow.Engine
	noFlour atomic.Bool
	sold    atomic.Bool
}

func (b *bakery) FlowName() string               { return "bake" }
func (b *bakery) FlowPrefix(video string) string { return "bake-" + video }
func (b *bakery) FlowVideo(flowID string) string { return strings.TrimPrefix(flowID, "bake-") }

func (b *bakery) PlanRetry(ctx context.Context, info flow.Info) (flow.RetryPlan, error) {
	if info.Status == flow.Done || !info.Status.Final() {
		return flow.RetryPlan{Refusal: "The bread is baked, or will be."}, nil
	}
	steps, err := b.engine.Timeline(ctx, info.ID)
	var plan flow.RetryPlan
	for _, s := range steps {
		plan.From = append(plan.From, s.Name)
	}
	return plan, err
}

func (b *bakery) RetryFlow(ctx context.Context, info flow.Info, from string) (string, error) {
	return info.ID, b.engine.RetryFrom(ctx, info.ID, from)
}

type order struct {
	Bread     string `json:"bread"`
	TaskToken string `json:"taskToken"`
}

func (b *bakery) bake(c flow.Context, in order) (map[string]string, error) {
	out := map[string]string{"TaskToken": in.TaskToken, "bread": in.Bread}
	_, err := flow.Step(c, "knead", func(context.Context) (map[string]string, error) { return out, nil })
	if err != nil {
		return nil, err
	}
	_, err = flow.Step(c, "bake", func(context.Context) (int, error) {
		if b.noFlour.Load() {
			return 0, errors.New("no flour")
		}
		return 220, nil
	}, flow.Retries{Max: 1, Base: time.Millisecond})
	if err != nil {
		return nil, err
	}
	_, _, err = flow.Await(c, "sell", "sold", time.Now().Add(time.Hour), func(context.Context) (int, bool, error) { return 0, b.sold.Load(), nil })
	return out, err
}

type rig struct {
	*bakery
	api, admin *apitest.Client
}

func each(t *testing.T, test func(t *testing.T, r *rig)) {
	flowtest.Each(t, func(t *testing.T, cfg store.Config, dir string) {
		engine, err := flow.Open(context.Background(), flow.Config{
			Path: filepath.Join(dir, "flow.db"), URL: cfg.URL, NodeID: "node-1", PollInterval: 20 * time.Millisecond,
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &bakery{engine: engine}
		flow.Register(engine, "bake", b.bake)
		flow.Register(engine, "nobodys", func(flow.Context, int) (int, error) { return 0, errors.New("no luck") })
		flow.Register(engine, "words", func(_ flow.Context, word string) (string, error) { return word, nil })
		if err := engine.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := engine.Shutdown(10 * time.Second); err != nil {
				t.Error(err)
			}
		})
		r := &rig{bakery: b}
		r.api = apitest.New(t, func(g *gateway.Gateway) { flowadmin.New(engine, b).Register(g.API()) })
		r.admin = r.api.As(identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}})
		test(t, r)
	})
}

func (r *rig) run(t *testing.T, id string) {
	t.Helper()
	if err := flow.Run(t.Context(), r.engine, "bake", id, order{"rye", "tt_secret"}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) until(t *testing.T, id string, done func(flowadmin.FlowDetail) bool) flowadmin.FlowDetail {
	t.Helper()
	var d flowadmin.FlowDetail
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r.admin.Get("/api/flows/" + id).Want(200).JSON(&d)
		if done(d) {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("never as wanted: %+v", d)
		}
		d = flowadmin.FlowDetail{}
	}
}

func is(status flow.Status) func(flowadmin.FlowDetail) bool {
	return func(d flowadmin.FlowDetail) bool { return d.Status == string(status) }
}

func TestForAdminsAlone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.run(t, "bake-1")
		developer := r.api.As(identity.Principal{ID: "dev", Roles: identity.Roles{identity.Developer, identity.Broadcaster, identity.Viewer}})
		for _, c := range [][2]string{
			{"GET", "/api/flows"}, {"GET", "/api/flows/summary"}, {"GET", "/api/flows/bake-1"},
			{"POST", "/api/flows/bake-1/cancel"}, {"POST", "/api/flows/bake-1/retry"},
		} {
			r.api.Call(c[0], c[1], nil).Want(401)
			developer.Call(c[0], c[1], nil).Want(403)
		}
		if info, err := r.engine.Status(t.Context(), "bake-1"); err != nil || info.Status == flow.Cancelled {
			t.Errorf("%+v, %v", info, err)
		}
		r.sold.Store(true)
		r.until(t, "bake-1", is(flow.Done))
	})
}

// TestAFlowsLife: it waits, is cancelled, retried, fails, is retried from a step
// and is done; no task token shows.
func TestAFlowsLife(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.noFlour.Store(true)
		r.run(t, "bake-1")
		d := r.until(t, "bake-1", is(flow.Failed))
		if d.Name != "bake" || d.Video != "1" || d.Node != "node-1" || d.EndedAt == "" || !strings.Contains(d.Error, "no flour") {
			t.Errorf("failed: %+v", d)
		}
		if len(d.Steps) != 2 || d.Steps[0].State != "done" || d.Steps[1].State != "failed" || d.Steps[1].Tries != 2 ||
			len(d.Steps[1].Failed) != 1 || d.Steps[1].Failed[0].Error != "no flour" || d.Steps[1].Error != "no flour" {
			t.Errorf("steps: %+v", d.Steps)
		}
		if !d.Retry.Possible || !slices.Equal(d.Retry.From, []string{"knead", "bake"}) {
			t.Errorf("retry: %+v", d.Retry)
		}
		body := string(r.admin.Get("/api/flows/bake-1").Want(200).Body)
		if strings.Contains(body, "tt_secret") || strings.Count(body, "(masked)") != 2 {
			t.Errorf("a task token shows: %s", body)
		}

		r.noFlour.Store(false)
		r.admin.Post("/api/flows/bake-1/retry", flowadmin.Retry{From: "elsewhere"}).Want(404)
		r.admin.Post("/api/flows/bake-1/retry", flowadmin.Retry{From: "knead"}).Want(200)
		d = r.until(t, "bake-1", func(d flowadmin.FlowDetail) bool { return d.Doing != nil && d.Doing.Step == "sell" })
		if !d.Doing.Waits || d.Doing.Until == "" || d.Doing.Since == "" || d.Retry.Possible || d.Retry.Reason == "" {
			t.Errorf("it waits: %+v, %+v", d.Doing, d.Retry)
		}
		r.admin.Post("/api/flows/bake-1/retry", nil).Want(409)

		r.admin.Post("/api/flows/bake-1/cancel", nil).Want(200)
		r.until(t, "bake-1", is(flow.Cancelled))
		if p := r.admin.Post("/api/flows/bake-1/cancel", nil).Want(409).Problem(); !strings.Contains(p.Detail, "cancelled") {
			t.Errorf("%+v", p)
		}
		for deadline := time.Now().Add(20 * time.Second); r.admin.Post("/api/flows/bake-1/retry", nil).Status != 200; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("its run never lets go")
			}
		}
		r.sold.Store(true)
		d = r.until(t, "bake-1", is(flow.Done))
		var out map[string]string
		text, err := json.Marshal(d.Output)
		if err == nil {
			err = json.Unmarshal(text, &out)
		}
		if err != nil || out["bread"] != "rye" || out["TaskToken"] != "(masked)" || d.Doing != nil {
			t.Errorf("done: %s, %v, %+v", text, err, d.Doing)
		}
		r.admin.Get("/api/flows/nosuch").Want(404)
		r.admin.Post("/api/flows/nosuch/cancel", nil).Want(404)
		r.admin.Post("/api/flows/nosuch/retry", nil).Want(404)
	})
}

// TestOutcome: what a flow has come to shows in lists when it is a word.
func TestOutcome(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for id, word := range map[string]string{"w-1": "invalid", "w-2": "", "w-3": strings.Repeat("long", 10)} {
			if err := flow.Run(t.Context(), r.engine, "words", id, word); err != nil {
				t.Fatal(err)
			}
			r.until(t, id, is(flow.Done))
		}
		var list store.List[flowadmin.FlowView]
		r.admin.Get("/api/flows").Want(200).JSON(&list)
		for _, f := range list.Data {
			if want := map[string]string{"w-1": "invalid"}[f.ID]; f.Outcome != want {
				t.Errorf("%s has come to %q", f.ID, f.Outcome)
			}
		}
	})
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.sold.Store(true)
		for _, id := range []string{"bake-a", "bake-b", "bake-c", "other"} {
			r.run(t, id)
			r.until(t, id, is(flow.Done))
		}
		if err := flow.Run(t.Context(), r.engine, "nobodys", "n", 0); err != nil {
			t.Fatal(err)
		}
		d := r.until(t, "n", is(flow.Failed))
		if d.Retry.Possible || d.Video != "" {
			t.Errorf("nobody's flow: %+v", d)
		}
		r.admin.Post("/api/flows/n/retry", nil).Want(409)

		ids := func(query string) (ids []string, next string) {
			var list store.List[flowadmin.FlowView]
			r.admin.Get("/api/flows" + query).Want(200).JSON(&list)
			for _, f := range list.Data {
				ids = append(ids, f.ID)
			}
			return ids, list.NextPage
		}
		for query, want := range map[string]string{
			"": "n other bake-c bake-b bake-a", "?name=bake": "other bake-c bake-b bake-a", "?status=failed": "n",
			"?status=failed,done&limit=1": "n", "?q=b": "bake-c bake-b bake-a", "?q=bake-": "bake-c bake-b bake-a", "?q=zz": "", "?name=none": "",
			"?status=running,queued,cancelled,abandoned": "",
		} {
			got, _ := ids(query)
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %v, want %s", query, got, want)
			}
		}
		first, next := ids("?limit=2")
		second, last := ids("?limit=3&offset=" + url.QueryEscape(next))
		if strings.Join(append(first, second...), " ") != "n other bake-c bake-b bake-a" || last != "" {
			t.Errorf("%v, then %v and %q", first, second, last)
		}
		if got, _ := ids("?q=c"); !slices.Equal(got, []string{"bake-c"}) {
			t.Errorf("of the video c: %v", got)
		}
		for _, wrong := range []string{"?status=lost", "?q=a%25", "?limit=0", "?offset=x"} {
			if status := r.admin.Get("/api/flows" + wrong).Status; status != 400 && status != 422 {
				t.Errorf("%s: %d", wrong, status)
			}
		}

		var s flowadmin.SummaryView
		r.admin.Get("/api/flows/summary").Want(200).JSON(&s)
		if len(s.Counts) != 2 || s.Oldest != nil || len(s.Nodes) != 1 || !s.Nodes[0].Alive || !s.Nodes[0].Self {
			t.Errorf("%+v", s)
		}
		r.sold.Store(false)
		r.run(t, "bake-z")
		r.until(t, "bake-z", func(d flowadmin.FlowDetail) bool { return d.Doing != nil })
		r.admin.Get("/api/flows/summary").Want(200).JSON(&s)
		if s.Oldest == nil || s.Oldest.ID != "bake-z" || s.Oldest.Video != "z" {
			t.Errorf("the oldest: %+v", s.Oldest)
		}
	})
}
