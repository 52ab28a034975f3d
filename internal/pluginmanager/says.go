package pluginmanager

import (
	"context"
	"fmt"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// started says that a video's plugins begin.
func (s *Service) started(ctx context.Context, tx *store.Tx, flowID string, d event.RecordingReadyEvent) error {
	if err := s.note(ctx, tx, flowID, d); err != nil {
		return err
	}
	return tx.Emit(ctx, event.NewWithID(id.Derived("LifeCycleStarted", flowID), event.LifeCycleStarted{
		ID: d.ID, ChannelName: d.ChannelName, PlaybackURL: d.PlaybackURL, StreamURL: d.StreamURL,
		Thumbnail: d.Thumbnail, CreatedAt: d.CreatedAt, DurationMillis: d.DurationMillis,
		Height: d.Height, Width: d.Width,
	}))
}

// note makes the lifecycle's row, unless it is there.
func (s *Service) note(ctx context.Context, tx *store.Tx, flowID string, d event.RecordingReadyEvent) error {
	_, err := sqlc.New(tx).BeginLifecycle(ctx, sqlc.BeginLifecycleParams{
		FlowID: flowID, VideoID: d.ID, Channel: d.ChannelName, StartedAt: store.Now(),
	})
	if err != nil {
		return fmt.Errorf("beginning a lifecycle: %w", err)
	}
	return nil
}

// complete says how the lifecycle ended, with what the plugins answered.
func (s *Service) complete(ctx context.Context, tx *store.Tx, flowID string, d event.RecordingReadyEvent, end verdict) error {
	q := sqlc.New(tx)
	answered, err := outputs(ctx, q, flowID, "")
	if err != nil {
		return err
	}
	if end.Hook != "" {
		// The hooks after the one that ended it never ran.
		ran := slices.Index(hooks(), end.Hook) + 1
		for _, hook := range hooks()[ran:] {
			delete(answered, hook)
		}
	}
	status := end.Status
	if status == "" {
		status = event.StatusValid
	}
	// None is open, unless the lifecycle broke.
	if err := q.CloseTasks(ctx, flowID); err != nil {
		return fmt.Errorf("closing the tasks: %w", err)
	}
	err = q.EndLifecycle(ctx, sqlc.EndLifecycleParams{EndedAt: store.Now(), Status: status, FlowID: flowID})
	if err != nil {
		return fmt.Errorf("ending a lifecycle: %w", err)
	}
	return tx.Emit(ctx, event.NewWithID(completeID(flowID), event.LifeCycleComplete{Attempt: attemptOf(flowID), Lifecycle: event.Lifecycle{
		ID: d.ID, ChannelName: d.ChannelName, PlaybackURL: d.PlaybackURL, StreamURL: d.StreamURL,
		Thumbnail: d.Thumbnail, CreatedAt: d.CreatedAt, DurationMillis: d.DurationMillis,
		Height: d.Height, Width: d.Width, RecordingS3KeyPrefix: d.RecordingS3KeyPrefix,
		Author: event.Author{Username: d.Author},
		Plugins: event.LifeCycleResult{
			Outputs: answered, Status: end.Status, Cause: end.Cause, Plugin: end.Plugin, Hook: end.Hook, Reason: end.Reason,
		},
		WorkflowExecutionID: flowID,
	}}))
}

// completeID is the id of a lifecycle's LifeCycleComplete.
func completeID(flowID string) string { return id.Derived("LifeCycleComplete", flowID) }

// pluginVideo is what a plugin is told about its video.
func pluginVideo(d event.RecordingReadyEvent) event.PluginVideo {
	return event.PluginVideo{
		ID: d.ID, Channel: d.ChannelName, Author: event.Author{Username: d.Author}, CreatedAt: d.CreatedAt,
		DurationMillis: d.DurationMillis, Thumbnail: d.Thumbnail, PlaybackURL: d.PlaybackURL, StreamURL: d.StreamURL,
		RecordingS3KeyPrefix: d.RecordingS3KeyPrefix,
	}
}
