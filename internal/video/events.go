package video

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// The service's consumers. Their names are also those of their receipts.
const (
	catalogueConsumer = "video-catalogue"
	deleteConsumer    = "video-delete"
	ownersConsumer    = "video-owners"
)

// Consumers returns what the video manager hears. It says recording-ready,
// VideoStatusUpdated and VideoDeleted.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{
		{
			Name: catalogueConsumer,
			Filters: []event.Filter{
				{Source: event.SourceStreaming, Type: event.RecordingStateChange{}.EventType()},
				{Source: event.SourceSimulator, Type: event.SimulatedRecording{}.EventType()},
				{Source: event.SourceVideoManager, Type: event.MP4ProcessingStarted{}.EventType()},
				{Source: event.SourceVideoManager, Type: event.MP4ProcessingComplete{}.EventType()},
				{Source: event.SourceVideoManager, Type: event.MP4ProcessingFailed{}.EventType()},
				{Source: event.SourcePluginManager, Type: event.LifeCycleComplete{}.EventType()},
			},
			Handle: s.handle,
		},
		{
			Name:    deleteConsumer,
			Filters: []event.Filter{{Source: event.SourceVideoManager, Type: event.VideoDeleted{}.EventType()}},
			Handle:  s.removeObjects,
		},
		{
			Name: ownersConsumer,
			Filters: []event.Filter{
				{Source: event.SourceAuth, Type: event.UserDeleted{}.EventType()},
				{Source: event.SourceStreaming, Type: event.StreamStateChange{}.EventType()},
			},
			Handle: s.ownersChange,
		},
	}
}

// handle brings one fact into the catalogue. The facts of a video may come in
// any order and several times: the row keeps what has come, and what needs two
// facts happens with the second.
func (s *Service) handle(ctx context.Context, e event.Envelope) error {
	switch e.DetailType {
	case event.RecordingStateChange{}.EventType():
		return s.recordingEnded(ctx, e)
	case event.MP4ProcessingStarted{}.EventType():
		return s.processingStarted(ctx, e)
	case event.MP4ProcessingComplete{}.EventType():
		return s.processingComplete(ctx, e)
	case event.MP4ProcessingFailed{}.EventType():
		return s.processingFailed(ctx, e)
	case event.LifeCycleComplete{}.EventType():
		return s.lifecycleComplete(ctx, e)
	}
	return nil
}

func (s *Service) recordingEnded(ctx context.Context, e event.Envelope) error {
	var d event.RecordingStateChange
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if d.RecordingStatus != event.RecordingEnd {
		return nil
	}
	if err := checkRecording(e.Source, d); err != nil {
		return s.ignore(e, err)
	}
	username, err := s.channels.Username(ctx, d.ChannelName)
	switch {
	case errs.CodeOf(err) == errs.NotFound:
		username = d.ChannelName // nobody knows the owner any more
	case err != nil:
		return err
	}
	return s.changeWith(ctx, e, d.StreamID, d.ChannelName, func(ctx context.Context, tx *store.Tx, v *sqlc.Video) ([]event.Envelope, error) {
		follows := s.recorded(v, e, d, username)
		gone, err := ownerIsGone(ctx, tx, *v)
		if gone && err == nil {
			return nil, bury(ctx, tx, v, ownerGone)
		}
		return follows, err
	})
}

func (s *Service) processingStarted(ctx context.Context, e event.Envelope) error {
	var d event.MP4ProcessingStarted
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if err := checkIDs(d.ID, d.ChannelName); err != nil {
		return s.ignore(e, err)
	}
	return s.change(ctx, e, d.ID, d.ChannelName, func(v *sqlc.Video) []event.Envelope {
		s.triedAgain(v, d)
		return nil
	})
}

func (s *Service) processingComplete(ctx context.Context, e event.Envelope) error {
	var d event.MP4ProcessingComplete
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if err := checkIDs(d.ID, d.ChannelName); err != nil {
		return s.ignore(e, err)
	}
	return s.change(ctx, e, d.ID, d.ChannelName, func(v *sqlc.Video) []event.Envelope {
		return s.processed(v, d)
	})
}

func (s *Service) processingFailed(ctx context.Context, e event.Envelope) error {
	var d event.MP4ProcessingFailed
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if err := checkIDs(d.ID, d.ChannelName); err != nil {
		return s.ignore(e, err)
	}
	return s.change(ctx, e, d.ID, d.ChannelName, func(v *sqlc.Video) []event.Envelope {
		return s.failed(v, e, d)
	})
}

func (s *Service) lifecycleComplete(ctx context.Context, e event.Envelope) error {
	var d event.LifeCycleComplete
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if err := checkIDs(d.ID, d.ChannelName); err != nil {
		return s.ignore(e, err)
	}
	// Read before the row is locked: it may be large, and the store slow.
	said, err := s.transcribe(ctx, d.ID, d.Plugins.Outputs)
	if err != nil {
		return err
	}
	return s.changeWith(ctx, e, d.ID, d.ChannelName, func(ctx context.Context, tx *store.Tx, v *sqlc.Video) ([]event.Envelope, error) {
		follows := s.judged(v, e, d)
		if follows == nil {
			return nil, nil // it was judged before
		}
		v.Transcript = said.place
		return follows, keepTranscript(ctx, sqlc.New(tx), v.ID, said.words)
	})
}

// change applies an event to its video's row, once, and says what follows from
// it in the same transaction. A video whose first fact this is gets its row.
func (s *Service) change(ctx context.Context, e event.Envelope, id, channel string, apply func(*sqlc.Video) []event.Envelope) error {
	return s.changeWith(ctx, e, id, channel, func(_ context.Context, _ *store.Tx, v *sqlc.Video) ([]event.Envelope, error) {
		return apply(v), nil
	})
}

// changeWith is change for what writes more than the row.
func (s *Service) changeWith(ctx context.Context, e event.Envelope, id, channel string,
	apply func(context.Context, *store.Tx, *sqlc.Video) ([]event.Envelope, error)) error {
	late := false
	err := s.db.Once(ctx, catalogueConsumer, e.ID, func(ctx context.Context, tx *store.Tx) error {
		v, err := claim(ctx, tx, id, channel)
		if err != nil {
			return err
		}
		if late = v.DeletedAt > 0; late {
			// Somebody worked on while it was deleted: there may be objects
			// again. The new time tells a sweep that runs just now.
			v.DeletedAt, v.Swept = max(store.Now(), v.DeletedAt+1), false
			return save(ctx, tx, v)
		}
		follows, err := apply(ctx, tx, &v)
		if err != nil {
			return err
		}
		v.StoredBytes = notMeasured() // there may be other files now
		if err := save(ctx, tx, v); err != nil {
			return err
		}
		return tx.Emit(ctx, follows...)
	})
	if err != nil || !late {
		return err
	}
	return s.sweep(ctx, id, false)
}

// ignore drops an event that can never be understood: trying again does not
// mend it. It leaves no trace but the log.
func (s *Service) ignore(e event.Envelope, err error) error {
	s.log.Error("an event that the video manager does not understand", "type", e.DetailType, "event", e.ID, "err", err)
	return nil
}
