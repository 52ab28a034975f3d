package rules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// change runs fn in a transaction after which every node compiles the rules
// anew.
func (s *Service) change(ctx context.Context, fn func(ctx context.Context, q *sqlc.Queries) error) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		// First: it makes changes wait for each other, so that they are counted right.
		if err := q.RaiseVersion(ctx); err != nil {
			return fmt.Errorf("raising the version of the rules: %w", err)
		}
		return fn(ctx, q)
	})
	if s.db.IsUnique(err) {
		return errs.New(errs.Conflict, "there already is a rule of that name")
	}
	return err
}

// add adds a rule and returns it and its secret, "" when it needs none.
func (s *Service) add(ctx context.Context, in RuleInput) (sqlc.Rule, string, error) {
	now := store.Now()
	r := in.onto(sqlc.Rule{ID: "ru-" + id.New(), CreatedAt: now, UpdatedAt: now, OldSecretSealed: []byte{}})
	secret := ""
	if r.Target == targetWebhook {
		secret = newSecret()
	}
	r.SecretSealed = s.seal(secret, r.ID)
	err := s.change(ctx, func(ctx context.Context, q *sqlc.Queries) error {
		n, err := q.CountRules(ctx)
		if err != nil {
			return fmt.Errorf("counting the rules: %w", err)
		}
		if n >= mostRules {
			return errs.Newf(errs.Conflict, "there are %d rules already; delete one first", n)
		}
		return q.AddRule(ctx, sqlc.AddRuleParams{
			ID: r.ID, Name: r.Name, Description: r.Description, Enabled: r.Enabled, Pattern: r.Pattern, Target: r.Target,
			Url: r.Url, MaxTries: r.MaxTries, SecretSealed: r.SecretSealed, OldSecretSealed: r.OldSecretSealed, CreatedAt: now,
			Argument: r.Argument,
		})
	})
	return r, secret, err
}

// update replaces what a rule says and returns it, and its secret if it has
// become a webhook by that.
func (s *Service) update(ctx context.Context, ruleID string, in RuleInput) (sqlc.Rule, string, error) {
	secret := ""
	r, err := s.edit(ctx, ruleID, func(r sqlc.Rule) (sqlc.Rule, error) {
		secret = ""
		r = in.onto(r)
		switch {
		case r.Target != targetWebhook:
			r.SecretSealed, r.OldSecretSealed, r.OldSecretUntil = []byte{}, []byte{}, 0
		case len(r.SecretSealed) == 0:
			secret = newSecret()
			r.SecretSealed = s.seal(secret, r.ID)
		}
		return r, nil
	})
	s.look() // one that was switched on may have something waiting
	return r, secret, err
}

// rotate gives a webhook a new secret and returns it.
func (s *Service) rotate(ctx context.Context, ruleID string) (string, error) {
	secret := newSecret()
	_, err := s.edit(ctx, ruleID, func(r sqlc.Rule) (sqlc.Rule, error) {
		if r.Target != targetWebhook {
			return r, errs.New(errs.Conflict, "only webhooks have a secret; this rule's target is the "+r.Target)
		}
		return s.rotated(r, secret), nil
	})
	return secret, err
}

func (s *Service) edit(ctx context.Context, ruleID string, fn func(r sqlc.Rule) (sqlc.Rule, error)) (sqlc.Rule, error) {
	var r sqlc.Rule
	err := s.change(ctx, func(ctx context.Context, q *sqlc.Queries) error {
		var err error
		if r, err = q.LockRule(ctx, ruleID); err != nil {
			return noRule(err, ruleID)
		}
		if r, err = fn(r); err != nil {
			return err
		}
		r.UpdatedAt = store.Now()
		return q.SaveRule(ctx, sqlc.SaveRuleParams{
			ID: r.ID, Name: r.Name, Description: r.Description, Enabled: r.Enabled, Pattern: r.Pattern, Target: r.Target, Url: r.Url,
			MaxTries: r.MaxTries, SecretSealed: notNull(r.SecretSealed), OldSecretSealed: notNull(r.OldSecretSealed),
			OldSecretUntil: r.OldSecretUntil, UpdatedAt: r.UpdatedAt, Argument: r.Argument,
		})
	})
	return r, err
}

// notNull returns no bytes as such: SQLite's driver reads them as nil, which it
// would write as NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// remove deletes a rule with its deliveries.
func (s *Service) remove(ctx context.Context, ruleID string) error {
	return s.change(ctx, func(ctx context.Context, q *sqlc.Queries) error {
		n, err := q.DeleteRule(ctx, ruleID)
		if err == nil && n == 0 {
			err = noRule(sql.ErrNoRows, ruleID)
		}
		return err
	})
}

func noRule(err error, ruleID string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errs.Newf(errs.NotFound, "there is no rule %q", ruleID)
	}
	return fmt.Errorf("reading rule %s: %w", ruleID, err)
}

func (s *Service) rule(ctx context.Context, ruleID string) (sqlc.Rule, error) {
	r, err := sqlc.New(s.db.Read()).Rule(ctx, ruleID)
	if err != nil {
		return r, noRule(err, ruleID)
	}
	return r, nil
}

func (s *Service) rules(ctx context.Context, p store.Page) ([]sqlc.Rule, error) {
	return sqlc.New(s.db.Read()).ListRules(ctx, sqlc.ListRulesParams{At: p.After.At, LastID: p.After.ID, RowCount: int32(p.Limit) + 1})
}

// counts says how many of a rule's deliveries wait and are dead, up to mostCounted.
func (s *Service) counts(ctx context.Context, ruleID string) (waiting, unmade int64, err error) {
	q := sqlc.New(s.db.Read())
	if waiting, err = q.CountDeliveries(ctx, sqlc.CountDeliveriesParams{RuleID: ruleID, State: pending, Most: mostCounted}); err != nil {
		return 0, 0, err
	}
	unmade, err = q.CountDeliveries(ctx, sqlc.CountDeliveriesParams{RuleID: ruleID, State: dead, Most: mostCounted})
	return waiting, unmade, err
}

// deliveries returns a page of a rule's deliveries, newest first; state "" is all.
func (s *Service) deliveries(ctx context.Context, ruleID, state string, p store.Page) ([]sqlc.RuleDelivery, error) {
	q := sqlc.New(s.db.Read())
	if state == "" {
		return q.ListDeliveries(ctx, sqlc.ListDeliveriesParams{
			RuleID: ruleID, At: p.After.At, LastID: p.After.ID, RowCount: int32(p.Limit) + 1,
		})
	}
	return q.ListDeliveriesInState(ctx, sqlc.ListDeliveriesInStateParams{
		RuleID: ruleID, State: state, At: p.After.At, LastID: p.After.ID, RowCount: int32(p.Limit) + 1,
	})
}

func (s *Service) delivery(ctx context.Context, ruleID, deliveryID string) (sqlc.RuleDelivery, error) {
	d, err := sqlc.New(s.db.Read()).Delivery(ctx, sqlc.DeliveryParams{RuleID: ruleID, ID: deliveryID})
	if errors.Is(err, sql.ErrNoRows) {
		return d, errs.Newf(errs.NotFound, "rule %q has no delivery %q", ruleID, deliveryID)
	}
	return d, err
}

// mostOfEvent is how many deliveries of one event are shown.
const mostOfEvent = 100

// ofEvents returns the deliveries of events, the oldest first of each.
func (s *Service) ofEvents(ctx context.Context, events []string) ([]EventDelivery, error) {
	q := sqlc.New(s.db.Read())
	all := []EventDelivery{}
	for _, e := range events {
		rows, err := q.DeliveriesOfEvent(ctx, sqlc.DeliveriesOfEventParams{Event: e, RowCount: mostOfEvent})
		if err != nil {
			return nil, fmt.Errorf("reading the deliveries of event %s: %w", e, err)
		}
		for _, row := range rows {
			all = append(all, EventDelivery{viewDelivery(row.RuleDelivery), row.RuleDelivery.RuleID, row.RuleName})
		}
	}
	return all, nil
}

// redrive lets a dead letter be tried anew; "" is all of the rule's. It returns
// how many there are.
func (s *Service) redrive(ctx context.Context, ruleID, deliveryID string) (int64, error) {
	var n int64
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q, now := sqlc.New(tx), store.Now()
		var err error
		if deliveryID == "" {
			n, err = q.RedriveAll(ctx, sqlc.RedriveAllParams{DueAt: now, RuleID: ruleID})
		} else {
			n, err = q.Redrive(ctx, sqlc.RedriveParams{DueAt: now, RuleID: ruleID, ID: deliveryID})
		}
		return err
	})
	s.look()
	return n, err
}

// purge deletes a rule's dead letters and returns how many there were.
func (s *Service) purge(ctx context.Context, ruleID string) (int64, error) {
	var n int64
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		n, err = sqlc.New(tx).PurgeDead(ctx, ruleID)
		return err
	})
	return n, err
}
