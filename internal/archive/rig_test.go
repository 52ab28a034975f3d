package archive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestMain(m *testing.M) {
	child() // when this is the process that is to be killed
	goleak.VerifyTestMain(m)
}

// toRules joins the archive and the rules, as the program does.
type toRules struct{ *rules.Service }

func (r toRules) Rule(ctx context.Context, id string) (archive.Rule, error) {
	t, err := r.ReplayTarget(ctx, id)
	return archive.Rule(t), err
}

func (r toRules) Queue(ctx context.Context, tx *store.Tx, rule, replay string, events []event.Envelope) (int, error) {
	return r.QueueReplay(ctx, tx, rule, replay, events)
}

func (r toRules) Withdraw(ctx context.Context, tx *store.Tx, rule, replay string) (int64, error) {
	return r.WithdrawReplay(ctx, tx, rule, replay)
}

func (r toRules) Look() { r.LookAfterReplay() }

// What no test here has: deleted videos, and rules with these targets.
type (
	noVideos  struct{}
	noPlugins struct{ rules.Plugins }
	noTags    struct{ rules.Tagger }
)

func (noVideos) Deleted(context.Context, string) (bool, error) { return false, nil }

// rig is an archive and rules on a database, with an admin's client of their API.
type rig struct {
	*archive.Service
	t     *testing.T
	db    *store.DB
	rules *rules.Service
	api   *apitest.Client // nobody
	admin *apitest.Client
	stops []func()
}

func newRules(t testing.TB, db *store.DB) *rules.Service {
	t.Helper()
	s, err := rules.New(rules.Config{
		DB: db, Secret: []byte("a secret of the node, 32 bytes long"), Node: "node-1", Logger: slog.New(slog.DiscardHandler),
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Videos:        noVideos{}, Plugins: noPlugins{}, Tagger: noTags{}, Metrics: prometheus.NewRegistry(),
		RetryFirst: time.Millisecond, RetryMax: 20 * time.Millisecond, Poll: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newRig(t *testing.T, db *store.DB, change ...func(*archive.Config)) *rig {
	t.Helper()
	r := &rig{t: t, db: db, rules: newRules(t, db)}
	cfg := archive.Config{
		DB: db, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Rules: toRules{r.rules},
		Keep: 30 * 24 * time.Hour, Poll: 10 * time.Millisecond, PruneEvery: 10 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if r.Service, err = archive.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.api = apitest.New(t, func(g *gateway.Gateway) {
		r.Register(g.API())
		r.rules.Register(g.API())
	})
	r.admin = r.api.As(identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}})
	return r
}

// start runs work until the end of the test or stop.
func (r *rig) start(work ...func(context.Context)) *rig {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range work {
		all.Go(func() { run(ctx) })
	}
	stop := sync.OnceFunc(func() { cancel(); all.Wait() })
	r.t.Cleanup(stop)
	r.stops = append(r.stops, stop)
	return r
}

func (r *rig) stop() {
	for _, stop := range r.stops {
		stop()
	}
}

// hear gives events to the consumer, as the bus does.
func (r *rig) hear(events ...event.Envelope) {
	r.t.Helper()
	for _, e := range events {
		if err := r.Consumers()[0].Handle(r.t.Context(), e); err != nil {
			r.t.Fatal(err)
		}
	}
}

// at returns an event with a time and an id of its own.
func at(when time.Time, id string, d event.Detail) event.Envelope {
	e := event.NewWithID(id, d)
	e.Time = when
	return e
}

func started(stream string) event.StreamStateChange {
	return event.StreamStateChange{EventName: event.StreamStart, ChannelName: "c1", StreamID: stream}
}

func views(stream string, n int64) event.ViewCountUpdated {
	return event.ViewCountUpdated{StreamID: stream, ChannelName: "c1", ViewCount: n}
}

// hour is when the tests' events happen: some time ago, so that all of it is past.
func hour() time.Time { return time.Now().UTC().Add(-2 * time.Hour).Truncate(time.Hour) }

func (r *rig) list(query url.Values) store.List[archive.EventView] {
	r.t.Helper()
	var list store.List[archive.EventView]
	r.admin.Get("/api/archive/events?" + query.Encode()).Want(200).JSON(&list)
	return list
}

func idsOf(views []archive.EventView) (ids []string) {
	for _, v := range views {
		ids = append(ids, v.ID)
	}
	return ids
}

func (r *rig) totals() archive.ArchiveView {
	r.t.Helper()
	var v archive.ArchiveView
	r.admin.Get("/api/archive").Want(200).JSON(&v)
	return v
}

// fill puts n events of a second each into the archive, behind the service's back.
func fill(t testing.TB, db *store.DB, n int, from time.Time) {
	t.Helper()
	for start := 0; start < n; start += 1000 {
		err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := start; i < min(n, start+1000); i++ {
				e := at(from.Add(time.Duration(i)*time.Second), fmt.Sprintf("e-%07d", i), views(fmt.Sprintf("st-%d", i%50), int64(i)))
				body, err := json.Marshal(e)
				if err != nil {
					return err
				}
				_, err = tx.ExecContext(ctx, `INSERT INTO archive_events (id, at, source, detail_type, about, size, body) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
					e.ID, e.Time.UnixMilli(), e.Source, e.DetailType, e.About(), len(body)+400, string(body))
				if err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, `UPDATE archive_totals SET events = (SELECT count(*) FROM archive_events), size = (SELECT sum(size) FROM archive_events)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}
