package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

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
	allowed := targetsFor(e)
	matches, err := s.matches(ctx, sqlc.New(s.db.Read()), parsed, allowed)
	if err != nil || len(matches) == 0 {
		return err
	}
	var added []sqlc.RuleDelivery
	err = s.db.Once(ctx, consumer, e.ID, func(ctx context.Context, tx *store.Tx) error {
		added = nil
		q := sqlc.New(tx)
		// What is late of a deleted video would keep what is to be forgotten.
		deleted, err := s.deleted(ctx, tx, e.About())
		if err != nil || deleted && !videoDeleted().Match(e) {
			return err
		}
		// Again, as the rules are now: one may be gone.
		matches, err := s.matches(ctx, q, parsed, allowed)
		if err != nil {
			return err
		}
		for _, rule := range matches {
			d, isNew, err := addDelivery(ctx, q, sqlc.RuleDelivery{
				RuleID: rule, EventID: e.ID, Event: e.ID, Source: e.Source, DetailType: e.DetailType, About: e.About(), Body: string(body),
			})
			if err != nil {
				return err
			}
			if isNew {
				added = append(added, d)
			}
		}
		return nil
	})
	if err == nil {
		s.look()
		for _, d := range added {
			s.tell(s.nameOf(d.RuleID), d)
		}
	}
	return err
}

// deleted says whether a video is deleted, for a transaction that adds deliveries
// about it: forget removes them if it is deleted before the commit.
func (s *Service) deleted(ctx context.Context, tx *store.Tx, about string) (bool, error) {
	if err := tx.Share(ctx, holdAbout(about)); err != nil {
		return false, err
	}
	return s.cfg.Videos.Deleted(ctx, about)
}

// addDelivery adds a delivery that is due now, and says whether it is new.
func addDelivery(ctx context.Context, q *sqlc.Queries, d sqlc.RuleDelivery) (sqlc.RuleDelivery, bool, error) {
	now := store.Now()
	d.ID, d.State, d.DueAt, d.CreatedAt, d.Attempts = event.DeliveryPrefix+id.New(), pending, now, now, "[]"
	n, err := q.AddDelivery(ctx, sqlc.AddDeliveryParams{
		ID: d.ID, RuleID: d.RuleID, EventID: d.EventID, Event: d.Event, Replay: d.Replay, Source: d.Source, DetailType: d.DetailType,
		About: d.About, Body: d.Body, DueAt: now,
	})
	if err != nil {
		return d, false, fmt.Errorf("adding a delivery of rule %s: %w", d.RuleID, err)
	}
	return d, n > 0, nil
}

// compiled are the enabled rules at a version.
type compiled struct {
	version int64
	set     pattern.Set[match]
	names   map[string]string // by id
}

// match is a rule that an event may match.
type match struct{ id, target string }

// targetsFor says to which targets an event may go. One about a simulated video
// goes into the log alone: nothing outside this server may come of it. What
// plugins were asked or answered goes to no plugin: one that is asked because it
// was asked, or because it answered, would be asked for ever.
func targetsFor(e event.Envelope) func(target string) bool {
	simulated := e.Simulated()
	ofPlugins := e.Source == event.SourcePluginManager && strings.HasPrefix(e.DetailType, event.OnEvent+".") ||
		strings.HasPrefix(e.DetailType, event.PluginComplete{}.EventType())
	return func(target string) bool {
		return target == targetLog || !simulated && (target != targetPlugin || !ofPlugins)
	}
}

// matches returns the ids of the enabled rules that an event matches, of those
// with an allowed target.
func (s *Service) matches(ctx context.Context, q *sqlc.Queries, e pattern.Event, allowed func(target string) bool) ([]string, error) {
	c, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	var ids []string
	c.set.Match(e, func(m match) {
		if allowed(m.target) {
			ids = append(ids, m.id)
		}
	})
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
	c = &compiled{version: version, names: map[string]string{}}
	for _, r := range rows {
		p, err := pattern.Compile([]byte(r.Pattern))
		if err != nil {
			s.log.Error("a rule's pattern is not understood any more; the rule matches nothing", "rule", r.Name, "err", err)
			continue
		}
		c.set.Add(p, match{r.ID, r.Target})
		c.names[r.ID] = r.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compiled == nil || s.compiled.version < version {
		s.compiled = c
	}
	return c, nil
}
