package video

import (
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// recorded notes that the recording is whole: from now on people see the video.
func (s *Service) recorded(v *sqlc.Video, e event.Envelope, d event.RecordingStateChange, username string) []event.Envelope {
	if v.Recorded {
		return nil
	}
	v.Recorded = true
	v.Username = username
	v.CreatedAt = e.Time.UnixMilli()
	v.Prefix = strings.TrimSuffix(d.RecordingS3KeyPrefix, "/")
	if !v.Processed {
		v.DurationMs = max(0, d.RecordingDurationMS)
	}
	switch {
	case v.Status == event.StatusFailed:
		return []event.Envelope{s.statusUpdated(e, s.lifecycle(*v), *v)}
	case v.Processed:
		return []event.Envelope{s.ready(*v)}
	}
	return nil
}

// processed notes the MP4. A video whose first attempt failed is well again.
func (s *Service) processed(v *sqlc.Video, d event.MP4ProcessingComplete) []event.Envelope {
	if v.Processed {
		return nil
	}
	v.Processed = true
	v.Status, v.Reason = event.StatusProcessing, ""
	v.Mp4Key = filesPrefix(v.ID) + "video.mp4"
	if d.Thumbnail != "" {
		v.ThumbnailKey = filesPrefix(v.ID) + "thumbnail.jpg"
	}
	v.Storyboard = d.Storyboard != ""
	v.Width, v.Height = max(0, int64(d.Width)), max(0, int64(d.Height))
	v.Size = max(0, d.Size)
	if d.DurationMillis > 0 {
		v.DurationMs = d.DurationMillis
	}
	if !v.Recorded {
		return nil
	}
	return []event.Envelope{s.ready(*v)}
}

// triedAgain notes that an attempt has begun. It makes a video that failed one
// that is processed, unless this attempt is known to have failed already.
func (s *Service) triedAgain(v *sqlc.Video, d event.MP4ProcessingStarted) {
	if v.Processed || v.Status != event.StatusFailed || int64(d.Attempt) <= v.FailedAttempt {
		return
	}
	v.Status, v.Reason = event.StatusProcessing, ""
}

// failed notes that there is no MP4 and will be none by itself. It says nothing
// of a video that has one: then this is an older attempt's news.
func (s *Service) failed(v *sqlc.Video, e event.Envelope, d event.MP4ProcessingFailed) []event.Envelope {
	attempt := max(1, int64(d.Attempt)) // older builds did not count
	if v.Processed || attempt <= v.FailedAttempt || v.Status != event.StatusProcessing && v.Status != event.StatusFailed {
		return nil
	}
	v.FailedAttempt = attempt
	v.Status, v.Reason = event.StatusFailed, clean(d.Reason, maxReason)
	if !v.Recorded {
		return nil
	}
	return []event.Envelope{s.statusUpdated(e, s.lifecycle(*v), *v)}
}

// judged notes what the plugins made of the video. A lifecycle that was retried
// may make one that did not pass valid; what is valid stays so, whatever older news
// comes late.
func (s *Service) judged(v *sqlc.Video, e event.Envelope, d event.LifeCycleComplete) []event.Envelope {
	first := v.Status == event.StatusProcessing
	again := d.Attempt > 1 && (v.Status == event.StatusFailed || v.Status == event.StatusInvalid)
	if !v.Processed || !first && !again {
		return nil
	}
	switch d.Plugins.Status {
	case event.StatusInvalid, event.StatusFailed:
		v.Status = d.Plugins.Status
		v.Reason = clean(d.Plugins.Reason, maxReason)
	default:
		v.Status, v.Reason = event.StatusValid, ""
	}
	found := describe(d.Plugins.Outputs)
	v.Title = found.title
	v.Tags = encodeTags(found.tags)
	return []event.Envelope{s.statusUpdated(e, d.Lifecycle, *v)}
}

// ready is the event that begins the plugin lifecycle, always under one id.
func (s *Service) ready(v sqlc.Video) event.Envelope {
	return event.NewWithID(id.Derived("recording-ready", v.ID), s.recordingReady(v))
}

func (s *Service) recordingReady(v sqlc.Video) event.RecordingReadyEvent {
	return event.RecordingReadyEvent{
		RecordingStatus:      event.RecordingReady,
		RecordingS3KeyPrefix: v.Prefix,
		StreamURL:            s.said.VOD(v.ID),
		PlaybackURL:          mp4URL(s.said, v),
		Thumbnail:            thumbnailURL(s.said, v),
		ChannelName:          v.Channel,
		ID:                   v.ID,
		CreatedAt:            store.Timestamp(v.CreatedAt),
		DurationMillis:       v.DurationMs,
		Author:               v.Username,
		Height:               int(v.Height),
		Width:                int(v.Width),
	}
}

// lifecycle is what a status update says that no lifecycle brought.
func (s *Service) lifecycle(v sqlc.Video) event.Lifecycle {
	var result event.LifeCycleResult
	if v.Status != event.StatusValid {
		result = event.LifeCycleResult{Status: v.Status, Reason: v.Reason}
	}
	return event.Lifecycle{
		ID:                   v.ID,
		ChannelName:          v.Channel,
		PlaybackURL:          mp4URL(s.said, v),
		StreamURL:            s.said.VOD(v.ID),
		Thumbnail:            thumbnailURL(s.said, v),
		CreatedAt:            store.Timestamp(v.CreatedAt),
		DurationMillis:       v.DurationMs,
		Height:               int(v.Height),
		Width:                int(v.Width),
		RecordingS3KeyPrefix: v.Prefix,
		Author:               event.Author{Username: v.Username},
		Plugins:              result,
	}
}

// statusUpdated says the video's status. Its id comes from the event that
// brought the status, so that it counts once however often that is heard.
func (s *Service) statusUpdated(cause event.Envelope, l event.Lifecycle, v sqlc.Video) event.Envelope {
	return event.NewWithID(id.Derived("VideoStatusUpdated", cause.ID), status(l, v))
}

func status(l event.Lifecycle, v sqlc.Video) event.VideoStatusUpdated {
	return event.VideoStatusUpdated{Lifecycle: l, Status: v.Status, Title: titleOf(v), Tags: tagsOf(v)}
}

// filesPrefix is where the files made of a video lie in the object store.
func filesPrefix(id string) string { return "videos/" + id + "/" }

// checkRecording makes sure that what is stored can later be deleted without
// touching anything else. A simulated recording names another one's objects,
// which are never deleted with it: it must be known by its id as what it is.
func checkRecording(source string, d event.RecordingStateChange) error {
	if err := checkIDs(d.StreamID, d.ChannelName); err != nil {
		return err
	}
	prefix := strings.TrimSuffix(d.RecordingS3KeyPrefix, "/")
	if err := blob.CheckKey(prefix); err != nil {
		return err
	}
	simulated := event.Simulated(d.StreamID)
	if simulated != (source == event.SourceSimulator) {
		return errs.Newf(errs.Invalid, "the stream %q is not one of the source %s: ids that begin with %q are the simulator's",
			d.StreamID, source, event.SimulatedPrefix)
	}
	if !simulated && !strings.HasSuffix(prefix, "/"+d.StreamID) {
		return errs.Newf(errs.Invalid, "recording_s3_key_prefix %q does not end in the stream's id %q", prefix, d.StreamID)
	}
	return nil
}

func checkIDs(ids ...string) error {
	for _, s := range ids {
		if s == "" || len(s) > 128 || event.Token(s) != s {
			return errs.Newf(errs.Invalid, "%q is no id: ids are made of letters, digits, - and _", s)
		}
	}
	return nil
}
