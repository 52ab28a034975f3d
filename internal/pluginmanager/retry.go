package pluginmanager

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// A video's lifecycles: life-<video>, and when it is retried life-<video>.2 and
// so on. An id of a video has no dot.
const flowPrefix = "life-"

func firstID(video string) string { return flowPrefix + video }

// attemptOf returns the number of a lifecycle that is a retry, from 2 on; 0 of the
// first one.
func attemptOf(flowID string) int {
	_, number, _ := strings.Cut(flowID, ".")
	n, err := strconv.Atoi(number)
	if err != nil || n < 2 {
		return 0
	}
	return n
}

// FlowName returns the name of the lifecycle's flow.
func (s *Service) FlowName() string { return lifecycleFlow }

// FlowPrefix begins the ids of a video's lifecycles.
func (s *Service) FlowPrefix(video string) string { return firstID(video) }

// FlowVideo returns the video whose lifecycle a flow is.
func (s *Service) FlowVideo(flowID string) string { return videoOf(flowID) }

func videoOf(flowID string) string {
	video, _, _ := strings.Cut(strings.TrimPrefix(flowID, flowPrefix), ".")
	return video
}

// PlanRetry says what trying a lifecycle again would mean. One whose outcome was
// not told goes on. After that a new one is begun, when the video did not pass:
// it keeps the answers that passed, and asks the other plugins again.
func (s *Service) PlanRetry(ctx context.Context, info flow.Info) (flow.RetryPlan, error) {
	if !info.Status.Final() {
		return flow.RetryPlan{Refusal: "It is not over yet."}, nil
	}
	video := s.FlowVideo(info.ID)
	rows, err := sqlc.New(s.db.Read()).LifecyclesOfVideo(ctx, video)
	if err != nil {
		return flow.RetryPlan{}, fmt.Errorf("reading the lifecycles of %s: %w", video, err)
	}
	own, last := newest(rows, info.ID)
	switch {
	case own.EndedAt == 0 && info.Status != flow.Done:
		return flow.RetryPlan{}, nil
	case last != info.ID:
		return flow.RetryPlan{Refusal: fmt.Sprintf("A newer attempt was begun: %s.", last)}, nil
	case own.Status != event.StatusFailed && own.Status != event.StatusInvalid:
		return flow.RetryPlan{Refusal: "It is done: the video passed."}, nil
	}
	tasks, err := sqlc.New(s.db.Read()).TasksOfFlow(ctx, info.ID)
	if err != nil {
		return flow.RetryPlan{}, fmt.Errorf("reading the tasks of %s: %w", info.ID, err)
	}
	plan := flow.RetryPlan{NewID: lifecycleID(video, max(1, attemptOf(info.ID))+1)}
	for _, hook := range hooks() {
		if slices.ContainsFunc(tasks, func(t sqlc.PluginTask) bool { return t.Hook == hook }) {
			plan.From = append(plan.From, hook)
		}
	}
	return plan, nil
}

// newest returns the row of a lifecycle, and the id of the video's last one.
func newest(rows []sqlc.PluginLifecycle, flowID string) (own sqlc.PluginLifecycle, last string) {
	last = flowID
	for _, r := range rows {
		if r.FlowID == flowID {
			own = r
		}
		if attemptOf(r.FlowID) > attemptOf(last) {
			last = r.FlowID
		}
	}
	return own, last
}

func lifecycleID(video string, attempt int) string {
	if attempt < 2 {
		return firstID(video)
	}
	return fmt.Sprintf("%s.%d", firstID(video), attempt)
}

// RetryFlow tries a lifecycle again as planned, and returns the id of the flow
// that goes on or begins. A new one asks all plugins again from the hook that from
// names on; with "" only those that have not passed.
func (s *Service) RetryFlow(ctx context.Context, info flow.Info, from string) (string, error) {
	plan, err := s.PlanRetry(ctx, info)
	switch {
	case err != nil:
		return "", err
	case plan.Refusal != "":
		return "", errs.New(errs.Conflict, plan.Refusal)
	case from != "" && !slices.Contains(plan.From, from):
		return "", errs.Newf(errs.Invalid, "It cannot be retried from %q: %s.", from, places(plan.From))
	case plan.NewID == "":
		return info.ID, s.goOn(ctx, info.ID)
	}
	d, err := s.detailsOf(ctx, info.ID)
	if err != nil {
		return "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if deleted, err := s.deleted(ctx, tx, d.ID); err != nil || deleted {
			return cmp.Or(err, error(errs.New(errs.NotFound, goneMessage)))
		}
		return beginAgain(ctx, sqlc.New(tx), info.ID, plan.NewID, d, from)
	})
	if err != nil {
		return "", err
	}
	if err := s.run(ctx, plan.NewID, d); err != nil {
		s.log.Warn("a lifecycle that is retried begins later", "id", plan.NewID, "err", err)
	}
	return plan.NewID, nil
}

func places(from []string) string {
	if len(from) == 0 {
		return "it goes on where it stopped, so leave the place out"
	}
	return "choose " + strings.Join(from, ", ") + ", or leave the place out"
}

// goOn lets a lifecycle without an outcome go on, unless Reconcile has given it
// one meanwhile: of the two, who comes second sees what the first one did.
func (s *Service) goOn(ctx context.Context, flowID string) error {
	if err := s.flows.RetryFrom(ctx, flowID, ""); err != nil {
		return err
	}
	said, err := store.Stepped(ctx, s.db, flowID, stepComplete)
	if err != nil || !said {
		return err
	}
	if err := s.flows.Cancel(ctx, flowID); err != nil {
		return err
	}
	return errs.New(errs.Conflict, "That it failed has been told just now: retry once more, and a new attempt begins.")
}

// beginAgain notes a new lifecycle, with the answers of the old one that stay.
// Reconcile starts its flow if nobody else does.
func beginAgain(ctx context.Context, q *sqlc.Queries, oldID, newID string, d event.RecordingReadyEvent, from string) error {
	added, err := q.BeginLifecycle(ctx, sqlc.BeginLifecycleParams{
		FlowID: newID, VideoID: d.ID, Channel: d.ChannelName, StartedAt: store.Now(),
	})
	if err != nil {
		return fmt.Errorf("beginning a lifecycle again: %w", err)
	}
	if added == 0 {
		return errs.New(errs.Conflict, "Somebody else has just begun another attempt.")
	}
	tasks, err := q.TasksOfFlow(ctx, oldID)
	if err != nil {
		return fmt.Errorf("reading the tasks of %s: %w", oldID, err)
	}
	answers, err := q.AnswersOfFlow(ctx, oldID)
	if err != nil {
		return fmt.Errorf("reading the answers of %s: %w", oldID, err)
	}
	for _, t := range tasks {
		if !stays(t, from) {
			continue
		}
		i := slices.IndexFunc(answers, func(a sqlc.PluginAnswer) bool {
			return a.Hook == t.Hook && a.Plugin == t.Plugin && a.Attempt == t.Attempt
		})
		if i < 0 {
			continue
		}
		if err := keepTask(ctx, q, t, answers[i], newID); err != nil {
			return fmt.Errorf("keeping the answer of %s: %w", t.Plugin, err)
		}
	}
	return nil
}

// stays says whether a task of the old lifecycle counts in the new one.
func stays(t sqlc.PluginTask, from string) bool {
	if from != "" && slices.Index(hooks(), t.Hook) >= slices.Index(hooks(), from) {
		return false
	}
	return t.State == statePassed || t.State == stateRefused && t.Hook != preValidate
}

func keepTask(ctx context.Context, q *sqlc.Queries, t sqlc.PluginTask, a sqlc.PluginAnswer, newID string) error {
	err := q.AddPastTask(ctx, sqlc.AddPastTaskParams{
		FlowID: newID, Hook: t.Hook, Plugin: t.Plugin, Attempt: attempt, Position: t.Position, VideoID: t.VideoID, Channel: t.Channel,
		TokenHash: hashToken(newToken()), // nobody has it
		AskedAt:   t.AskedAt, Deadline: t.Deadline, State: t.State, Reason: t.Reason,
	})
	if err != nil {
		return err
	}
	err = q.AddAnswer(ctx, sqlc.AddAnswerParams{
		FlowID: newID, Hook: t.Hook, Plugin: t.Plugin, Attempt: attempt,
		EventID: a.EventID, AnsweredAt: a.AnsweredAt, Message: a.Message,
	})
	if err != nil {
		return err
	}
	_, err = q.SpendAnswerBytes(ctx, sqlc.SpendAnswerBytesParams{Bytes: int64(len(a.Message)), FlowID: newID, Most: maxAnswers})
	return err
}
