// Package bench measures the event-driven heart as a node runs it: the database,
// the relay, the bus, the flows and the services that hear events, wired as
// internal/app does, everything with full sync. The figures and their bars are
// in docs/performance.md.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// node is all of a node that has to do with events.
type node struct {
	b       testing.TB
	db      *store.DB
	bus     *bus.Bus
	flows   *flow.Engine
	videos  *video.Service
	history *history.Service
	rules   *rules.Service
	archive *archive.Service
	plugins *pluginmanager.Service
}

// on runs a benchmark on a node of each database.
func on(b *testing.B, plugins pluginmanager.Options, run func(b *testing.B, n *node)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) {
		run(b, start(b, store.Config{Path: filepath.Join(b.TempDir(), "app.db")}, plugins))
	})
	b.Run("postgres", func(b *testing.B) {
		run(b, start(b, store.Config{URL: storetest.SyncedPostgresURL(b)}, plugins))
	})
}

// start runs a node until the end of the benchmark.
func start(b testing.TB, cfg store.Config, plugins pluginmanager.Options) *node {
	b.Helper()
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(b.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	secret := []byte("a secret that is long enough for all")
	n := &node{b: b}
	var err error
	must := func() {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	n.db, err = store.Open(ctx, cfg)
	must()
	objects, err := blob.NewFiles(filepath.Join(dir, "objects"))
	must()
	n.bus, err = bus.Open(ctx, bus.Config{Dir: filepath.Join(dir, "bus"), Secret: secret, Logger: log})
	must()
	n.flows, err = flow.Open(ctx, flow.Config{Path: filepath.Join(dir, "flow.db"), URL: cfg.URL, NodeID: "n1", Logger: log})
	must()
	n.videos = video.New(n.db, objects, channels{}, func(context.Context) video.URLs { return urls{} }, log)
	n.history = history.New(n.db, n.videos, log)
	plugins.DB, plugins.Flows, plugins.Videos, plugins.Metrics, plugins.Logger = n.db, n.flows, n.videos, prometheus.NewRegistry(), log
	n.plugins, err = pluginmanager.New(plugins)
	must()
	n.rules, err = rules.New(rules.Config{
		DB: n.db, Videos: n.videos, Logger: log, Secret: secret, Node: "n1", Metrics: prometheus.NewRegistry(), Plugins: asked{n.plugins}, Tagger: n.videos,
	})
	must()
	n.archive, err = archive.New(archive.Config{DB: n.db, Logger: log, Rules: noReplays{}, Keep: 30 * 24 * time.Hour})
	must()
	err = n.plugins.Start(ctx)
	must()
	err = n.flows.Start(ctx)
	must()
	for _, c := range slices.Concat(n.videos.Consumers(), n.plugins.Consumers(), n.history.Consumers(), n.rules.Consumers(), n.archive.Consumers()) {
		err = n.bus.Consume(ctx, c)
		must()
	}
	n.background(log)
	return n
}

// background runs what a node runs, and stops everything at the end of the
// benchmark in a node's order.
func (n *node) background(log *slog.Logger) {
	live, cancel := context.WithCancel(context.Background())
	relay := &store.Relay{DB: n.db, Holder: "n1", Publish: n.bus.Relay, PublishAll: n.bus.RelayAll, Logger: log}
	var wg sync.WaitGroup
	for _, run := range []func(context.Context){relay.Run, n.videos.Run, n.plugins.Run, n.history.Run, n.rules.Run, n.archive.Run} {
		wg.Go(func() { run(live) })
	}
	n.b.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		if err := n.bus.StopConsumers(ctx); err != nil {
			n.b.Error(err)
		}
		cancel()
		wg.Wait()
		for _, end := range []func() error{
			func() error { return n.flows.Shutdown(10 * time.Second) },
			func() error { return n.bus.Close(ctx) },
			n.db.Close,
		} {
			if err := end(); err != nil {
				n.b.Error(err)
			}
		}
	})
}

// say says events with a row of their own, as services do.
func (n *node) say(events ...event.Envelope) {
	n.b.Helper()
	err := n.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, events...) })
	if err != nil {
		n.b.Fatal(err)
	}
}

// hear gives events to a consumer of the benchmark.
func (n *node) hear(c event.Consumer) {
	n.b.Helper()
	if err := n.bus.Consume(context.Background(), c); err != nil {
		n.b.Fatal(err)
	}
}

// instant returns plugins that answer at once, as many for each hook.
func instant(each int) pluginmanager.Options {
	var all pluginmanager.Options
	for _, hook := range []string{"preValidate", "postValidate", "preMetadata", "postMetadata"} {
		for i := range each {
			manifest, _ := json.Marshal(pluginmanager.Manifest{Name: fmt.Sprintf("%s%d", hook, i), EventHook: hook})
			all.BuiltIns = append(all.BuiltIns, pluginmanager.BuiltIn{Manifest: manifest, Run: func(context.Context, string, []byte) ([]byte, error) {
				return []byte(`{"valid":true,"tags":["one","two"]}`), nil
			}})
		}
	}
	return all
}

// report says how long things took, as b.ReportMetric does: p50 and p99 in ms.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	if len(took) == 0 {
		b.Fatal("nothing was measured")
	}
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
}

type channels struct{}

func (channels) Username(context.Context, string) (string, error) { return "brave-otter", nil }

type urls struct{}

func (urls) VOD(v string) string        { return "https://localhost/vod/" + v + "/master.m3u8" }
func (urls) MP4(v string) string        { return "https://localhost/vod/" + v + "/video.mp4" }
func (urls) Thumbnail(v string) string  { return "https://localhost/vod/" + v + "/thumbnail.jpg" }
func (urls) Storyboard(v string) string { return "https://localhost/vod/" + v + "/storyboard.vtt" }

// asked are the plugins, as rules need them.
type asked struct{ *pluginmanager.Service }

func (a asked) ForEvents() []rules.Choice { return nil }

func (a asked) Ask(ctx context.Context, t rules.Asking) error {
	return a.Service.Ask(ctx, pluginmanager.EventTask{Delivery: t.Delivery, Plugin: t.Plugin, Event: t.Event})
}

// noReplays is for an archive that nothing is replayed from.
type noReplays struct{ archive.Rules }
