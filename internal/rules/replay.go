package rules

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// mostReplayed is how many deliveries of a rule may wait for a replay to add
// more: few beside mostWaiting, so that events that happen meanwhile have room,
// and need not wait long behind it.
const mostReplayed = 1000

// ReplayTarget is what a replay needs to know of a rule.
type ReplayTarget struct {
	Name    string
	Enabled bool
	Pattern string
	Room    int // deliveries that may be added now
}

// ReplayTarget returns a rule as a replay sees it. Errors: errs.NotFound.
func (s *Service) ReplayTarget(ctx context.Context, ruleID string) (ReplayTarget, error) {
	r, err := s.rule(ctx, ruleID)
	if err != nil {
		return ReplayTarget{}, err
	}
	waiting, err := sqlc.New(s.db.Read()).CountDeliveries(ctx, sqlc.CountDeliveriesParams{RuleID: ruleID, State: pending, Most: mostReplayed})
	if err != nil {
		return ReplayTarget{}, fmt.Errorf("counting what waits for rule %s: %w", ruleID, err)
	}
	return ReplayTarget{Name: r.Name, Enabled: r.Enabled, Pattern: r.Pattern, Room: mostReplayed - int(waiting)}, nil
}

// QueueReplay adds deliveries of events to a rule, whatever it has delivered
// before, and returns how many are new: those of the same replay count once, and
// those that may not go to the rule's target, and those about deleted videos, not
// at all.
// Call LookAfterReplay when the transaction is committed.
func (s *Service) QueueReplay(ctx context.Context, tx *store.Tx, ruleID, replay string, events []event.Envelope) (int, error) {
	queued, q := 0, sqlc.New(tx)
	rule, err := q.Rule(ctx, ruleID)
	if err != nil {
		return 0, noRule(err, ruleID)
	}
	for _, e := range events {
		deleted, err := s.deleted(ctx, tx, e.About())
		if err != nil {
			return 0, err
		}
		if !targetsFor(e)(rule.Target) || deleted && !videoDeleted().Match(e) {
			continue
		}
		e = e.Masked()
		body, err := json.Marshal(e)
		if err != nil {
			return 0, fmt.Errorf("encoding %s %s: %w", e.DetailType, e.ID, err)
		}
		_, isNew, err := addDelivery(ctx, q, sqlc.RuleDelivery{
			RuleID: ruleID, EventID: e.ID + "/" + replay, Event: e.ID, Replay: replay,
			Source: e.Source, DetailType: e.DetailType, About: e.About(), Body: string(body),
		})
		if err != nil {
			return 0, err
		}
		if isNew {
			queued++
		}
	}
	return queued, nil
}

// LookAfterReplay makes the node try what a replay has queued now.
func (s *Service) LookAfterReplay() { s.look() }

// WithdrawReplay deletes what waits of a replay and returns how many there were.
// A delivery that is being tried is made.
func (s *Service) WithdrawReplay(ctx context.Context, tx *store.Tx, ruleID, replay string) (int64, error) {
	n, err := sqlc.New(tx).Withdraw(ctx, sqlc.WithdrawParams{RuleID: ruleID, Replay: replay})
	if err != nil {
		return 0, fmt.Errorf("withdrawing the deliveries of replay %s: %w", replay, err)
	}
	return n, nil
}
