// Package history tells the story of each video: a timeline of what the
// services and plugins did to it, and what was measured. It hears what the
// others say (events.go), keeps it as facts (fact.go, store.go), tells the
// story that the facts make (tell.go) and shows it to whoever may see the
// video (http.go).
//
// The story is made when it is read, of a set of facts: events may come in any
// order and several times and still tell the same story.
package history

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Access knows who may read about a video. A video that who asks may not read
// about, or that is not there, is errs.NotFound.
type Access interface {
	MayRead(ctx context.Context, videoID string) error
}

// Service is the history.
type Service struct {
	db     *store.DB
	access Access
	log    *slog.Logger

	rebuilding sync.Mutex // one rebuild at a time
}

// New returns the history. Its consumers (Consumers) must be wired to the bus,
// its operation (Register) to the API, and Run must run.
func New(db *store.DB, access Access, log *slog.Logger) *Service {
	return &Service{db: db, access: access, log: log}
}

const (
	pruneEvery = time.Hour
	// taskAge is how long a plugin's invocation and its answer wait for one
	// another: longer than any plugin has, and than the one may be heard after
	// the other.
	taskAge = 7 * 24 * time.Hour
)

// Run does the service's periodic work until ctx is done.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := s.prune(ctx, store.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("history: forgetting what is old", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// prune forgets plugin tasks, and deleted videos of which no news can come any more.
func (s *Service) prune(ctx context.Context, now int64) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := sqlc.New(tx).PruneTasks(ctx, now-taskAge.Milliseconds()); err != nil {
			return fmt.Errorf("forgetting old tasks: %w", err)
		}
		if err := sqlc.New(tx).PruneTombstones(ctx, now-store.ReceiptsKept.Milliseconds()); err != nil {
			return fmt.Errorf("forgetting deleted videos: %w", err)
		}
		if err := sqlc.New(tx).PruneClosedChannels(ctx, now-store.ReceiptsKept.Milliseconds()); err != nil {
			return fmt.Errorf("forgetting closed channels: %w", err)
		}
		return nil
	})
}
