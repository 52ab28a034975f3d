// Package archive keeps what happened: every event once, for a while
// (events.go, prune.go). Admins look into it (http.go, list.go), watch events as
// they pass (live.go), and replay a range of them to one rule (replay.go); other
// services read it in order (read.go).
package archive

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Rule is what a replay needs to know of a rule, as it is now.
type Rule struct {
	Name    string
	Enabled bool
	Pattern string
	Room    int // deliveries that may be queued now
}

// Rules are what events are replayed to.
type Rules interface {
	// Rule returns a rule. Errors: errs.NotFound.
	Rule(ctx context.Context, id string) (Rule, error)
	// Queue makes deliveries of events, in the transaction, and returns how many:
	// one that this replay has queued before counts no more.
	Queue(ctx context.Context, tx *store.Tx, rule, replay string, events []event.Envelope) (int, error)
	// Withdraw takes back what waits of a replay and returns how many there were.
	Withdraw(ctx context.Context, tx *store.Tx, rule, replay string) (int64, error)
	// Look makes the deliveries that were queued begin now.
	Look()
}

// Config is what the service needs. DB, Logger and Rules are required.
type Config struct {
	DB     *store.DB
	Logger *slog.Logger
	Rules  Rules

	Keep    time.Duration // how long events are kept; 0: none is, and what there is goes
	MaxSize int64         // bytes that the events may take, the oldest go first; 0: any

	Poll       time.Duration // how often replays that wait look for room: 1 s
	PruneEvery time.Duration // 1 min
}

// Service is the archive.
type Service struct {
	cfg    Config
	db     *store.DB
	log    *slog.Logger
	writer *writer
	wake   chan struct{} // a replay was made
}

// New returns the archive. Its consumer (Consumers) must be wired to the bus, its
// operations (Register) to the API, and Run must run.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Logger == nil || cfg.Rules == nil {
		return nil, errors.New("archive: DB, Logger and Rules are needed")
	}
	if cfg.Keep < 0 || cfg.MaxSize < 0 {
		return nil, errors.New("archive: neither Keep nor MaxSize is negative")
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.PruneEvery == 0 {
		cfg.PruneEvery = time.Minute
	}
	return &Service{cfg: cfg, db: cfg.DB, log: cfg.Logger, writer: newWriter(cfg.DB), wake: make(chan struct{}, 1)}, nil
}

// Run replays, and forgets what is too old or too much, until ctx is done.
func (s *Service) Run(ctx context.Context) {
	poll := time.NewTicker(s.cfg.Poll)
	defer poll.Stop()
	prune := time.NewTicker(s.cfg.PruneEvery)
	defer prune.Stop()
	for ctx.Err() == nil {
		if err := s.replay(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("archive: replaying", "err", err)
		}
		select {
		case <-s.wake:
		case <-poll.C:
		case <-prune.C:
			if err := s.prune(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("archive: forgetting old events", "err", err)
			}
		case <-ctx.Done():
		}
	}
}

func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) queries() *sqlc.Queries { return sqlc.New(s.db.Read()) }
