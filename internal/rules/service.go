// Package rules carries events to where people want them: a rule is a pattern
// (package event/pattern) and a target. Every event that matches a rule becomes
// a delivery, a row of its own (events.go); a worker on each node tries the
// deliveries that are due until the target has taken them or the tries are used
// up (worker.go): a signed webhook (webhook.go), the log, a plugin, a flow or an
// event tag of the video (target.go).
// Admins manage the rules and what became of their deliveries (http.go).
//
// A delivery is made at least once, under an id that stays the same, and in no
// particular order.
package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Videos is the catalogue.
type Videos interface {
	// Deleted says whether the video was there and is deleted.
	Deleted(ctx context.Context, videoID string) (bool, error)
}

// Config is what the service needs. Those up to Metrics are required, zero values
// of the others mean the defaults given.
type Config struct {
	DB      *store.DB
	Videos  Videos
	Logger  *slog.Logger
	Secret  []byte // the node's, at least store.MinSecret bytes
	Node    string // its id, the same over restarts
	Plugins Plugins
	Tagger  Tagger
	Metrics prometheus.Registerer

	Flows []Flow // that events may start

	// AllowNetworks are those that are not public and may be reached all the same.
	AllowNetworks []netip.Prefix
	// Live hears of every change of a delivery; nil: nobody does.
	Live Live

	Timeout     time.Duration // of one try: 15 s
	Lease       time.Duration // of a try, longer than Timeout: 1 min, and longer for plugins; then another node may try
	RetryFirst  time.Duration // pause after the first failure, trebled after each: 10 s
	RetryMax    time.Duration // longest pause: 6 h
	Concurrency int           // tries at a time in all: 64
	PerRule     int           // tries at a time for one rule: 4, and 1 while its last one failed
	Poll        time.Duration // how often due deliveries are looked for: 1 s

	// Of each rule's deliveries, for tests.
	mostWaiting, mostDead, mostDone int
}

func (c Config) withDefaults() Config {
	setDefault(&c.Timeout, 15*time.Second)
	setDefault(&c.Lease, time.Minute)
	setDefault(&c.RetryFirst, 10*time.Second)
	setDefault(&c.RetryMax, 6*time.Hour)
	setDefault(&c.Concurrency, 64)
	setDefault(&c.PerRule, 4)
	setDefault(&c.Poll, time.Second)
	setDefault(&c.mostWaiting, mostWaiting)
	setDefault(&c.mostDead, mostDead)
	setDefault(&c.mostDone, mostDone)
	return c
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Live carries passing messages, at most once.
type Live interface {
	PublishLive(subject string, data []byte) error
}

// What a rule keeps. A webhook with the default number of tries is tried for
// 27 h at least.
const (
	defaultTries = 12
	mostRules    = 1000
	mostWaiting  = 10_000 // what comes when more wait goes to the dead letters
	mostDead     = 10_000 // the oldest go first
	mostDone     = 1_000  // deliveries that were made
	keptFor      = 30 * 24 * time.Hour
	pruneEvery   = time.Minute

	// oldSecretFor is how long after a change of the secret the old one signs, too.
	oldSecretFor = 24 * time.Hour
)

// Service is the rules.
type Service struct {
	cfg     Config
	db      *store.DB
	log     *slog.Logger
	sealer  *store.Sealer
	client  *http.Client
	metrics *metrics
	wake    chan struct{} // something may be due

	mu       sync.Mutex
	compiled *compiled // nil until the first event
}

// New returns the rules. Their consumer (Consumers) must be wired to the bus,
// their operations (Register) to the API, and Run must run.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Videos == nil || cfg.Logger == nil || cfg.Node == "" || cfg.Plugins == nil || cfg.Tagger == nil || cfg.Metrics == nil {
		return nil, errors.New("rules: DB, Videos, Logger, Node, Plugins, Tagger and Metrics are needed")
	}
	cfg = cfg.withDefaults()
	if cfg.Lease <= cfg.Timeout {
		return nil, fmt.Errorf("rules: the lease of %s must be longer than a try, %s", cfg.Lease, cfg.Timeout)
	}
	sealer, err := store.NewSealer(cfg.Secret, "webhook secrets")
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	s := &Service{
		cfg: cfg, db: cfg.DB, log: cfg.Logger, sealer: sealer,
		client: newClient(cfg.Timeout, cfg.AllowNetworks), wake: make(chan struct{}, 1),
	}
	s.metrics, err = newMetrics(cfg.Metrics, s)
	return s, err
}

// Run makes deliveries until ctx is done.
func (s *Service) Run(ctx context.Context) {
	// What this node had in work when it was killed is nobody's now.
	s.release(ctx)
	w := newWorker(ctx, s)
	poll := time.NewTicker(s.cfg.Poll)
	defer poll.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for ctx.Err() == nil {
		if err := w.round(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("rules: looking for deliveries", "err", err)
		}
		select {
		case <-s.wake:
		case <-poll.C:
		case <-prune.C:
			if err := s.prune(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("rules: forgetting old deliveries", "err", err)
			}
		case <-ctx.Done():
		}
	}
	w.stop()
	s.client.CloseIdleConnections()
	s.release(context.WithoutCancel(ctx))
}

// look makes the worker look for due deliveries now.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) release(ctx context.Context) {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := sqlc.New(tx).ReleaseHeld(ctx, s.cfg.Node)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("rules: deliveries in work are free again only when their lease ends", "err", err)
	}
}
