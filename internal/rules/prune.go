package rules

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// pruneBatch is how many rows the statements that keep numbers change at once,
// so that none holds up the writers for long; queries.sql has it, too.
const pruneBatch = 1000

// prune keeps the deliveries within their bounds.
func (s *Service) prune(ctx context.Context) error {
	ids, err := sqlc.New(s.db.Read()).RuleIDs(ctx)
	if err != nil {
		return fmt.Errorf("listing the rules: %w", err)
	}
	old := store.Now() - keptFor.Milliseconds()
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		for _, state := range []string{delivered, dead} {
			if err := q.PruneOld(ctx, sqlc.PruneOldParams{State: state, EndedAt: old}); err != nil {
				return fmt.Errorf("forgetting what is old: %w", err)
			}
		}
		return nil
	})
	for _, rule := range ids {
		if err != nil {
			return err
		}
		err = s.bound(ctx, rule)
	}
	return err
}

// bound keeps one rule's deliveries within their numbers.
func (s *Service) bound(ctx context.Context, rule string) error {
	now := store.Now()
	full := withAttempt("[]", attempt{At: now, Error: fmt.Sprintf("%d deliveries of this rule were waiting already", s.cfg.mostWaiting)})
	err := s.batches(ctx, func(ctx context.Context, q *sqlc.Queries) (int64, error) {
		return q.GiveUpMany(ctx, sqlc.GiveUpManyParams{RuleID: rule, Most: int32(s.cfg.mostWaiting), Now: now, Attempts: full})
	})
	if err != nil {
		return fmt.Errorf("giving up what waits: %w", err)
	}
	for state, kept := range map[string]int{delivered: s.cfg.mostDone, dead: s.cfg.mostDead} {
		err := s.batches(ctx, func(ctx context.Context, q *sqlc.Queries) (int64, error) {
			return q.PruneMany(ctx, sqlc.PruneManyParams{RuleID: rule, State: state, Kept: int32(kept)})
		})
		if err != nil {
			return fmt.Errorf("forgetting the oldest: %w", err)
		}
	}
	return nil
}

// batches runs a statement until it has no full batch to change any more.
func (s *Service) batches(ctx context.Context, run func(context.Context, *sqlc.Queries) (int64, error)) error {
	for {
		var changed int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			var err error
			changed, err = run(ctx, sqlc.New(tx))
			return err
		})
		if err != nil || changed < pruneBatch {
			return err
		}
	}
}
