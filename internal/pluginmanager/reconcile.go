package pluginmanager

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Reconcile starts the lifecycle of every processing video that has none, and of
// every retry that has none. A lifecycle whose flow ended without saying how,
// because it was cancelled or given up, is told to have failed.
func (s *Service) Reconcile(ctx context.Context) error {
	waiting, err := s.videos.AwaitingLifecycle(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, v := range waiting {
		if s.flows.Running(firstID(v.ID)) {
			continue // most of them: it would cost a query each
		}
		failures = append(failures, s.reconcile(ctx, firstID(v.ID), v))
	}
	again, err := sqlc.New(s.db.Read()).OpenLifecycles(ctx)
	if err != nil {
		return errors.Join(append(failures, fmt.Errorf("reading the open lifecycles: %w", err))...)
	}
	for _, row := range again {
		if attemptOf(row.FlowID) > 0 {
			failures = append(failures, s.reconcileAgain(ctx, row))
		}
	}
	return errors.Join(failures...)
}

// reconcileAgain is for lifecycles that were retried: their videos do not wait
// for them. The details are in their own flow or in the one before.
func (s *Service) reconcileAgain(ctx context.Context, row sqlc.PluginLifecycle) error {
	d, err := s.detailsOf(ctx, row.FlowID)
	if errs.CodeOf(err) == errs.NotFound {
		d, err = s.detailsOf(ctx, lifecycleID(row.VideoID, attemptOf(row.FlowID)-1))
	}
	if err != nil {
		return err
	}
	return s.reconcile(ctx, row.FlowID, d)
}

func (s *Service) detailsOf(ctx context.Context, flowID string) (event.RecordingReadyEvent, error) {
	var d event.RecordingReadyEvent
	info, err := s.flows.Status(ctx, flowID)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(info.Input, &d); err != nil {
		return d, fmt.Errorf("the input of flow %s: %w", flowID, err)
	}
	return d, nil
}

func (s *Service) reconcile(ctx context.Context, flowID string, d event.RecordingReadyEvent) error {
	info, err := s.flows.Status(ctx, flowID)
	switch {
	case errs.CodeOf(err) == errs.NotFound:
		return s.run(ctx, flowID, d)
	case err != nil || !info.Status.Final() || info.Status == flow.Done:
		return err
	}
	reason := "the plugin lifecycle broke on the server"
	switch info.Status {
	case flow.Cancelled:
		reason = "the plugin lifecycle was cancelled"
	case flow.Abandoned:
		reason = "the plugin lifecycle was interrupted too often"
	}
	s.log.Error("a lifecycle ended without an outcome", "video", d.ID, "id", flowID, "status", info.Status, "err", info.Error)
	_, err = store.Step(ctx, s.db, flowID, stepComplete, func(ctx context.Context, tx *store.Tx) (struct{}, error) {
		// It may have been retried meanwhile (retry.go).
		if info, err := s.flows.Status(ctx, flowID); err != nil || !info.Status.Final() {
			return struct{}{}, errors.Join(err, errGoesOn)
		}
		if deleted, err := s.deleted(ctx, tx, d.ID); err != nil || deleted {
			return struct{}{}, cmp.Or(err, errGone) // it was cancelled by that
		}
		// It may not have come to its first step.
		if err := s.note(ctx, tx, flowID, d); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.complete(ctx, tx, flowID, d, verdict{Status: event.StatusFailed, Reason: reason})
	})
	if errors.Is(err, errGoesOn) || errors.Is(err, errGone) {
		return nil
	}
	return err
}

var errGoesOn = errors.New("the lifecycle goes on")

// begin starts a video's lifecycle; one that was begun before stays as it is.
func (s *Service) begin(ctx context.Context, v event.RecordingReadyEvent) error {
	return s.run(ctx, firstID(v.ID), v)
}

// run starts a lifecycle. The plugins have no work with a deleted video.
func (s *Service) run(ctx context.Context, flowID string, v event.RecordingReadyEvent) error {
	if deleted, err := s.videos.Deleted(ctx, v.ID); err != nil || deleted {
		return err
	}
	return flow.Run(ctx, s.flows, lifecycleFlow, flowID, v)
}
