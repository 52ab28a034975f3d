package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a simulator on a database, among services that remember in memory of
// which videos they have something.
type rig struct {
	*simulator.Service
	t     *testing.T
	db    *store.DB
	api   *apitest.Client // nobody
	admin *apitest.Client
	stop  func()

	mu         sync.Mutex
	recordings []simulator.Recording
	said       []event.Envelope
	traces     map[string]bool
	forgotten  map[string]int // calls that found something
	failures   int            // of the next calls to forget
	late       map[string]bool
}

// quick is a configuration in which everything happens at once, but nothing ends
// by itself.
func quick() simulator.Config {
	return simulator.Config{Poll: 5 * time.Millisecond, Settle: 40 * time.Millisecond, Sweep: time.Hour, Lease: time.Hour}
}

func newRig(t *testing.T, db *store.DB, cfg simulator.Config, recordings int) *rig {
	t.Helper()
	r := &rig{t: t, db: db, traces: map[string]bool{}, forgotten: map[string]int{}, late: map[string]bool{}, stop: func() {}}
	for i := range recordings {
		r.recordings = append(r.recordings, simulator.Recording{
			Video: fmt.Sprintf("st-%d", i+1), Channel: "chan", Title: fmt.Sprintf("No. %d", i+1),
			Prefix: fmt.Sprintf("recordings/chan/st-%d", i+1), DurationMillis: 60_000,
		})
	}
	r.Service = simulator.New(simulator.Needs{
		DB: db, Recordings: r, Plugins: r, Work: r, Traces: []simulator.Traces{r, nowhere{}}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}, cfg)
	r.api = apitest.New(t, func(g *gateway.Gateway) { r.Register(g.API()) })
	r.admin = r.api.As(identity.Principal{ID: "root", Username: "brave-fox", Roles: identity.Roles{identity.Admin}})
	return r
}

// run starts the service and a relay that gives its events to the other services.
func (r *rig) run() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	relay := &store.Relay{DB: r.db, Holder: "n1", Logger: slog.New(slog.DiscardHandler), Publish: func(_ context.Context, e event.Envelope) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.said = append(r.said, e)
		var d event.RecordingStateChange
		if err := e.Decode(&d); err != nil {
			return err
		}
		r.traces[d.StreamID] = true
		return nil
	}}
	running.Go(func() { relay.Run(ctx) })
	running.Go(func() { r.Run(ctx) })
	r.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	r.t.Cleanup(r.stop)
	return r
}

func (r *rig) LastRecordings(_ context.Context, n int) ([]simulator.Recording, error) {
	return r.recordings[:min(n, len(r.recordings))], nil
}

func (r *rig) Skipped(context.Context, string) ([]string, error) {
	return []string{"chat_plugin", "mail_plugin"}, nil
}

func (r *rig) Progress(videoID string) (string, int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "storyboard", 60, r.traces[videoID]
}

func (r *rig) Simulated(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.traces)), nil
}

func (r *rig) ForgetSimulated(_ context.Context, videoID string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures > 0 {
		r.failures--
		return false, errors.New("the store does not answer")
	}
	found := r.traces[videoID]
	delete(r.traces, videoID)
	if found {
		r.forgotten[videoID]++
	}
	if r.late[videoID] { // a step was at it
		delete(r.late, videoID)
		r.traces[videoID] = true
	}
	return found, nil
}

// nowhere is a service that never has anything.
type nowhere struct{}

func (nowhere) Simulated(context.Context) ([]string, error)           { return nil, nil }
func (nowhere) ForgetSimulated(context.Context, string) (bool, error) { return false, nil }

// sent returns the simulated videos whose recordings have ended, in that order.
func (r *rig) sent() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, e := range r.said {
		var d event.RecordingStateChange
		if err := e.Decode(&d); err != nil {
			r.t.Error(err)
		}
		ids = append(ids, d.StreamID)
	}
	return ids
}

func (r *rig) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.traces)
}

// start begins a run.
func (r *rig) start(o simulator.Options) string {
	r.t.Helper()
	id, err := r.Start(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
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

// life is what is said of a video that goes through everything.
func life(id, status string, at time.Time) []event.Envelope {
	var events []event.Envelope
	for i, d := range []event.Detail{
		event.MP4ProcessingStarted{ChannelName: "chan", ID: id, Attempt: 1},
		event.MP4ProcessingComplete{ChannelName: "chan", ID: id, Compute: "local"},
		event.LifeCycleStarted{ChannelName: "chan", ID: id},
		event.LifeCycleComplete{Lifecycle: event.Lifecycle{ChannelName: "chan", ID: id}},
		event.VideoStatusUpdated{Status: status, Lifecycle: event.Lifecycle{
			ChannelName: "chan", ID: id, Plugins: event.LifeCycleResult{Status: status, Reason: "because"},
		}},
	} {
		e := event.New(d)
		e.Time = at.Add(time.Duration(i+1) * 100 * time.Millisecond)
		events = append(events, e)
	}
	return events
}

// await waits until a run is in a state, and returns it.
func (r *rig) await(id, state string) simulator.SimulationView {
	r.t.Helper()
	var v simulator.SimulationView
	eventually(r.t, "the run is "+state, func() error {
		var err error
		if v, err = r.Get(r.t.Context(), id); err == nil && v.State != state {
			err = fmt.Errorf("%+v", v)
		}
		return err
	})
	return v
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s: %v", what, err)
		}
	}
}
