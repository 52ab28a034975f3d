package pluginmanager

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const (
	// maxAnswer is the contract's 20 kB for one answer.
	maxAnswer = 20 * 1024
	// maxAnswers is for all answers of an execution: they travel together in
	// one event, which has event.MaxSize.
	maxAnswers = 180 * 1024
)

// Why an answer does not count.
const (
	refusedMalformed = "malformed"
	refusedUnknown   = "unknown"
	refusedForeign   = "foreign"
	refusedUsed      = "used"
	refusedClosed    = "closed"
	refusedLate      = "late"
)

// answered takes a plugin's answer into its task, before the event is
// acknowledged, and wakes the lifecycle. The task's state is the receipt: the
// event's id is the sender's own choice. An answer that does not count is
// logged without its token and counted.
func (s *Service) answered(ctx context.Context, e event.Envelope) error {
	var d event.PluginComplete
	if e.Decode(&d) != nil || d.TaskToken == "" {
		s.refuse(e, refusedMalformed)
		return nil
	}
	var task sqlc.PluginTask
	var refusal string
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		task, refusal, err = s.take(ctx, tx, e, d)
		return err
	})
	if err != nil {
		return fmt.Errorf("an answer of %q: %w", s.answerer(e), err)
	}
	if refusal != "" {
		s.refuse(e, refusal)
		return nil
	}
	if task.FlowID != "" {
		s.metrics.ended(task.VideoID, task.Hook, task.State)
		if task.Hook == event.OnEvent {
			s.waiters.wake(task.FlowID)
		} else {
			s.flows.Wake(task.FlowID)
		}
	}
	return nil
}

// refuse counts an answer that does not count. The sender's words are not
// logged: a token may stand in them.
func (s *Service) refuse(e event.Envelope, why string) {
	s.metrics.refused.WithLabelValues(why).Inc()
	s.refusals.Do(func() {
		s.log.Warn("an answer of a plugin does not count", "why", why, "plugin", s.known(s.answerer(e)))
	})
}

// known returns the name if it is a registered plugin's.
func (s *Service) known(name string) string {
	for _, r := range s.plugins {
		if r.Name == name {
			return name
		}
	}
	return "unknown"
}

// take ends the task that the answer's token names, and returns it; or says why
// the answer does not count. An event that is delivered again is neither.
func (s *Service) take(ctx context.Context, tx *store.Tx, e event.Envelope, d event.PluginComplete) (task sqlc.PluginTask, refusal string, err error) {
	q := sqlc.New(tx)
	t, err := q.TaskByToken(ctx, hashToken(d.TaskToken))
	if errors.Is(err, sql.ErrNoRows) {
		return task, refusedUnknown, nil
	}
	if err != nil {
		return task, "", fmt.Errorf("finding its task: %w", err)
	}
	now := store.Now()
	switch {
	case t.Plugin != s.answerer(e):
		return task, refusedForeign, nil
	case t.State == stateClosed || t.State == stateTimedOut:
		return task, refusedClosed, nil
	case t.State != stateOpen:
		first, err := q.AnswerID(ctx, sqlc.AnswerIDParams{FlowID: t.FlowID, Hook: t.Hook, Plugin: t.Plugin, Attempt: t.Attempt})
		if err == nil && first != e.ID {
			refusal = refusedUsed
		}
		return task, refusal, err
	case now > t.Deadline:
		return task, refusedLate, nil
	}
	message, err := s.weigh(ctx, q, &t, d.Message)
	if err != nil {
		return task, "", err
	}
	err = q.AddAnswer(ctx, sqlc.AddAnswerParams{
		FlowID: t.FlowID, Hook: t.Hook, Plugin: t.Plugin, Attempt: t.Attempt,
		EventID: e.ID, AnsweredAt: now, Message: message,
	})
	if err != nil {
		return task, "", fmt.Errorf("storing it: %w", err)
	}
	return t, "", end(ctx, tx, t)
}

// weigh decides what the answer makes of the task, and returns the answer as
// it is passed on.
func (s *Service) weigh(ctx context.Context, q *sqlc.Queries, t *sqlc.PluginTask, raw json.RawMessage) (message string, err error) {
	fail := func(reason string) (string, error) {
		t.State, t.Reason = stateFailed, reason
		return "", nil
	}
	if len(raw) == 0 {
		return fail("the answer has no Message")
	}
	if len(raw) > maxAnswer {
		return fail(fmt.Sprintf("the answer has %d bytes, more than the %d allowed: put large results into the object store and answer where they are", len(raw), maxAnswer))
	}
	t.State = statePassed
	if validates(t.Hook) {
		valid, reason, err := parseVerdict(raw)
		if err != nil {
			return fail(err.Error())
		}
		if !valid {
			t.State, t.Reason = stateRefused, reason
			if reason == "" {
				t.Reason = t.Plugin + " gave no reason"
			}
		}
	}
	if t.Hook == event.OnEvent {
		if reason, refused := refusalOf(raw); refused {
			return fail(reason)
		}
		return "", nil // nobody reads what it says
	}
	encoded, err := json.Marshal(raw) // as it will stand in events
	if err != nil {
		return fail("the answer is not JSON")
	}
	fits, err := q.SpendAnswerBytes(ctx, sqlc.SpendAnswerBytesParams{
		Bytes: int64(len(encoded)), FlowID: t.FlowID, Most: maxAnswers - int64(len(encoded)),
	})
	if err != nil {
		return "", fmt.Errorf("adding up the answers: %w", err)
	}
	if fits == 0 {
		return fail(fmt.Sprintf("the answers of all plugins together would have more than the %d bytes allowed", maxAnswers))
	}
	return string(encoded), nil
}

// prolong gives every open task at least d from now.
func (s *Service) prolong(ctx context.Context, d time.Duration) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := sqlc.New(tx).ProlongTasks(ctx, store.Now()+d.Milliseconds())
		return err
	})
}
