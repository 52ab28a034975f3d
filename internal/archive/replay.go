package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The states of a replay.
const (
	running   = "running"
	done      = "done"
	cancelled = "cancelled"
	failed    = "failed"
)

// mostReplays is how many replays may run at a time.
const mostReplays = 10

// A replay walks through its range of the archive, the oldest event first. Each
// step is one transaction that queues deliveries with the rule and moves the
// replay's cursor behind what it has looked at, if nobody else has moved it: so
// each event is queued once, whatever is killed when, and on whichever node.

// begin makes a replay of the events from (in it) to to (not in it) that match both
// the pattern and the rule's own. "" is every event. What is to come is not part
// of it.
func (s *Service) begin(ctx context.Context, by string, in ReplayInput) (sqlc.ArchiveReplay, error) {
	var none sqlc.ArchiveReplay
	if s.cfg.Keep == 0 {
		return none, errs.New(errs.Conflict, "the archive is off (archive.keep is 0), so there is nothing to replay")
	}
	from, to, err := rangeOf(in.From, in.To, time.Now())
	if err != nil {
		return none, err
	}
	if _, err := compile("body.pattern", in.Pattern); err != nil {
		return none, err
	}
	rule, err := s.cfg.Rules.Rule(ctx, in.Rule)
	if err != nil {
		return none, err
	}
	if !rule.Enabled {
		return none, errs.Newf(errs.Conflict, "the rule %q is off; turn it on first", rule.Name)
	}
	events, err := s.queries().CountRange(ctx, sqlc.CountRangeParams{FromAt: from, ToAt: to})
	if err != nil {
		return none, fmt.Errorf("counting the events of the range: %w", err)
	}
	replayID := "re-" + id.New()
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		n, err := q.CountRunning(ctx)
		if err != nil {
			return fmt.Errorf("counting the replays: %w", err)
		}
		if n >= mostReplays {
			return errs.Newf(errs.Conflict, "%d replays are running; wait until one has ended, or cancel one", n)
		}
		return q.AddReplay(ctx, sqlc.AddReplayParams{
			ID: replayID, RuleID: in.Rule, RuleName: rule.Name, Pattern: in.Pattern, FromAt: from, ToAt: to,
			Events: events, CreatedBy: by, CreatedAt: store.Now(),
		})
	})
	if err != nil {
		return none, err
	}
	failpoint.Pass("replay.begun")
	s.look()
	return s.queries().Replay(ctx, replayID)
}

// replay moves all replays on until none can: each a step at a time, so that a long
// one does not hold up the others.
func (s *Service) replay(ctx context.Context) error {
	for ctx.Err() == nil {
		all, err := s.queries().RunningReplays(ctx)
		if err != nil {
			return fmt.Errorf("reading the replays: %w", err)
		}
		moved := false
		var failures []error
		for _, r := range all {
			on, err := s.step(ctx, r)
			if err != nil {
				failures = append(failures, fmt.Errorf("replay %s: %w", r.ID, err))
			}
			moved = moved || on
		}
		if !moved || len(failures) > 0 {
			return errors.Join(failures...)
		}
	}
	return nil
}

// step does the next part of a replay, and says whether it may go on at once.
func (s *Service) step(ctx context.Context, r sqlc.ArchiveReplay) (on bool, err error) {
	rule, err := s.cfg.Rules.Rule(ctx, r.RuleID)
	if errs.CodeOf(err) == errs.NotFound {
		return false, s.end(ctx, r, failed, "the rule was deleted")
	}
	if err != nil {
		return false, err
	}
	match, err := matcher(rule.Pattern, r.Pattern)
	switch {
	case err != nil:
		return false, s.end(ctx, r, failed, err.Error())
	case !rule.Enabled:
		return false, s.note(ctx, r, "the rule is off; it goes on when the rule is on again")
	case rule.Room <= 0:
		return false, s.note(ctx, r, "it waits until fewer deliveries of the rule are waiting")
	}
	p, err := s.part(ctx, r, rule.Room, match)
	if err != nil {
		return false, err
	}
	moved, err := s.queue(ctx, r, p)
	if moved && len(p.matched) > 0 {
		s.cfg.Rules.Look()
	}
	return moved && !p.last, err
}

// part is what one step of a replay has read.
type part struct {
	place   place
	looked  int64
	matched []event.Envelope
	last    bool
}

// part reads the next events of a replay, no more than have room.
func (s *Service) part(ctx context.Context, r sqlc.ArchiveReplay, room int, match func(text []byte) (bool, error)) (part, error) {
	p := part{place: place{at: r.CursorAt, id: r.CursorID, to: r.ToAt}}
	ahead := p.place
	rows, err := s.newer(ctx, &ahead)
	if err != nil {
		return p, err
	}
	for _, row := range rows {
		if len(p.matched) == room {
			return p, nil
		}
		matches, err := match([]byte(row.Body))
		if err != nil {
			return p, fmt.Errorf("event %s: %w", row.ID, err)
		}
		if matches {
			e, err := event.Parse([]byte(row.Body))
			if err != nil {
				return p, fmt.Errorf("event %s: %w", row.ID, err)
			}
			p.matched = append(p.matched, e)
		}
		p.looked++
		p.place.at, p.place.id = row.At, row.ID
	}
	p.last = len(rows) < readBatch
	return p, nil
}

// queue makes a part's deliveries and moves the replay on; false: it has ended
// meanwhile, or somebody else has moved it.
func (s *Service) queue(ctx context.Context, r sqlc.ArchiveReplay, p part) (moved bool, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		step := sqlc.AdvanceParams{
			ID: r.ID, OldAt: r.CursorAt, OldID: r.CursorID, CursorAt: p.place.at, CursorID: p.place.id,
			LookedAt: p.looked, Matched: int64(len(p.matched)), State: running,
		}
		if p.last {
			step.State, step.EndedAt = done, store.Now()
		}
		n, err := q.Advance(ctx, step)
		if err != nil {
			return fmt.Errorf("moving on: %w", err)
		}
		if moved = n > 0; !moved || len(p.matched) == 0 {
			return nil
		}
		queued, err := s.cfg.Rules.Queue(ctx, tx, r.RuleID, r.ID, p.matched)
		if err != nil {
			return err
		}
		failpoint.Pass("replay.queue")
		return q.NoteQueued(ctx, sqlc.NoteQueuedParams{ID: r.ID, Queued: int64(queued)})
	})
	failpoint.Pass("replay.queued")
	return moved && err == nil, err
}

func (s *Service) end(ctx context.Context, r sqlc.ArchiveReplay, state, reason string) error {
	s.log.Warn("a replay has ended early", "replay", r.ID, "rule", r.RuleName, "state", state, "why", reason)
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := sqlc.New(tx).EndReplay(ctx, sqlc.EndReplayParams{ID: r.ID, State: state, Reason: reason, EndedAt: store.Now()})
		return err
	})
}

// note says why a replay waits; Advance takes it back.
func (s *Service) note(ctx context.Context, r sqlc.ArchiveReplay, reason string) error {
	if r.Reason == reason {
		return nil
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).NoteReason(ctx, sqlc.NoteReasonParams{ID: r.ID, Reason: reason})
	})
}

// cancel ends a replay that runs and withdraws what waits of it.
func (s *Service) cancel(ctx context.Context, replayID string) (sqlc.ArchiveReplay, error) {
	r, err := s.replayOf(ctx, replayID)
	if err != nil {
		return r, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		n, err := q.EndReplay(ctx, sqlc.EndReplayParams{ID: replayID, State: cancelled, EndedAt: store.Now()})
		if err != nil {
			return fmt.Errorf("cancelling: %w", err)
		}
		if n == 0 {
			return errs.New(errs.Conflict, "the replay does not run any more")
		}
		withdrawn, err := s.cfg.Rules.Withdraw(ctx, tx, r.RuleID, replayID)
		if err != nil {
			return err
		}
		return q.NoteWithdrawn(ctx, sqlc.NoteWithdrawnParams{ID: replayID, Withdrawn: withdrawn})
	})
	if err != nil {
		return r, err
	}
	return s.replayOf(ctx, replayID)
}

// matcher matches with all of some patterns; "" is any event.
func matcher(patterns ...string) (func(text []byte) (bool, error), error) {
	var all []*pattern.Pattern
	for _, text := range patterns {
		p, err := compile("body.pattern", text)
		if err != nil {
			return nil, err
		}
		if p != nil {
			all = append(all, p)
		}
	}
	return func(text []byte) (bool, error) {
		if len(all) == 0 {
			return true, nil
		}
		e, err := pattern.Parse(text)
		if err != nil {
			return false, err
		}
		for _, p := range all {
			if !p.Match(e) {
				return false, nil
			}
		}
		return true, nil
	}, nil
}
