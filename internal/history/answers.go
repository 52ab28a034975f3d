package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// A plugin's answer comes from outside and names its task by the token alone:
// what else it says of itself is not believed. The invocation, which says what
// the token is for, may be heard after the answer. So the two meet in a row
// under the token's hash, and the second makes the answer a fact. The token
// itself is kept nowhere.

// maxStrays is how many answers may wait for an invocation. A plugin in its
// senses has none waiting; one that makes up tokens cannot fill the database.
// What is lost by it is how long a plugin took: LifeCycleComplete says the rest.
const maxStrays = 10_000

var errTooManyStrays = errors.New("too many answers wait for an invocation")

// asked notes that a plugin was asked.
func (s *Service) asked(ctx context.Context, r *reader, hook, plugin string) error {
	token := r.invoked(hook, plugin)
	if r.err != nil {
		return s.ignore(r.e, r.err)
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		facts := []fact{r.fact}
		if token != "" {
			task, err := claimTask(ctx, tx, token)
			if err != nil {
				return err
			}
			task.VideoID, task.Hook, task.Plugin = r.video, hook, plugin
			if err := saveTask(ctx, tx, task); err != nil {
				return err
			}
			facts = append(facts, answersOf(task)...)
		}
		if buried, err := keep(ctx, tx, r.video, r.channel, facts...); err != nil || !buried {
			return err
		}
		return sqlc.New(tx).ForgetTasks(ctx, r.video) // it was deleted before this was heard
	})
}

// pluginAnswered notes that a plugin answered. What is no answer is the plugin
// manager's to count.
func (s *Service) pluginAnswered(ctx context.Context, e event.Envelope) error {
	var d event.PluginComplete
	if e.Decode(&d) != nil || d.TaskToken == "" || strings.HasPrefix(d.ID, event.DeliveryPrefix) {
		return nil // not of a lifecycle
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		task, err := claimTask(ctx, tx, d.TaskToken)
		if err != nil {
			return err
		}
		if task.VideoID == "" && task.AnsweredAt == 0 {
			strays, err := sqlc.New(tx).CountStrays(ctx)
			if err != nil {
				return fmt.Errorf("counting answers without an invocation: %w", err)
			}
			if strays > maxStrays {
				return errTooManyStrays
			}
		}
		if err := note(ctx, tx, &task, e, d.Message); err != nil {
			return err
		}
		return keepAnswer(ctx, tx, task)
	})
	if errors.Is(err, errTooManyStrays) {
		return nil // and no log line: the sender would write our log
	}
	return err
}

// note writes an answer into its task: the earliest one, when there are several.
func note(ctx context.Context, tx *store.Tx, task *sqlc.HistoryTask, e event.Envelope, message json.RawMessage) error {
	var a detail
	a.Valid, a.Reason = verdictOf(message)
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	at := max(1, e.Time.UnixMilli()) // the sender's own; 0 means no answer
	if task.AnsweredAt > 0 && (task.AnsweredAt < at || task.AnsweredAt == at && strings.Compare(task.Answer, string(text)) <= 0) {
		return nil
	}
	task.AnsweredAt, task.Answer = at, string(text)
	return saveTask(ctx, tx, *task)
}

// keepAnswer makes the answer a fact if it is known what was asked.
func keepAnswer(ctx context.Context, tx *store.Tx, task sqlc.HistoryTask) error {
	facts := answersOf(task)
	if len(facts) == 0 {
		return nil
	}
	_, err := keep(ctx, tx, task.VideoID, "", facts...)
	return err
}

// answersOf returns the answer as a fact, nothing while one half is missing.
func answersOf(task sqlc.HistoryTask) []fact {
	if task.VideoID == "" || task.AnsweredAt == 0 {
		return nil
	}
	var d detail
	_ = json.Unmarshal([]byte(task.Answer), &d) // written by note alone
	if !validates(task.Hook) {
		d = detail{} // any JSON is an answer there
	}
	d.Hook, d.Plugin = task.Hook, task.Plugin
	return []fact{{Name: pluginFact(answered, task.Hook, task.Plugin), At: task.AnsweredAt, detail: d}}
}

func claimTask(ctx context.Context, tx *store.Tx, token string) (sqlc.HistoryTask, error) {
	sum := sha256.Sum256([]byte(token))
	task, err := sqlc.New(tx).ClaimTask(ctx, sqlc.ClaimTaskParams{TokenHash: hex.EncodeToString(sum[:]), NotedAt: store.Now()})
	if err != nil {
		return task, fmt.Errorf("the row of a plugin's task: %w", err)
	}
	return task, nil
}

func saveTask(ctx context.Context, tx *store.Tx, t sqlc.HistoryTask) error {
	err := sqlc.New(tx).SaveTask(ctx, sqlc.SaveTaskParams{
		VideoID: t.VideoID, Hook: t.Hook, Plugin: t.Plugin,
		AnsweredAt: t.AnsweredAt, Answer: t.Answer, TokenHash: t.TokenHash,
	})
	if err != nil {
		return fmt.Errorf("saving the task of %s: %w", t.Plugin, err)
	}
	return nil
}
