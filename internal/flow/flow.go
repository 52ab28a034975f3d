// Package flow runs durable workflows: functions whose finished steps are
// recorded in a database, so that a flow which a crash, a restart or a dead
// node interrupted goes on after its last finished step.
//
// It is a narrow port over DBOS Transact for Go. The rules for flow functions:
//
//   - Everything that touches the world stands in a Step (or Await): database,
//     files, network, the clock, random values. Between steps a flow only
//     computes, and takes the same path whenever it runs again.
//   - No goroutines in a flow. A step gets the context of its argument.
//   - A step runs at least once: what it writes goes under a receipt of its own
//     (store.Step), which makes its effect count once.
//   - When Step or Await fails because the run ended (the server stops, the flow
//     was cancelled, another node has it, it waits for long), every later one fails at
//     once without running: a flow may return any error then, it is not recorded.
package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

const (
	appName = "serverlessvideo"
	// appVersion is pinned: DBOS's default is a hash of the binary, with which
	// every upgrade would strand the flows that run.
	appVersion = "1"
	// maxRecoveries is how often an interrupted flow is taken up again before it
	// is given up as one that crashes its node.
	maxRecoveries = 1000
)

// Config says where flows are kept and who runs them.
type Config struct {
	Path string // the SQLite file, made when missing; used when URL is empty
	URL  string // PostgreSQL; the tables lie in the schema "flow"

	// NodeID names this node, the same over restarts: flows that it did not
	// finish are its own to take up at its next start.
	NodeID string
	Logger *slog.Logger

	// PollInterval is the slow poll of all flows that wait in Await, a net under
	// Wake, unless Net sets a better one; 5 s when zero.
	PollInterval time.Duration
	// Park is how long a flow waits in Await before its run ends, to begin again when
	// there is something to see; 10 s when zero. It needs a net.
	Park time.Duration
	// LeaseTime is how long a node may be silent before the others take up its
	// flows; 30 s when zero. It renews its lease three times as often.
	LeaseTime time.Duration

	// Keep is how long flows that are done are kept, KeepFailed those that failed,
	// were cancelled or given up; 0: for ever.
	Keep, KeepFailed time.Duration
}

// Engine runs the flows of one node.
type Engine struct {
	cfg   Config
	log   *slog.Logger
	dbos  dbos.Context
	lease *leases
	waits *waits
	rare  chan struct{} // full while a final flow is changed, or one is cancelled or woken

	mu       sync.Mutex
	runners  map[string]*runner
	active   map[string]map[*execution]struct{}                   // by flow id; two after a lost lease
	look     func(ctx context.Context) (keys []string, err error) // the net; nil: every flow polls
	started  bool
	stopped  bool
	stopBeat context.CancelFunc
	beatDone chan struct{}
	stopWake context.CancelFunc
	wakeDone chan struct{}
	starts   sync.WaitGroup // calls of Run that DBOS has not answered
}

// Open opens the flows' database. Register the flows, then Start. The engine
// does not end with ctx: what Shutdown interrupts goes on at the next start,
// what a cancelled context interrupted would be cancelled for good.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.NodeID == "" {
		return nil, errors.New("flow: the node has no id")
	}
	if cfg.PollInterval <= 0 {
		cfg.PollInterval = 5 * time.Second
	}
	if cfg.Park <= 0 {
		cfg.Park = time.Duration(failpoint.Int("flow.park_ms", int(defaultPark.Milliseconds()))) * time.Millisecond
	}
	if cfg.LeaseTime <= 0 {
		cfg.LeaseTime = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		cfg:     cfg,
		log:     cfg.Logger,
		waits:   newWaits(),
		rare:    make(chan struct{}, 1),
		runners: map[string]*runner{},
		active:  map[string]map[*execution]struct{}{},
	}
	if err := e.open(ctx); err != nil {
		return nil, fmt.Errorf("opening the flows' database: %w", err)
	}
	return e, nil
}

// Start takes up this node's unfinished flows and lets new ones run.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started || e.stopped {
		return errors.New("flow: the engine was started before")
	}
	// The lease comes first: flows of a node without one are taken up by others.
	if err := e.lease.renew(ctx); err != nil {
		return err
	}
	if err := dbos.Launch(e.dbos); err != nil {
		return fmt.Errorf("starting the flows: %w", err)
	}
	beat, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.started, e.stopBeat, e.beatDone = true, stop, make(chan struct{})
	go e.beat(beat)
	wake, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stopWake, e.wakeDone = stop, make(chan struct{})
	go func() { defer close(e.wakeDone); e.wakeParked(wake) }()
	return nil
}

// Shutdown interrupts the flows that run, waits until they have let go, and
// closes the database. They go on at the next start. A step that does not let
// go within the timeout is an error here, and runs again then.
func (e *Engine) Shutdown(timeout time.Duration) error {
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return nil
	}
	e.stopped = true
	started := e.started
	e.mu.Unlock()

	if started {
		// Flows that wait without a run are taken up at the next start like the others.
		e.stopWake()
		<-e.wakeDone
	}
	// Flows that are just being started are let in first, unless the database
	// does not answer.
	within(&e.starts, min(timeout, time.Second))
	err := dbos.Shutdown(e.dbos, timeout)
	if started {
		// Until here the lease was renewed: the flows were still ours.
		e.stopBeat()
		<-e.beatDone
	}
	if started && err == nil {
		// Nothing runs here any more: the others need not wait for the lease.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = e.lease.release(ctx)
	}
	return errors.Join(err, e.lease.close())
}

func within(wg *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// beat is the engine's one ticker: it renews the lease, takes up the flows of
// dead nodes, finds flows cancelled from elsewhere, nudges those that wait and
// deletes old ones.
func (e *Engine) beat(ctx context.Context) {
	defer close(e.beatDone)
	lease := time.NewTicker(e.cfg.LeaseTime / 3)
	defer lease.Stop()
	poll := time.NewTicker(e.cfg.PollInterval)
	defer poll.Stop()
	var net <-chan time.Time
	if e.look != nil {
		ticker := time.NewTicker(min(e.cfg.PollInterval, netInterval))
		defer ticker.Stop()
		net = ticker.C
	}
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lease.C:
			e.keepAlive(ctx)
		case <-poll.C:
			e.interruptCancelled(ctx)
			if e.look == nil {
				e.waits.wakeAll()
			}
		case <-net:
			e.sweep(ctx)
		case <-prune.C:
			e.pruneNow(ctx)
		}
	}
}

// Wake makes the flows that Await under key poll now.
func (e *Engine) Wake(key string) { e.waits.wake(key) }

// ready returns what callers get before Start and after Shutdown.
func (e *Engine) ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started || e.stopped {
		return errs.New(errs.Unavailable, "the workflow engine is not running")
	}
	return nil
}
