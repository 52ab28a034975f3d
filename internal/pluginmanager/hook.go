package pluginmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The states of a task. All but open are final.
const (
	stateOpen     = "open"
	statePassed   = "passed"   // answered
	stateRefused  = "refused"  // answered valid:false
	stateFailed   = "failed"   // answered what is no answer
	stateTimedOut = "timedout" // did not answer in time
	stateClosed   = "closed"   // the hook ended without it
	stateSkipped  = "skipped"  // not asked about a simulated video: it may have effects
)

// verdict says how a hook stands: Open while it waits for answers, Due (ms)
// being the next time limit. Status is invalid or failed when the hook ends
// the lifecycle.
type verdict struct {
	Open   bool   `json:"open,omitempty"`
	Due    int64  `json:"due,omitempty"`
	Status string `json:"status,omitempty"`
	Cause  string `json:"cause,omitempty"`
	Plugin string `json:"plugin,omitempty"`
	Hook   string `json:"hook,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// judge says how a hook stands by its tasks, in the order of registration. At
// preValidate one refusal or failure ends the lifecycle, a refusal first; at
// the others nothing does.
func judge(hook string, tasks []sqlc.PluginTask) verdict {
	var v, failed verdict
	for _, t := range tasks {
		switch {
		case t.State == stateOpen:
			if !v.Open || t.Deadline < v.Due {
				v.Due = t.Deadline
			}
			v.Open = true
		case hook != preValidate:
		case t.State == stateRefused:
			return ending(t, event.StatusInvalid)
		case t.State == stateFailed || t.State == stateTimedOut:
			if failed.Status == "" {
				failed = ending(t, event.StatusFailed)
			}
		}
	}
	if failed.Status != "" {
		return failed
	}
	return v
}

func ending(t sqlc.PluginTask, status string) verdict {
	cause := "plugin-" + t.Plugin
	if t.State == stateTimedOut {
		cause = "timedout"
	}
	return verdict{Status: status, Cause: cause, Plugin: t.Plugin, Hook: t.Hook, Reason: t.Reason}
}

// ask gives every plugin of the hook a task and its invocation. The registry is
// read here, once for the execution.
func (s *Service) ask(ctx context.Context, tx *store.Tx, flowID, hook string, d event.RecordingReadyEvent) (verdict, error) {
	q := sqlc.New(tx)
	plugins, err := q.PluginsOfHook(ctx, hook)
	if err != nil {
		return verdict{}, fmt.Errorf("reading the plugins of %s: %w", hook, err)
	}
	data, err := outputs(ctx, q, flowID, hook)
	if err != nil {
		return verdict{}, err
	}
	now := store.Now()
	for _, p := range plugins {
		token := newToken()
		added, err := q.AddTask(ctx, sqlc.AddTaskParams{
			FlowID: flowID, Hook: hook, Plugin: p.Name, Attempt: attempt, Position: p.Position,
			VideoID: d.ID, Channel: d.ChannelName, TokenHash: hashToken(token),
			AskedAt: now, Deadline: now + p.TimeLimitMs,
		})
		if err != nil {
			return verdict{}, fmt.Errorf("adding a task of %s: %w", p.Name, err)
		}
		if added == 0 {
			continue // it was asked before
		}
		if event.Simulated(d.ID) && mayHaveEffects(p) {
			if err := skip(ctx, q, flowID, p); err != nil {
				return verdict{}, err
			}
			continue
		}
		err = tx.Emit(ctx, event.NewWithID(invocationID(flowID, hook, p.Name, attempt),
			event.PluginInvocation{Hook: hook, Plugin: p.Name, Video: pluginVideo(d), TaskToken: token, PluginData: data}))
		if err != nil {
			return verdict{}, err
		}
	}
	tasks, err := q.TasksOfHook(ctx, sqlc.TasksOfHookParams{FlowID: flowID, Hook: hook})
	if err != nil {
		return verdict{}, fmt.Errorf("reading the tasks of %s: %w", hook, err)
	}
	return judge(hook, tasks), nil
}

// mayHaveEffects goes by the manifest, as the registry has it.
func mayHaveEffects(p sqlc.Plugin) bool {
	var m Manifest
	return json.Unmarshal([]byte(p.Manifest), &m) != nil || m.hasEffects()
}

// skip ends a task that its plugin never hears of.
func skip(ctx context.Context, q *sqlc.Queries, flowID string, p sqlc.Plugin) error {
	_, err := q.SettleTask(ctx, sqlc.SettleTaskParams{
		State: stateSkipped, Reason: "a simulation asks only plugins that say they have no effects",
		FlowID: flowID, Hook: p.Hook, Plugin: p.Name, Attempt: attempt,
	})
	if err != nil {
		return fmt.Errorf("skipping %s: %w", p.Name, err)
	}
	return nil
}

// invocationID is the id of the event that asks a plugin.
func invocationID(flowID, hook, plugin string, attempt int64) string {
	return id.Derived("invocation", flowID, hook, plugin, fmt.Sprint(attempt))
}

// decided says whether settle would end the hook without any time limit.
func (s *Service) decided(ctx context.Context, flowID, hook string) (bool, error) {
	tasks, err := sqlc.New(s.db.Read()).TasksOfHook(ctx, sqlc.TasksOfHookParams{FlowID: flowID, Hook: hook})
	if err != nil {
		return false, fmt.Errorf("reading the tasks of %s: %w", hook, err)
	}
	return !judge(hook, tasks).Open, nil
}

// settle ends the tasks whose time is over and, when the hook is decided, the
// others too. It says how the hook stands and how many tasks timed out.
func (s *Service) settle(ctx context.Context, tx *store.Tx, flowID, hook string) (verdict, int, error) {
	q := sqlc.New(tx)
	if err := q.LockTasksOfHook(ctx, sqlc.LockTasksOfHookParams{FlowID: flowID, Hook: hook}); err != nil {
		return verdict{}, 0, fmt.Errorf("locking the tasks of %s: %w", hook, err)
	}
	tasks, err := q.TasksOfHook(ctx, sqlc.TasksOfHookParams{FlowID: flowID, Hook: hook})
	if err != nil {
		return verdict{}, 0, fmt.Errorf("reading the tasks of %s: %w", hook, err)
	}
	now := store.Now()
	timedOut := 0
	for i, t := range tasks {
		if t.State != stateOpen || t.Deadline > now {
			continue
		}
		limit := time.Duration(t.Deadline-t.AskedAt) * time.Millisecond
		tasks[i].State, tasks[i].Reason = stateTimedOut, fmt.Sprintf("%s did not answer within %s", t.Plugin, limit)
		if err := end(ctx, tx, tasks[i]); err != nil {
			return verdict{}, 0, err
		}
		timedOut++
	}
	v := judge(hook, tasks)
	if v.Status == "" {
		return v, timedOut, nil
	}
	for _, t := range tasks {
		if t.State == stateOpen {
			t.State, t.Reason = stateClosed, "the lifecycle ended before it answered"
			if err := end(ctx, tx, t); err != nil {
				return verdict{}, 0, err
			}
		}
	}
	return v, timedOut, nil
}

// end writes the final state of an open task, and says so when the plugin did
// not do what it should.
func end(ctx context.Context, tx *store.Tx, t sqlc.PluginTask) error {
	n, err := sqlc.New(tx).SettleTask(ctx, sqlc.SettleTaskParams{
		State: t.State, Reason: t.Reason, FlowID: t.FlowID, Hook: t.Hook, Plugin: t.Plugin, Attempt: t.Attempt,
	})
	if err != nil {
		return fmt.Errorf("ending the task of %s: %w", t.Plugin, err)
	}
	if n != 1 {
		return fmt.Errorf("the task of %s was not open", t.Plugin)
	}
	failed := t.State == stateFailed || t.State == stateTimedOut || t.State == stateRefused && t.Hook == postValidate
	if !failed || t.Hook == event.OnEvent { // then who asked knows what to do
		return nil
	}
	return tx.Emit(ctx, event.NewWithID(id.Derived("Plugin failed", t.FlowID, t.Hook, t.Plugin, fmt.Sprint(t.Attempt)),
		event.PluginFailed{
			ID: t.VideoID, ChannelName: t.Channel, Message: t.Reason, ExecutionID: t.FlowID, Plugin: t.Plugin, Hook: t.Hook,
		}))
}

// outputs returns what the plugins of the hooks before the given one answered,
// of all hooks when it is "". A hook that has run stands there, empty or not.
func outputs(ctx context.Context, q *sqlc.Queries, flowID, before string) (event.PluginOutputs, error) {
	rows, err := q.Outputs(ctx, flowID)
	if err != nil {
		return nil, fmt.Errorf("reading the answers: %w", err)
	}
	out := event.PluginOutputs{}
	for _, hook := range hooks() {
		if hook == before {
			break
		}
		out[hook] = []event.PluginOutput{}
	}
	for _, r := range rows {
		if _, ok := out[r.Hook]; ok {
			out[r.Hook] = append(out[r.Hook], event.PluginOutput{
				OutputKey: "plugin-" + r.Plugin, OutputValue: json.RawMessage(r.Message),
			})
		}
	}
	return out, nil
}
