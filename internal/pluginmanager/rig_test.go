package pluginmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	durationplugin "github.com/serverlessvideo/serverlessvideo/plugins/duration_plugin"
	"github.com/serverlessvideo/serverlessvideo/sdk"
)

// script is a plugin of a test: what it answers to an invocation, if anything.
type script func(in event.PluginInvocation) json.RawMessage

// says answers always the same.
func says(message string) script {
	return func(event.PluginInvocation) json.RawMessage { return json.RawMessage(message) }
}

// silent never answers.
func silent(event.PluginInvocation) json.RawMessage { return nil }

// rig is a plugin manager with flows, outbox and a bus in memory that delivers
// everything at least once.
type rig struct {
	t        *testing.T
	cfg      store.Config
	flows    string // folder
	options  pluginmanager.Options
	scripts  map[string]script
	suffix   int  // of this test's videos
	chaos    bool // deliver twice, late and in any order
	db       *store.DB
	engine   *flow.Engine
	svc      *pluginmanager.Service
	registry *prometheus.Registry

	mu     sync.Mutex
	said   []event.Envelope
	videos []event.RecordingReadyEvent

	deleted sync.Map // ids of videos

	beforeFlows func() // runs when the service hears and no flow runs yet
	stopNow     func()
}

func newRig(t *testing.T, cfg store.Config, dir string) *rig {
	r := &rig{t: t, cfg: cfg, flows: dir, scripts: map[string]script{}}
	t.Cleanup(r.stop)
	return r
}

// each runs a test on both databases, each fresh.
func each(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	flowtest.Each(t, func(t *testing.T, cfg store.Config, dir string) {
		cfg.Schemas = storetest.Schemas()
		test(t, newRig(t, cfg, dir))
	})
}

// testCase is a test that may share its databases with others: making one for the
// flows takes PostgreSQL seconds.
type testCase struct {
	name string
	test func(t *testing.T, r *rig)
}

// run runs a test on a rig that others have used: it starts anew, with its own
// videos and plugins.
func (r *rig) run(c testCase) {
	r.t.Run(c.name, func(t *testing.T) {
		outer := r.t
		defer func() { r.stop(); r.t = outer }()
		r.t, r.suffix = t, r.suffix+1
		r.options, r.scripts, r.chaos, r.said, r.videos = pluginmanager.Options{}, map[string]script{}, false, nil, nil
		c.test(t, r)
	})
}

// id returns a video's id, another one in each test.
func (r *rig) id(id string) string { return fmt.Sprintf("%s-%d", id, r.suffix) }

func outside(name, hook string, limit time.Duration) pluginmanager.Plugin {
	return pluginmanager.Plugin{Manifest: pluginmanager.Manifest{Name: name, EventHook: hook, TimeLimit: limit.Seconds()}}
}

// plugin registers a plugin of the test.
func (r *rig) plugin(name, hook string, limit time.Duration, s script) {
	r.options.Plugins = append(r.options.Plugins, outside(name, hook, limit))
	r.scripts[name] = s
}

func (r *rig) AwaitingLifecycle(context.Context) ([]event.RecordingReadyEvent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.videos), nil
}

// Deleted says whether the test has deleted a video.
func (r *rig) Deleted(_ context.Context, videoID string) (bool, error) {
	_, deleted := r.deleted.Load(videoID)
	return deleted, nil
}

// start opens everything, as a node does.
func (r *rig) start() {
	r.t.Helper()
	ctx := context.Background()
	var err error
	if r.db, err = store.Open(ctx, r.cfg); err != nil {
		r.t.Fatal(err)
	}
	engine, err := flow.Open(ctx, flow.Config{
		Path: filepath.Join(r.flows, "flow.db"), URL: r.cfg.URL, NodeID: "n1",
		PollInterval: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.engine, r.registry = engine, prometheus.NewRegistry()
	o := r.options
	o.DB, o.Flows, o.Videos, o.Metrics = r.db, engine, r, r.registry
	o.Logger = slog.New(slog.NewTextHandler(r.t.Output(), nil))
	if r.svc, err = pluginmanager.New(o); err != nil {
		r.t.Fatal(err)
	}
	if err := r.svc.Start(ctx); err != nil {
		r.t.Fatal(err)
	}
	if r.beforeFlows != nil {
		r.beforeFlows()
		r.beforeFlows = nil
	}
	if err := engine.Start(ctx); err != nil {
		r.t.Fatal(err)
	}
	live, cancel := context.WithCancel(ctx)
	var relaying, delivering sync.WaitGroup
	relay := &store.Relay{DB: r.db, Holder: "n1", Logger: slog.New(slog.DiscardHandler), Publish: func(_ context.Context, e event.Envelope) error {
		r.publish(live, &delivering, e)
		return nil
	}}
	relaying.Go(func() { relay.Run(live) })
	r.stopNow = func() {
		cancel()
		relaying.Wait()
		delivering.Wait()
		if err := engine.Shutdown(10 * time.Second); err != nil {
			r.t.Error(err)
		}
		if err := r.db.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) stop() {
	if r.stopNow != nil {
		r.stopNow()
		r.stopNow = nil
	}
}

// publish delivers an event to the service and to the test's plugins.
func (r *rig) publish(ctx context.Context, wg *sync.WaitGroup, e event.Envelope) {
	r.mu.Lock()
	r.said = append(r.said, e)
	r.mu.Unlock()
	times := 1
	if r.chaos {
		times = 3
	}
	for range times {
		wg.Go(func() {
			if r.chaos {
				time.Sleep(rand.N(30 * time.Millisecond))
			}
			r.deliver(ctx, e)
			_, plugin, _ := strings.Cut(e.DetailType, ".")
			if s := r.scripts[plugin]; s != nil && e.Source == event.SourcePluginManager {
				var in event.PluginInvocation
				if err := e.Decode(&in); err != nil {
					r.t.Error(err)
				}
				if message := s(in); message != nil {
					r.publish(ctx, wg, event.New(event.PluginComplete{Plugin: plugin, TaskToken: in.TaskToken, Message: message}))
				}
			}
		})
	}
}

// deliver gives an event to the service's consumers until they have taken it.
func (r *rig) deliver(ctx context.Context, e event.Envelope) {
	for _, c := range r.svc.Consumers() {
		if !slices.ContainsFunc(c.Filters, func(f event.Filter) bool { return f.Match(e) }) {
			continue
		}
		for c.Handle(ctx, e) != nil && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (r *rig) recording(id string, ms int64) event.RecordingReadyEvent {
	id = r.id(id)
	return event.RecordingReadyEvent{
		RecordingStatus: event.RecordingReady, RecordingS3KeyPrefix: "recordings/alice/" + id,
		StreamURL: "https://x/s", PlaybackURL: "https://x/p", Thumbnail: "https://x/t", ChannelName: "alice",
		ID: id, CreatedAt: "2026-11-22T10:00:00.000Z", DurationMillis: ms, Author: "brave-otter", Height: 720, Width: 1280,
	}
}

// ready begins a video's lifecycle.
func (r *rig) ready(id string, ms int64) {
	r.deliver(context.Background(), event.New(r.recording(id, ms)))
}

// complete is a plugin's answer.
func complete(plugin, token, message string) event.Envelope {
	return event.New(event.PluginComplete{Plugin: plugin, TaskToken: token, Message: json.RawMessage(message)})
}

// answer delivers a plugin's answer.
func (r *rig) answer(plugin, token, message string) {
	r.deliver(context.Background(), complete(plugin, token, message))
}

// token waits until a plugin is asked and returns its token.
func (r *rig) token(hook, plugin string) string {
	r.t.Helper()
	var asked []event.Envelope
	r.wait(plugin+" is asked", func() bool {
		asked = r.events(hook + "." + plugin)
		return len(asked) > 0
	})
	var in event.PluginInvocation
	if err := asked[0].Decode(&in); err != nil {
		r.t.Fatal(err)
	}
	return in.TaskToken
}

// events returns what was said, of one type.
func (r *rig) events(detailType string) []event.Envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []event.Envelope
	for _, e := range r.said {
		if e.DetailType == detailType {
			out = append(out, e)
		}
	}
	return out
}

func (r *rig) wait(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("never: " + what)
		}
	}
}

// complete waits for the end of a video's lifecycle.
func (r *rig) complete(id string) event.LifeCycleComplete {
	r.t.Helper()
	id = r.id(id)
	var d event.LifeCycleComplete
	r.wait("LifeCycleComplete of "+id, func() bool {
		for _, e := range r.events("LifeCycleComplete") {
			d = event.LifeCycleComplete{}
			if err := e.Decode(&d); err != nil {
				r.t.Fatal(err)
			}
			if d.ID == id {
				return true
			}
		}
		return false
	})
	return d
}

// failures returns the Plugin failed events as "hook plugin: message".
func (r *rig) failures() []string {
	out := []string{}
	for _, e := range r.events("Plugin failed") {
		var d event.PluginFailed
		if err := e.Decode(&d); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, d.Hook+" "+d.Plugin+": "+d.Message)
	}
	return out
}

// metric returns a counter's value, the labels in the order of their names.
func (r *rig) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if slices.Equal(got, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// duration is the real built-in plugin, wired as the program does.
func duration() pluginmanager.BuiltIn {
	return pluginmanager.BuiltIn{
		Manifest: durationplugin.Manifest(),
		Run: func(ctx context.Context, detailType string, detail []byte) ([]byte, error) {
			return sdk.Run(ctx, durationplugin.Handler(), detailType, detail)
		},
	}
}
