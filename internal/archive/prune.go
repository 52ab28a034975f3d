package archive

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const (
	// pruneBatch is how many events one transaction deletes, so that none holds up
	// the writers for long.
	pruneBatch = 200
	// replaysKept is how long it is known what a replay came to.
	replaysKept = 90 * 24 * time.Hour
)

// prune forgets what is too old, then the oldest of what is too much.
func (s *Service) prune(ctx context.Context) error {
	before := store.Now() - s.cfg.Keep.Milliseconds()
	if s.cfg.Keep == 0 {
		before = math.MaxInt64
	}
	for {
		n, err := s.deleteOldest(ctx, before)
		if err != nil {
			return err
		}
		if n < pruneBatch {
			break
		}
	}
	for s.cfg.MaxSize > 0 {
		totals, err := s.queries().Totals(ctx)
		if err != nil {
			return fmt.Errorf("reading how much is kept: %w", err)
		}
		if totals.Size <= s.cfg.MaxSize {
			break
		}
		if n, err := s.deleteOldest(ctx, math.MaxInt64); err != nil || n == 0 {
			return err
		}
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).PruneReplays(ctx, store.Now()-replaysKept.Milliseconds())
	})
}

// deleteOldest deletes a batch of the oldest events from before a time.
func (s *Service) deleteOldest(ctx context.Context, before int64) (int, error) {
	n := 0
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		sizes, err := q.DeleteOld(ctx, sqlc.DeleteOldParams{BeforeAt: before, RowCount: pruneBatch})
		if err != nil {
			return fmt.Errorf("deleting events: %w", err)
		}
		if n = len(sizes); n == 0 {
			return nil
		}
		size := int64(0)
		for _, one := range sizes {
			size += one
		}
		return q.AddToTotals(ctx, sqlc.AddToTotalsParams{Events: -int64(n), Size: -size})
	})
	return n, err
}
