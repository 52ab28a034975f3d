package pluginmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const (
	// lifecycleFlow is the flow's name, the same for as long as one runs.
	lifecycleFlow = "lifecycle"
	// stepComplete is the step that says the outcome, and its receipt.
	stepComplete = "complete"
	// attempt numbers the times that a plugin is asked at one hook.
	attempt = 1
)

// lifecycle takes a recording through the hooks. All it knows lies in the
// tables; between its steps it carries how the last hook ended and no more.
// LifeCycleComplete is said however it ends.
func (s *Service) lifecycle(c flow.Context, d event.RecordingReadyEvent) (string, error) {
	end, err := s.runHooks(c, &d)
	if errors.Is(err, flow.ErrInterrupted) {
		return "", err
	}
	if errors.Is(err, errGone) {
		return gone, nil
	}
	if err != nil {
		s.log.Error("a lifecycle broke", "video", d.ID, "err", err)
		end = verdict{Status: event.StatusFailed, Reason: "the plugin lifecycle broke on the server"}
	}
	err = step(c, s, stepComplete, func(ctx context.Context, tx *store.Tx) (struct{}, error) {
		return struct{}{}, s.complete(ctx, tx, c.ID(), d, end)
	}, new(struct{}))
	if errors.Is(err, errGone) {
		return gone, nil
	}
	return end.Status, err
}

// runHooks takes the recording by its address, as runHook does: what stands on the
// stack of a lifecycle that waits is there for as long as it waits.
func (s *Service) runHooks(c flow.Context, d *event.RecordingReadyEvent) (verdict, error) {
	err := step(c, s, "start", func(ctx context.Context, tx *store.Tx) (struct{}, error) {
		return struct{}{}, s.started(ctx, tx, c.ID(), *d)
	}, new(struct{}))
	if err != nil {
		return verdict{}, err
	}
	for _, hook := range hooks() {
		v, err := s.runHook(c, hook, d)
		if err != nil || v.Status != "" {
			return v, err
		}
	}
	return verdict{}, nil
}

// runHook asks the hook's plugins and waits until it is decided how the hook
// ends. Time limits differ, and may be prolonged: each round waits for the next.
func (s *Service) runHook(c flow.Context, hook string, d *event.RecordingReadyEvent) (verdict, error) {
	var v verdict
	err := step(c, s, hook+" ask", func(ctx context.Context, tx *store.Tx) (verdict, error) {
		return s.ask(ctx, tx, c.ID(), hook, *d)
	}, &v)
	for round := 1; err == nil && v.Open; round++ {
		_, _, err = flow.Await(c, fmt.Sprintf("%s wait %d", hook, round), c.ID(), time.UnixMilli(v.Due),
			func(ctx context.Context) (struct{}, bool, error) {
				decided, err := s.decided(ctx, c.ID(), hook)
				return struct{}{}, decided, err
			})
		if err != nil {
			break
		}
		v = verdict{}
		err = s.settleStep(c, fmt.Sprintf("%s settle %d", hook, round), d.ID, hook, &v)
	}
	return v, err
}

func (s *Service) settleStep(c flow.Context, name, video, hook string, v *verdict) error {
	var timedOut int
	err := step(c, s, name, func(ctx context.Context, tx *store.Tx) (verdict, error) {
		var v verdict
		var err error
		v, timedOut, err = s.settle(ctx, tx, c.ID(), hook)
		return v, err
	}, v)
	for range timedOut {
		s.metrics.ended(video, hook, stateTimedOut)
	}
	return err
}

// gone is the outcome of a lifecycle whose video was deleted.
const gone = "gone"

var errGone = errors.New("the video is deleted")

// step runs fn as a step of the flow, its rows, events and receipt in one
// transaction. It is tried until the database takes it: a lifecycle may wait,
// it may not be lost. A deleted video is errGone, and nothing is written of it.
func step[T any](c flow.Context, s *Service, name string, fn func(ctx context.Context, tx *store.Tx) (T, error), out *T) error {
	got, err := flow.Step(c, name, func(ctx context.Context) (T, error) {
		got, err := store.Step(ctx, s.db, c.ID(), name, func(ctx context.Context, tx *store.Tx) (T, error) {
			deleted, err := s.deleted(ctx, tx, videoOf(c.ID()))
			if err != nil || deleted {
				return *new(T), cmp.Or(err, errGone)
			}
			return fn(ctx, tx)
		})
		if errors.Is(err, errGone) {
			return got, errs.Wrap(errGone, errs.NotFound, goneMessage)
		}
		return got, err
	}, flow.Retries{Max: flow.Forever})
	if err == nil {
		*out = got
	} else if errs.CodeOf(err) == errs.NotFound && errs.MessageOf(err) == goneMessage {
		return errGone // also as it was recorded
	}
	return err
}

const goneMessage = "the video is deleted"
