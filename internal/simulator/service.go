// Package simulator replays past recordings through post-processing and the
// plugin lifecycle, as a load test and a demonstration (contract, section 9).
//
// A run takes the newest videos of the catalogue and says the Recording End of
// each again, from a source of its own, about a simulated video with an id of
// its own (feed.go). It hears what becomes of them (events.go), measures
// (measure.go), and shows it to admins (http.go, view.go). When it is over all
// that was made of them is removed everywhere (remove.go), whoever dies
// meanwhile: a run is rows (store.go), and every node looks after them.
package simulator

import (
	"context"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Recording is a past recording that can be replayed.
type Recording struct {
	Video, Channel, Title string
	Prefix                string // of its objects, without slash at its end
	DurationMillis        int64
}

// Recordings knows the recordings of the catalogue.
type Recordings interface {
	// LastRecordings returns those of the n newest videos, newest first.
	LastRecordings(ctx context.Context, n int) ([]Recording, error)
}

// Plugins knows which plugins were not asked about a simulated video.
type Plugins interface {
	Skipped(ctx context.Context, videoID string) ([]string, error)
}

// Work knows how far post-processing is with a video on this node, in percent;
// false when it does not work on it.
type Work interface {
	Progress(videoID string) (step string, percent int, ok bool)
}

// Traces is a service in which something of simulated videos stays.
type Traces interface {
	// Simulated returns the ids of all simulated videos of which it has something.
	Simulated(ctx context.Context) ([]string, error)
	// ForgetSimulated removes all that it has of one, ends the work on it, and
	// says whether there was anything.
	ForgetSimulated(ctx context.Context, videoID string) (found bool, err error)
}

// Needs is what the service works with.
type Needs struct {
	DB         *store.DB
	Recordings Recordings
	Plugins    Plugins
	Work       Work
	Traces     []Traces // who works on videos first, who only knows of them last
	Log        *slog.Logger
}

// Config holds times; zero values mean the defaults given.
type Config struct {
	Poll  time.Duration // how often runs are looked after: 1 s
	Lease time.Duration // of a run that a command follows, after its last question: 15 s
	Limit time.Duration // of a run: 24 h
	// Settle is how long nothing may have been found until a run counts as removed: 12 s,
	// longer than the bus waits to repeat news that was in work at a kill.
	Settle time.Duration
	Sweep  time.Duration // how often what should not be there is looked for: 10 min
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		of *time.Duration
		to time.Duration
	}{
		{&c.Poll, time.Second}, {&c.Lease, 15 * time.Second}, {&c.Limit, 24 * time.Hour},
		{&c.Settle, time.Duration(failpoint.Int("bus.ack_wait_s", 10)+2) * time.Second}, {&c.Sweep, 10 * time.Minute},
	} {
		if *d.of <= 0 {
			*d.of = d.to
		}
	}
	return c
}

// Service is the simulator.
type Service struct {
	Needs
	cfg     Config
	wake    chan struct{} // a run may go on
	started int64         // ms; no news came before
}

// New returns the simulator. Its consumer (Consumers) must be wired to the bus,
// its operations (Register) to the API, and Run must run.
func New(n Needs, cfg Config) *Service {
	return &Service{Needs: n, cfg: cfg.withDefaults(), wake: make(chan struct{}, 1), started: store.Now()}
}

// Run looks after the runs until ctx is done. Those of before a restart go on,
// or go.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	sweepAt := time.Now()
	ticked := true
	for ctx.Err() == nil {
		removed := s.lookAfter(ctx, ticked)
		if removed {
			// What comes late of them comes soon.
			sweepAt = earlier(sweepAt, time.Now().Add(s.cfg.Sweep/10))
		}
		if now := time.Now(); !now.Before(sweepAt) {
			sweepAt = now.Add(s.cfg.Sweep)
			s.try(ctx, "removing what is left of simulations", s.sweep(ctx))
			s.try(ctx, "forgetting old simulations", s.prune(ctx))
		}
		select {
		case <-s.wake:
			ticked = false
		case <-tick.C:
			ticked = true
		case <-ctx.Done():
		}
	}
}

// lookAfter takes every unfinished run a step further, and says whether one has
// been removed. Removing takes its time and need not be hurried by news.
func (s *Service) lookAfter(ctx context.Context, ticked bool) (removed bool) {
	runs, err := s.unfinished(ctx)
	s.try(ctx, "looking for simulations", err)
	for _, r := range runs {
		switch {
		case r.State == running:
			s.try(ctx, "feeding a simulation", s.advance(ctx, r.ID))
		case ticked:
			gone, err := s.remove(ctx, r)
			s.try(ctx, "removing a simulation", err)
			removed = removed || gone
		}
	}
	return removed
}

func (s *Service) try(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.Log.Error("simulator: "+what+"; it is tried again", "err", err)
	}
}

// look makes Run look after the runs now.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
