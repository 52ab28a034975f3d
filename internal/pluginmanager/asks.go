package pluginmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Rules give events to plugins whose hook is onEvent. Such a plugin is asked as
// in a lifecycle, by an event with a one-time token, and has a task; but no flow
// waits for it: who asks waits.

const (
	// lookEvery is how often who waits looks at the task: a net for answers that
	// another node has heard.
	lookEvery = time.Second
	// tasksKept is for how long it is known what became of asking. It is longer
	// than a delivery of a rule is tried.
	tasksKept = 30 * 24 * time.Hour
	// mostAround is what an invocation adds to the event in it, in bytes.
	mostAround = 4 << 10
)

// EventPlugin is a plugin that takes events.
type EventPlugin struct{ Name, Description string }

// EventPlugins returns the plugins that take events.
func (s *Service) EventPlugins() []EventPlugin {
	var all []EventPlugin
	for _, r := range s.plugins {
		if r.EventHook == event.OnEvent {
			all = append(all, EventPlugin{r.Name, r.Description})
		}
	}
	return all
}

// EventTask is an event for a plugin. Delivery names it; Event is an envelope
// without task tokens.
type EventTask struct {
	Delivery, Plugin string
	Rule             event.PluginEventRule
	Event            json.RawMessage
	Video, Channel   string // that it is about, "" when it says none
}

// Ask gives an event to a plugin and waits for the answer, until the plugin's
// time limit or the end of ctx. Asked again for the same delivery, it waits for
// the answer that is still to come, or returns the one that came; only when the
// plugin did not take the event is it asked anew. Errors: errs.Invalid, what
// makes no sense; errs.Unavailable, why the plugin did not take the event.
func (s *Service) Ask(ctx context.Context, a EventTask) error {
	if len(a.Event) > event.MaxSize-mostAround {
		return errs.Newf(errs.Invalid, "the event has %d bytes; a plugin is given %d at most", len(a.Event), event.MaxSize-mostAround)
	}
	answered := s.waiters.wait(a.Delivery)
	defer s.waiters.leave(a.Delivery)
	t, err := s.askOnce(ctx, a)
	if err != nil {
		return err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for t.State == stateOpen {
		deadline := time.NewTimer(time.Until(time.UnixMilli(t.Deadline + 1)))
		select {
		case <-answered:
		case <-look.C:
		case <-deadline.C:
		case <-ctx.Done():
			deadline.Stop()
			return errs.Wrap(ctx.Err(), errs.Unavailable, a.Plugin+" has not answered yet")
		}
		deadline.Stop()
		if t, err = s.taskNow(ctx, t); err != nil {
			return err
		}
	}
	if t.State != statePassed {
		return errs.New(errs.Unavailable, t.Reason)
	}
	return nil
}

// askOnce returns the task of a delivery: the one that is open or passed, else a
// new one, whose invocation goes out.
func (s *Service) askOnce(ctx context.Context, a EventTask) (task sqlc.PluginTask, err error) {
	limit, err := s.eventLimit(a.Plugin)
	if err != nil {
		return task, err
	}
	expired := false
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q, now := sqlc.New(tx), store.Now()
		last, err := lastTask(ctx, q, a.Delivery, a.Plugin)
		if err != nil {
			return err
		}
		if last.State == statePassed || last.State == stateOpen && last.Deadline > now {
			task = last
			return nil
		}
		if expired = last.State == stateOpen; expired {
			if err := end(ctx, tx, late(last)); err != nil {
				return err
			}
		}
		token := newToken()
		task = sqlc.PluginTask{
			FlowID: a.Delivery, Hook: event.OnEvent, Plugin: a.Plugin, Attempt: last.Attempt + 1, VideoID: a.Video, Channel: a.Channel,
			TokenHash: hashToken(token), AskedAt: now, Deadline: now + limit, State: stateOpen,
		}
		added, err := q.AddTask(ctx, sqlc.AddTaskParams{
			FlowID: task.FlowID, Hook: task.Hook, Plugin: task.Plugin, Attempt: task.Attempt, VideoID: task.VideoID, Channel: task.Channel,
			TokenHash: task.TokenHash, AskedAt: task.AskedAt, Deadline: task.Deadline,
		})
		if err == nil && added == 0 {
			err = fmt.Errorf("somebody else asks at the same time")
		}
		if err != nil {
			return fmt.Errorf("adding a task of %s: %w", a.Plugin, err)
		}
		return tx.Emit(ctx, event.NewWithID(id.Derived("invocation", a.Delivery, event.OnEvent, a.Plugin, fmt.Sprint(task.Attempt)),
			event.PluginEvent{Plugin: a.Plugin, Delivery: a.Delivery, Rule: a.Rule, Event: a.Event, TaskToken: token}))
	})
	if err == nil && expired {
		s.metrics.ended(task.VideoID, event.OnEvent, stateTimedOut)
	}
	return task, err
}

func lastTask(ctx context.Context, q *sqlc.Queries, delivery, plugin string) (sqlc.PluginTask, error) {
	rows, err := q.LastTask(ctx, sqlc.LastTaskParams{FlowID: delivery, Hook: event.OnEvent, Plugin: plugin})
	if err != nil {
		return sqlc.PluginTask{}, fmt.Errorf("reading the last task of %s: %w", plugin, err)
	}
	if len(rows) == 0 {
		return sqlc.PluginTask{}, nil
	}
	return rows[0], nil
}

// taskNow returns how a task is now. One whose time is over has timed out.
func (s *Service) taskNow(ctx context.Context, t sqlc.PluginTask) (sqlc.PluginTask, error) {
	now, err := lastTask(ctx, sqlc.New(s.db.Read()), t.FlowID, t.Plugin)
	if err != nil || now.State != stateOpen || store.Now() <= now.Deadline {
		return now, err
	}
	now = late(now)
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return end(ctx, tx, now) })
	if err == nil {
		s.metrics.ended(now.VideoID, now.Hook, now.State)
		return now, nil
	}
	// The answer may have come between the two; then the task is not open.
	return lastTask(ctx, sqlc.New(s.db.Read()), t.FlowID, t.Plugin)
}

// late is the task as one whose plugin did not answer in time.
func late(t sqlc.PluginTask) sqlc.PluginTask {
	limit := time.Duration(t.Deadline-t.AskedAt) * time.Millisecond
	t.State, t.Reason = stateTimedOut, fmt.Sprintf("%s did not answer within %s", t.Plugin, limit)
	return t
}

// eventLimit is how long the plugin has for an event, in ms.
func (s *Service) eventLimit(plugin string) (int64, error) {
	for _, r := range s.plugins {
		if r.Name == plugin && r.EventHook == event.OnEvent {
			return r.limitMillis(), nil
		}
	}
	return 0, errs.Newf(errs.Unavailable, "no plugin %q is registered that takes events", plugin)
}

// refusalOf reads why a plugin did not take an event: {"error":"…"}. Any other
// answer takes it.
func refusalOf(message json.RawMessage) (string, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(message, &fields) != nil {
		return "", false
	}
	raw, ok := fields["error"]
	if !ok || string(raw) == "null" {
		return "", false
	}
	reason := ""
	if json.Unmarshal(raw, &reason) != nil {
		reason = string(raw)
	}
	if reason = clean(reason); reason == "" {
		reason = "the plugin gave no reason"
	}
	return reason, true
}

// forgetAsked deletes the tasks whose deliveries are long over.
func (s *Service) forgetAsked(ctx context.Context) error {
	old := store.Now() - tasksKept.Milliseconds()
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		if err := q.ForgetAnswers(ctx, sqlc.ForgetAnswersParams{Hook: event.OnEvent, AnsweredAt: old}); err != nil {
			return fmt.Errorf("forgetting old answers: %w", err)
		}
		if err := q.ForgetTasks(ctx, sqlc.ForgetTasksParams{Hook: event.OnEvent, AskedAt: old}); err != nil {
			return fmt.Errorf("forgetting old tasks: %w", err)
		}
		return nil
	})
}

// waiters are those who wait for answers on this node, by delivery.
type waiters struct {
	mu  sync.Mutex
	all map[string]chan struct{}
}

func (w *waiters) wait(delivery string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[string]chan struct{}{}
	}
	c := make(chan struct{}, 1)
	w.all[delivery] = c
	return c
}

func (w *waiters) leave(delivery string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, delivery)
}

func (w *waiters) wake(delivery string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.all[delivery] <- struct{}{}:
	default:
	}
}
