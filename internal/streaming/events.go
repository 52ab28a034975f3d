package streaming

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
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

// Starvation, the publisher's configuration and what could not be recorded belong
// to no row: they are said once, straight to the bus.

func (s *Service) sayStarvation(b *broadcast, starving bool) {
	name := event.StarvationEnd
	if starving {
		name = event.StarvationStart
	}
	s.say(b.id, event.StreamStateChange{EventName: name, ChannelName: b.channel, StreamID: b.id})
}

func (s *Service) sayIngest(b *broadcast, x *session) {
	c := &event.IngestConfiguration{Protocol: x.offer.Protocol, VideoCodec: x.codec.String()}
	if x.offer.Audio != nil {
		c.AudioCodec = x.offer.Audio.Codec.String()
	}
	s.say(b.id, event.StreamStateChange{
		EventName: event.IngestConfigured, ChannelName: b.channel, StreamID: b.id, Ingest: c,
	})
}

func (s *Service) sayLost(channel, id, rung string, seg recorder.Segment) {
	s.say(id, event.RecordingStateChange{
		RecordingStatus: event.RecordingSegmentLost, ChannelName: channel, StreamID: id,
		RecordingS3KeyPrefix: recorder.Prefix(channel, id) + "/" + rung, RecordingDurationMS: seg.Ticks / 90,
	})
}

// say says an event in the background: media does not wait for the bus.
func (s *Service) say(stream string, d event.Detail) {
	e := event.New(d)
	if !s.saying.add(e) {
		s.log.Warn("an event is not said: too many wait for the bus", "stream", stream, "type", e.DetailType)
	}
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
		{
			Name:    "streaming-users-deleted",
			Filters: []event.Filter{{Source: event.SourceAuth, Type: "UserDeleted"}},
			Handle:  s.onUserDeleted,
		},
	}
}

// onVideoDeleted forgets a deleted video's stream. It needs no receipt: forgetting
// again does nothing, and a stream that has ended is never made anew.
func (s *Service) onVideoDeleted(ctx context.Context, e event.Envelope) error {
	var d event.VideoDeleted
	if err := e.Decode(&d); err != nil {
		return err
	}
	s.vods.forget(d.ID)
	s.mu.Lock()
	delete(s.ended, d.ID) // its last seconds are still in memory
	delete(s.storing, d.ID)
	s.mu.Unlock()
	if s.spill != nil {
		s.spill.Forget(recorder.Prefix(d.ChannelName, d.ID))
	}
	return s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).RemoveStream(ctx, d.ID)
	})
}

// onUserDeleted forgets the streams of a channel that never became videos: those of
// videos go with them. It needs no receipt: forgetting again does nothing.
func (s *Service) onUserDeleted(ctx context.Context, e event.Envelope) error {
	var d event.UserDeleted
	if err := e.Decode(&d); err != nil {
		return err
	}
	return s.needs.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return sqlc.New(tx).RemoveEndedOf(ctx, d.Sub)
	})
}

// onUserGone needs no receipt: ending what has ended does nothing. Who was let in
// again before the news came is left alone.
func (s *Service) onUserGone(ctx context.Context, e event.Envelope) error {
	var d event.UserDeleted
	if err := e.Decode(&d); err != nil {
		return err
	}
	s.mu.Lock()
	b := s.live[d.Sub]
	s.mu.Unlock()
	if b == nil {
		return nil
	}
	if err := wait(ctx, b.made); err != nil { // it was let in a moment before
		return err
	}
	err := s.needs.Channels.MayBroadcast(ctx, d.Sub)
	if err != nil && errs.CodeOf(err) != errs.Forbidden {
		return err
	}
	if err != nil && b.stream != nil {
		b.end("the broadcaster's account was closed")
	}
	return nil
}
