package postprocess

import (
	"context"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// The names of the service's consumers; the first is that of its receipts too.
const (
	consumer       = "postprocess"
	deleteConsumer = "postprocess-videos"
)

// Consumers returns what the service hears. It says MP4ProcessingStarted,
// MP4ProcessingComplete and MP4ProcessingFailed.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{
		{
			Name: consumer,
			Filters: []event.Filter{
				{Source: event.SourceStreaming, Type: event.RecordingStateChange{}.EventType()},
				{Source: event.SourceSimulator, Type: event.SimulatedRecording{}.EventType()},
			},
			Handle: s.recordingEnded,
		},
		{
			Name:    deleteConsumer,
			Filters: []event.Filter{{Source: event.SourceVideoManager, Type: event.VideoDeleted{}.EventType()}},
			Handle:  s.videoDeleted,
		},
	}
}

// recordingEnded notes the job and starts its flow. A delivery that comes again
// finds both; when the engine is not running yet the event comes again.
func (s *Service) recordingEnded(ctx context.Context, e event.Envelope) error {
	var d event.RecordingStateChange
	err := e.Decode(&d)
	if err == nil && d.RecordingStatus != event.RecordingEnd {
		return nil
	}
	job := Job{
		ID: d.StreamID, Channel: d.ChannelName, DurationMillis: max(0, d.RecordingDurationMS),
		Prefix: strings.TrimSuffix(d.RecordingS3KeyPrefix, "/"),
	}
	if err == nil {
		err = job.check(e.Source)
	}
	if err != nil {
		// It can never be understood: trying again does not mend it.
		s.log.Error("post-processing: an event that makes no sense", "type", e.DetailType, "event", e.ID, "err", err)
		return nil
	}
	err = s.db.Once(ctx, consumer, e.ID, func(ctx context.Context, tx *store.Tx) error {
		// The video may be deleted before its recording's end is heard here.
		if deleted, err := s.deleted(ctx, tx, job.ID); err != nil || deleted {
			return err
		}
		return addJob(ctx, tx, job)
	})
	if err != nil {
		return err
	}
	// Again: this may be the event's second time.
	if deleted, err := s.videos.Deleted(ctx, job.ID); err != nil || deleted {
		return err
	}
	return s.start(ctx, job)
}

// check looks at what becomes part of keys and ids. Files of a simulation must
// never come to lie among those of a video.
func (j Job) check(source string) error {
	switch {
	case event.Simulated(j.ID) != (source == event.SourceSimulator):
		return errs.Newf(errs.Invalid, "the stream %q is not one of the source %s", j.ID, source)
	case strings.Contains(j.ID, "/") || blob.CheckKey(j.ID) != nil:
		return errs.Newf(errs.Invalid, "%q is no stream id", j.ID)
	case j.Channel == "":
		return errs.New(errs.Invalid, "the recording has no channel")
	}
	return blob.CheckKey(j.Prefix)
}

// The events have ids of their own making, so each is said once for an attempt,
// whoever says it.
const (
	saysStarted  = "started"
	saysComplete = "complete"
	saysFailed   = "failed"
)

func (j Job) eventID(what string) string { return id.Derived("postprocess", j.ID, what+j.again()) }

func (s *Service) startedEvent(j Job) event.Envelope {
	return event.NewWithID(j.eventID(saysStarted),
		event.MP4ProcessingStarted{ChannelName: j.Channel, ID: j.ID, Attempt: j.attempt()})
}

func (s *Service) completeEvent(j Job, mp4 encodeResult, thumb thumbnailResult, board storyboardResult) event.Envelope {
	d := event.MP4ProcessingComplete{
		ChannelName: j.Channel, ID: j.ID, Compute: j.compute(),
		StreamURL: s.urls.VOD(j.ID), PlaybackURL: s.urls.MP4(j.ID),
		Width: mp4.Width, Height: mp4.Height, DurationMillis: mp4.DurationMillis, Size: mp4.Size, Codecs: mp4.Codecs,
	}
	if thumb.Made {
		d.Thumbnail = s.urls.Thumbnail(j.ID)
	}
	if board.Sheets > 0 {
		d.Storyboard = s.urls.Storyboard(j.ID)
	}
	for _, note := range []string{mp4.Note, thumb.Note, board.Note} {
		if note != "" {
			d.Notes = append(d.Notes, note)
		}
	}
	return event.NewWithID(j.eventID(saysComplete), d)
}

func (s *Service) failedEvent(j Job, reason string) event.Envelope {
	return event.NewWithID(j.eventID(saysFailed),
		event.MP4ProcessingFailed{ChannelName: j.Channel, ID: j.ID, Reason: reason, Attempt: j.attempt()})
}
