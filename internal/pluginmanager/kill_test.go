package pluginmanager_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// nodeEnv makes the test binary a node that the test can kill.
const nodeEnv = "PLUGINMANAGER_TEST_NODE"

// nodeConfig is what such a node is told.
type nodeConfig struct {
	Dir   string
	Store store.Config
}

// insiders are the built-in plugins of the node: name and hook.
func insiders() [][2]string {
	return [][2]string{{"val", "preValidate"}, {"check", "postValidate"}, {"tag1", "preMetadata"}, {"tag2", "preMetadata"}, {"title", "postMetadata"}}
}

// outsider answers from outside, while the node is down.
const outsider = "outside"

type noChannels struct{}

func (noChannels) Username(context.Context, string) (string, error) { return "brave-otter", nil }

type noURLs struct{}

func (noURLs) VOD(v string) string       { return "https://x/" + v }
func (noURLs) MP4(v string) string       { return "https://x/" + v }
func (noURLs) Thumbnail(v string) string { return "https://x/" + v }
func (noURLs) Storyboard(string) string  { return "" }

// node runs until it is killed: the real video manager and plugin manager on
// the real store, flows and bus.
func node() {
	var cfg nodeConfig
	if err := json.Unmarshal([]byte(os.Getenv(nodeEnv)), &cfg); err != nil {
		panic(err)
	}
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db := must(store.Open(ctx, cfg.Store))
	engine := must(flow.Open(ctx, flow.Config{Path: filepath.Join(cfg.Dir, "flow.db"), URL: cfg.Store.URL, NodeID: "n1", Logger: log}))
	events := must(openBus(cfg.Dir, log))
	videos := video.New(db, must(blob.NewFiles(filepath.Join(cfg.Dir, "objects"))), noChannels{}, func(context.Context) video.URLs { return noURLs{} }, log)
	plugins := must(pluginmanager.New(pluginmanager.Options{
		DB: db, Flows: engine, Videos: videos, Metrics: prometheus.NewRegistry(), Logger: log,
		BuiltIns: builtIns(), Plugins: []pluginmanager.Plugin{outside(outsider, "postMetadata", 0)},
	}))
	check(plugins.Start(ctx))
	check(engine.Start(ctx))
	for _, c := range append(videos.Consumers(), plugins.Consumers()...) {
		check(events.Consume(ctx, c))
	}
	go (&store.Relay{DB: db, Holder: "n1", Publish: events.Publish, Logger: log}).Run(ctx)
	go plugins.Run(ctx)
	fmt.Println("ready")
	select {}
}

// openBus opens the bus that node and test use in turn. What a killed node had
// in hand is delivered again after a second.
func openBus(dir string, log *slog.Logger) (*bus.Bus, error) {
	return bus.Open(context.Background(), bus.Config{Dir: filepath.Join(dir, "bus"), AckWait: time.Second, Logger: log})
}

func builtIns() []pluginmanager.BuiltIn {
	var all []pluginmanager.BuiltIn
	for _, p := range insiders() {
		all = append(all, pluginmanager.BuiltIn{
			Manifest: fmt.Appendf(nil, `{"name":%q,"description":"of a test","eventHook":%q}`, p[0], p[1]),
			Run: func(context.Context, string, []byte) ([]byte, error) {
				time.Sleep(rand.N(60 * time.Millisecond))
				return []byte(`{"valid":true}`), nil
			},
		})
	}
	return all
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// killer starts and kills nodes, and looks at what they left.
type killer struct {
	t   *testing.T
	cfg nodeConfig
	db  *store.DB
}

// run starts a node, waits until it is ready and until says so, and kills it.
func (k *killer) run(until func()) {
	k.t.Helper()
	text, err := json.Marshal(k.cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(text))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // SIGKILL
		_ = cmd.Wait()
		if k.t.Failed() {
			k.t.Log(stderr.String())
		}
	}()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		k.t.Fatalf("the node did not start: %s", stderr.String())
	}
	until()
}

// onBus opens the bus while no node runs.
func (k *killer) onBus(do func(b *bus.Bus)) {
	k.t.Helper()
	b, err := openBus(k.cfg.Dir, slog.New(slog.DiscardHandler))
	if err != nil {
		k.t.Fatal(err)
	}
	do(b)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		k.t.Error(err)
	}
}

// stored reads events from the bus until they are enough.
func (k *killer) stored(reader string, filter event.Filter, enough func(all []event.Envelope) bool) []event.Envelope {
	k.t.Helper()
	var mu sync.Mutex
	var all []event.Envelope
	k.onBus(func(b *bus.Bus) {
		err := b.Consume(context.Background(), event.Consumer{Name: reader, Filters: []event.Filter{filter}, Handle: func(_ context.Context, e event.Envelope) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, e)
			return nil
		}})
		if err != nil {
			k.t.Fatal(err)
		}
		k.wait("enough events", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return enough(all)
		})
	})
	return all
}

func (k *killer) wait(what string, done func() bool) {
	k.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.t.Fatal("never: " + what)
		}
	}
}

func (k *killer) count(query string) int {
	k.t.Helper()
	var n int
	if err := k.db.Read().QueryRow(query).Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}

// A node is killed again and again in mid-lifecycle, and an outside plugin
// answers while it is down. Every video comes to its end; nothing is lost and
// nothing is said twice.
func TestKilledInMidLifecycle(t *testing.T) {
	const videos, kills = 5, 4
	flowtest.Each(t, func(t *testing.T, cfg store.Config, dir string) {
		k := &killer{t: t, cfg: nodeConfig{Dir: dir, Store: cfg}, db: storetest.Open(t, cfg)}
		k.onBus(func(b *bus.Bus) {
			for i := range videos {
				id := fmt.Sprintf("st-%d", i)
				for _, d := range []event.Detail{
					event.MP4ProcessingComplete{
						ChannelName: "alice", ID: id, Compute: "local", DurationMillis: 12_000,
						StreamURL: "https://x/s", PlaybackURL: "https://x/p",
					},
					event.RecordingStateChange{
						RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: id,
						RecordingS3KeyPrefix: "recordings/alice/" + id,
					},
				} {
					if err := b.Publish(t.Context(), event.New(d)); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		for range kills {
			k.run(func() { time.Sleep(rand.N(250 * time.Millisecond)) })
		}
		k.run(func() {
			k.wait("all videos wait for the outsider", func() bool {
				return k.count(`SELECT count(*) FROM plugin_tasks WHERE plugin = 'outside' AND state = 'open'`) == videos &&
					k.count(`SELECT count(*) FROM outbox`) == 0
			})
		})

		// The node is down. The outsider has heard, and answers.
		asked := k.stored("outsider", event.Filter{Type: "postMetadata." + outsider}, func(all []event.Envelope) bool { return len(all) == videos })
		k.onBus(func(b *bus.Bus) {
			for _, e := range asked {
				var in event.PluginInvocation
				if err := e.Decode(&in); err != nil {
					t.Fatal(err)
				}
				if err := b.Publish(t.Context(), complete(outsider, in.TaskToken, `{"title":"from outside"}`)); err != nil {
					t.Fatal(err)
				}
			}
		})
		k.run(func() { time.Sleep(rand.N(100 * time.Millisecond)) })
		k.run(func() {
			k.wait("all videos are valid", func() bool {
				return k.count(`SELECT count(*) FROM videos WHERE status = 'valid' AND title = 'from outside'`) == videos &&
					k.count(`SELECT count(*) FROM outbox`) == 0
			})
		})
		audit(t, k, videos)
	})
}

// audit holds what was said against what should have been said.
func audit(t *testing.T, k *killer, videos int) {
	want := []string{"recording-ready", "LifeCycleStarted", "LifeCycleComplete", "VideoStatusUpdated", "postMetadata." + outsider}
	for _, p := range insiders() {
		want = append(want, p[1]+"."+p[0])
	}
	all := k.stored("audit", event.Filter{}, func(all []event.Envelope) bool {
		return len(distinct(all, "VideoStatusUpdated")) >= videos && len(distinct(all, "plugin-complete")) >= videos*(len(insiders())+1)
	})
	for _, detailType := range want {
		if n := len(distinct(all, detailType)); n != videos {
			t.Errorf("%s %d times, want %d", detailType, n, videos)
		}
	}
	if n := len(distinct(all, "plugin-complete")); n != videos*(len(insiders())+1) {
		t.Errorf("plugin-complete %d times, want %d", n, videos*(len(insiders())+1))
	}
	if failed := distinct(all, "Plugin failed"); len(failed) != 0 {
		t.Errorf("plugins failed: %s", failed[0].Detail)
	}
	for _, e := range distinct(all, "LifeCycleComplete") {
		var d event.LifeCycleComplete
		if err := e.Decode(&d); err != nil {
			t.Fatal(err)
		}
		out := d.Plugins.Outputs
		if d.Plugins.Status != "" || len(out["preValidate"]) != 1 || len(out["postValidate"]) != 1 ||
			!slices.Equal(keys(out["preMetadata"]), []string{`tag1={"valid":true}`, `tag2={"valid":true}`}) ||
			!slices.Equal(keys(out["postMetadata"]), []string{`title={"valid":true}`, `outside={"title":"from outside"}`}) {
			t.Errorf("ended %+v", d.Plugins)
		}
	}
}

// distinct returns the events of a type, each id once.
func distinct(all []event.Envelope, detailType string) []event.Envelope {
	seen := map[string]bool{}
	var out []event.Envelope
	for _, e := range all {
		if e.DetailType == detailType && !seen[e.ID] {
			seen[e.ID] = true
			out = append(out, e)
		}
	}
	return out
}
