package simulator

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Consumers returns what the simulator hears. It says Recording State Change of
// simulated videos.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{{
		Name: "simulator",
		Filters: []event.Filter{
			{Source: event.SourceVideoManager, Type: event.MP4ProcessingStarted{}.EventType()},
			{Source: event.SourceVideoManager, Type: event.MP4ProcessingComplete{}.EventType()},
			{Source: event.SourceVideoManager, Type: event.VideoStatusUpdated{}.EventType()},
			{Source: event.SourceVideoManager, Type: event.VideoDeleted{}.EventType()},
			{Source: event.SourcePluginManager, Type: event.LifeCycleStarted{}.EventType()},
			{Source: event.SourcePluginManager, Type: event.LifeCycleComplete{}.EventType()},
		},
		Handle: s.handle,
	}}
}

// dropped is the status of a video that did not come to an end in its run.
const dropped = "dropped"

// handle notes one fact of a simulated video. Doing it again changes nothing, so
// there are no receipts; the order does not matter either.
func (s *Service) handle(ctx context.Context, e event.Envelope) error {
	if !e.Simulated() {
		return nil
	}
	var d struct {
		ID      string                `json:"id"`
		Compute string                `json:"compute"`
		Status  string                `json:"status"`
		Plugins event.LifeCycleResult `json:"plugins"`
	}
	if err := e.Decode(&d); err != nil {
		s.Log.Error("an event that the simulator does not understand", "type", e.DetailType, "event", e.ID, "err", err)
		return nil
	}
	var skipped []string
	if e.DetailType == (event.LifeCycleComplete{}).EventType() {
		var err error
		if skipped, err = s.Plugins.Skipped(ctx, d.ID); err != nil {
			return err
		}
	}
	at := e.Time.UnixMilli()
	return s.note(ctx, d.ID, func(v *sqlc.SimulationVideo) {
		switch e.DetailType {
		case event.MP4ProcessingStarted{}.EventType():
			first(&v.BegunAt, at)
		case event.MP4ProcessingComplete{}.EventType():
			first(&v.ProcessedAt, at)
			v.Compute = d.Compute
		case event.LifeCycleStarted{}.EventType():
			first(&v.LifecycleAt, at)
		case event.LifeCycleComplete{}.EventType():
			first(&v.JudgedAt, at)
			if text, err := json.Marshal(skipped); err == nil && len(skipped) > 0 {
				v.Skipped = string(text)
			}
		case event.VideoDeleted{}.EventType():
			ended(v, at, dropped, "It was deleted.")
		case event.VideoStatusUpdated{}.EventType():
			ended(v, at, d.Status, d.Plugins.Reason)
		}
	})
}

// first keeps the earliest of the times that it is told.
func first(t *int64, at int64) {
	if *t == 0 || at < *t {
		*t = at
	}
}

// ended keeps the latest status.
func ended(v *sqlc.SimulationVideo, at int64, status, reason string) {
	if at >= v.EndedAt {
		v.EndedAt, v.Status, v.Reason = at, status, reason
	}
}

// note changes a video of a run, unless the run is forgotten.
func (s *Service) note(ctx context.Context, videoID string, change func(v *sqlc.SimulationVideo)) error {
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		v, err := q.LockVideo(ctx, videoID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the simulated video %s: %w", videoID, err)
		}
		before := v
		if change(&v); v == before {
			return nil
		}
		return saveVideo(ctx, q, v)
	})
	s.look()
	return err
}
