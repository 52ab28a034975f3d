package streaming

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/sqlc"
)

// What streaming says. "Recording Start" is said with the first stored segment
// and "Recording End" only after it: a broadcast that brought no media has a
// start and an end, and no recording.

func streamStarted(stream, channel string) event.Envelope {
	return streamState(event.StreamStart, stream, channel)
}

func streamEnded(stream, channel string) event.Envelope {
	return streamState(event.StreamEnd, stream, channel)
}

func streamState(name, stream, channel string) event.Envelope {
	return event.NewWithID(id.Derived(stream, name), event.StreamStateChange{
		EventName: name, ChannelName: channel, StreamID: stream,
	})
}

func recordingStarted(stream, channel string) event.Envelope {
	return recordingState(event.RecordingStart, stream, channel, 0)
}

func recordingEnded(stream, channel string, durationMS int64) event.Envelope {
	return recordingState(event.RecordingEnd, stream, channel, durationMS)
}

func recordingState(status, stream, channel string, durationMS int64) event.Envelope {
	return event.NewWithID(id.Derived(stream, status), event.RecordingStateChange{
		RecordingStatus: status, ChannelName: channel, StreamID: stream,
		RecordingS3KeyPrefix: recorder.Prefix(channel, stream), RecordingDurationMS: durationMS,
	})
}

// Consumers lists what streaming hears: a deleted video's stream answers for it
// no more, and somebody who may not sign in may not broadcast either.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{
		{
			Name:    "streaming-videos",
			Filters: []event.Filter{{Source: event.SourceVideoManager, Type: "VideoDeleted"}},
			Handle:  s.onVideoDeleted,
		},
		{
			Name: "streaming-users",
			Filters: []event.Filter{
				{Source: event.SourceAuth, Type: "UserSuspended"}, {Source: event.SourceAuth, Type: "UserDeleted"},
			},
			Handle: s.onUserGone,
		},
	}
}

func (s *Service) onVideoDeleted(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil {
		return err
	}
	s.vods.forget(d.ID)
	return s.needs.DB.Once(ctx, "streaming-videos", e.ID, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).RemoveStream(ctx, d.ID)
	})
}

// onUserGone needs no receipt: ending what has ended does nothing.
func (s *Service) onUserGone(_ context.Context, e event.Envelope) error {
	var d event.UserDeleted
	if err := e.Decode(&d); err != nil {
		return err
	}
	if b := s.broadcastOf(d.Sub); b != nil {
		b.publisher.Close("the broadcaster's account was closed")
	}
	return nil
}
