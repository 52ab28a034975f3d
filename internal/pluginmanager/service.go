// Package pluginmanager runs the plugin lifecycle of every recording: the four
// hooks in their order, inside a hook all its plugins at once. A plugin is
// asked by an event with a one-time token and answers with an event that
// carries it; the lifecycle between the two is a durable flow. Plugins of a fifth
// hook are asked about single events, for rules (asks.go).
package pluginmanager

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Videos knows which videos the plugins have work with.
type Videos interface {
	// AwaitingLifecycle returns the recording-ready details of processing
	// videos, whether their lifecycle has begun or not.
	AwaitingLifecycle(ctx context.Context) ([]event.RecordingReadyEvent, error)
	// Deleted says whether the video was there and is deleted.
	Deleted(ctx context.Context, videoID string) (bool, error)
}

// Options are what the plugin manager needs.
type Options struct {
	DB       *store.DB
	Flows    *flow.Engine // not yet started: New registers a flow
	Videos   Videos
	BuiltIns []BuiltIn // plugins that run in this process
	Plugins  []Plugin  // plugins outside, registered by the configuration
	Metrics  prometheus.Registerer
	Logger   *slog.Logger

	// Answerer says which plugin an answer comes from. nil means
	// event.PluginOf: the last part of the source, which the bus holds to be
	// the sender's credential. It is the seam for answers under sources of the
	// original, such as serverlessVideo.plugin.generateTags: whatever lets them
	// in knows the credential, and says here whose it is.
	Answerer func(e event.Envelope) string
}

// Service is the plugin manager.
type Service struct {
	db       *store.DB
	flows    *flow.Engine
	videos   Videos
	builtIns []BuiltIn
	plugins  []registration
	answerer func(e event.Envelope) string
	metrics  *metrics
	log      *slog.Logger
	refusals rate.Sometimes // of the log: one line a second
	waiters  waiters        // for answers about events
	kept     *Kept
}

// New returns the plugin manager, its lifecycle registered with the flows.
// Start must be called before the flows and consumers start, and Run must run
// after. Errors: what is wrong with a plugin.
func New(o Options) (*Service, error) {
	all, err := registrations(o.BuiltIns, o.Plugins)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Service{
		db: o.DB, flows: o.Flows, videos: o.Videos, builtIns: o.BuiltIns, plugins: all,
		answerer: o.Answerer, metrics: m, log: o.Logger,
		refusals: rate.Sometimes{First: 10, Interval: time.Second},
		kept:     NewKept(o.DB, o.Flows),
	}
	if s.answerer == nil {
		s.answerer = func(e event.Envelope) string { return event.PluginOf(e.Source) }
	}
	flow.Register(s.flows, lifecycleFlow, s.lifecycle)
	s.flows.Net(newNet(s.db).look)
	return s, nil
}

const (
	// grace is how long after a start answers still count that came in time
	// while nobody was there to hear them.
	grace          = 15 * time.Second
	reconcileEvery = time.Minute
	forgetEvery    = time.Hour
)

// Start brings the registry up to date with the built-in and configured
// plugins, and gives the answers that wait on the bus time to be heard.
func (s *Service) Start(ctx context.Context) error {
	if err := s.register(ctx); err != nil {
		return fmt.Errorf("registering the plugins: %w", err)
	}
	if err := s.prolong(ctx, grace); err != nil {
		return fmt.Errorf("prolonging the plugins' time limits: %w", err)
	}
	return nil
}

// Run starts, now and every minute, the lifecycles that should run and do not:
// no transaction spans the videos and the flows. It ends with ctx.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		if err := s.Reconcile(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("starting missing lifecycles", "err", err)
		}
		select {
		case <-tick.C:
		case <-forget.C:
			if err := s.forgetAsked(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("forgetting what plugins were asked about events", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
