package rules

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const consumer = "rules"

// Consumers returns what the rules hear: everything. They say nothing.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{{Name: consumer, Filters: []event.Filter{{}}, Handle: s.handle}, {
		Name:    "rules-videos",
		Filters: []event.Filter{videoDeleted()},
		Handle:  s.forget,
	}}
}

func videoDeleted() event.Filter {
	return event.Filter{Source: event.SourceVideoManager, Type: event.VideoDeleted{}.EventType()}
}

// handle makes a delivery for each rule that the event matches. Most events
// match none, and cost no transaction.
func (s *Service) handle(ctx context.Context, e event.Envelope) error {
	e = e.Masked() // before it is matched: a pattern could guess at a token, too
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding %s %s: %w", e.DetailType, e.ID, err)
	}
	parsed, err := pattern.Parse(body)
	if err != nil {
		return err
	}
	matches, err := s.matches(ctx, sqlc.New(s.db.Read()), parsed)
	if err != nil || len(matches) == 0 {
		return err
	}
	err = s.db.Once(ctx, consumer, e.ID, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		// What is late of a deleted video would keep what is to be forgotten.
		deleted, err := s.cfg.Videos.Deleted(ctx, e.About())
		if err != nil || deleted && !videoDeleted().Match(e) {
			return err
		}
		// Again, as the rules are now: one may be gone.
		matches, err := s.matches(ctx, q, parsed)
		if err != nil {
			return err
		}
		for _, rule := range matches {
			_, err := q.AddDelivery(ctx, sqlc.AddDeliveryParams{
				ID: "msg_" + id.New(), RuleID: rule, EventID: e.ID, Source: e.Source, DetailType: e.DetailType,
				Body: string(body), DueAt: store.Now(),
			})
			if err != nil {
				return fmt.Errorf("adding a delivery of rule %s: %w", rule, err)
			}
		}
		return nil
	})
	if err == nil {
		s.look()
	}
	return err
}

// compiled are the enabled rules at a version.
type compiled struct {
	version int64
	set     pattern.Set[string] // of ids
}

// matches returns the ids of the enabled rules that an event matches.
func (s *Service) matches(ctx context.Context, q *sqlc.Queries, e pattern.Event) ([]string, error) {
	c, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	var ids []string
	c.set.Match(e, func(rule string) { ids = append(ids, rule) })
	return ids, nil
}

// current returns the rules as the database has them, compiled anew when they
// have changed, on whichever node.
func (s *Service) current(ctx context.Context, q *sqlc.Queries) (*compiled, error) {
	version, err := q.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the version of the rules: %w", err)
	}
	s.mu.Lock()
	c := s.compiled
	s.mu.Unlock()
	if c != nil && c.version == version {
		return c, nil
	}
	// Read after the version: what has changed in between is seen as a newer
	// version the next time.
	rows, err := q.EnabledRules(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	c = &compiled{version: version}
	for _, r := range rows {
		p, err := pattern.Compile([]byte(r.Pattern))
		if err != nil {
			s.log.Error("a rule's pattern is not understood any more; the rule matches nothing", "rule", r.Name, "err", err)
			continue
		}
		c.set.Add(p, r.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compiled == nil || s.compiled.version < version {
		s.compiled = c
	}
	return c, nil
}
