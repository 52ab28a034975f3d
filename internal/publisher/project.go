package publisher

import (
	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// The details that pages get: of each event the fields listed here and no
// others. Never plugin outputs, tokens or addresses; a reason for the owner
// alone.
type (
	streamState struct {
		EventName   string `json:"event_name"`
		ChannelName string `json:"channel_name"`
		StreamID    string `json:"stream_id"`
	}
	recordingState struct {
		RecordingStatus     string `json:"recording_status"`
		ChannelName         string `json:"channel_name"`
		StreamID            string `json:"stream_id"`
		RecordingDurationMS int64  `json:"recording_duration_ms"`
	}
	viewCount struct {
		StreamID    string `json:"stream_id"`
		ChannelName string `json:"channel_name"`
		ViewCount   int64  `json:"view_count"`
	}
	// video is what is said of a video; empty fields are left out, so that it
	// serves all events about one.
	video struct {
		ID             string        `json:"id"`
		ChannelName    string        `json:"channel_name"`
		PlaybackURL    string        `json:"playback_url,omitempty"`
		StreamURL      string        `json:"stream_url,omitempty"`
		Thumbnail      string        `json:"thumbnail,omitempty"`
		CreatedAt      string        `json:"createdAt,omitempty"`
		DurationMillis int64         `json:"durationmillis,omitempty"`
		Height         int           `json:"height,omitempty"`
		Width          int           `json:"width,omitempty"`
		Author         *event.Author `json:"author,omitempty"`
		Title          string        `json:"title,omitempty"`
		Tags           []string      `json:"tags,omitempty"`
		Status         string        `json:"status,omitempty"`
		Reason         string        `json:"reason,omitempty"`
	}
	channel struct {
		ChannelName string `json:"channel_name"`
	}
)

// project returns what pages are told of an event and on which topic; "" when
// they are told nothing. The owner of a channel is the user of that id.
func project(e event.Envelope) (topic string, detail any, err error) {
	switch e.Source {
	case event.SourceStreaming, event.SourceViewCounter:
		return projectLive(e)
	case event.SourceVideoManager:
		return projectVideo(e)
	case event.SourcePluginManager:
		return projectLifecycle(e)
	case event.SourceChannel:
		return projectChannel(e)
	}
	return "", nil, nil
}

func projectLive(e event.Envelope) (string, any, error) {
	switch e.DetailType {
	case event.StreamStateChange{}.EventType():
		return partly(e, func(d event.StreamStateChange) (string, any) {
			state := streamState{d.EventName, d.ChannelName, d.StreamID}
			if d.EventName == event.IngestConfigured {
				return d.ChannelName, state
			}
			return "", state
		})
	case event.RecordingStateChange{}.EventType():
		return partly(e, func(d event.RecordingStateChange) (string, any) {
			state := recordingState{d.RecordingStatus, d.ChannelName, d.StreamID, d.RecordingDurationMS}
			if d.RecordingStatus == event.RecordingSegmentLost {
				return d.ChannelName, state
			}
			return "", state
		})
	case event.ViewCountUpdated{}.EventType():
		return public(e, func(d event.ViewCountUpdated) any { return viewCount(d) })
	}
	return "", nil, nil
}

func projectVideo(e event.Envelope) (string, any, error) {
	switch e.DetailType {
	case event.MP4ProcessingStarted{}.EventType():
		return private(e, func(d event.MP4ProcessingStarted) (string, any) {
			return d.ChannelName, video{ID: d.ID, ChannelName: d.ChannelName}
		})
	case event.MP4ProcessingComplete{}.EventType():
		return private(e, func(d event.MP4ProcessingComplete) (string, any) {
			return d.ChannelName, video{ID: d.ID, ChannelName: d.ChannelName, PlaybackURL: d.PlaybackURL, StreamURL: d.StreamURL,
				Thumbnail: d.Thumbnail, DurationMillis: d.DurationMillis, Height: d.Height, Width: d.Width}
		})
	case event.MP4ProcessingFailed{}.EventType():
		return private(e, func(d event.MP4ProcessingFailed) (string, any) {
			return d.ChannelName, video{ID: d.ID, ChannelName: d.ChannelName, Reason: d.Reason}
		})
	case event.RecordingReadyEvent{}.EventType():
		return private(e, func(d event.RecordingReadyEvent) (string, any) {
			return d.ChannelName, video{ID: d.ID, ChannelName: d.ChannelName, PlaybackURL: d.PlaybackURL, StreamURL: d.StreamURL,
				Thumbnail: d.Thumbnail, CreatedAt: d.CreatedAt, DurationMillis: d.DurationMillis, Height: d.Height, Width: d.Width,
				Author: &event.Author{Username: d.Author}}
		})
	case event.VideoDeleted{}.EventType():
		return private(e, func(d event.VideoDeleted) (string, any) {
			return d.ChannelName, video{ID: d.ID, ChannelName: d.ChannelName}
		})
	case event.VideoStatusUpdated{}.EventType():
		return lifecycle(e, func(d event.VideoStatusUpdated) (event.Lifecycle, video) {
			return d.Lifecycle, video{Status: d.Status, Title: d.Title, Tags: d.Tags}
		})
	}
	return "", nil, nil
}

func projectLifecycle(e event.Envelope) (string, any, error) {
	switch e.DetailType {
	case event.LifeCycleStarted{}.EventType():
		return private(e, func(d event.LifeCycleStarted) (string, any) {
			return d.ChannelName, video{ID: d.ID, ChannelName: d.ChannelName}
		})
	case event.LifeCycleComplete{}.EventType():
		return lifecycle(e, func(d event.LifeCycleComplete) (event.Lifecycle, video) {
			status := d.Plugins.Status
			if status == "" {
				status = event.StatusValid
			}
			return d.Lifecycle, video{Status: status}
		})
	}
	return "", nil, nil
}

func projectChannel(e event.Envelope) (string, any, error) {
	switch e.DetailType {
	case event.ChannelUpdated{}.EventType(), event.StreamKeyRotated{}.EventType():
		return private(e, func(d event.ChannelUpdated) (string, any) { return d.ChannelName, channel(d) })
	}
	return "", nil, nil
}

// public is for everybody.
func public[D any](e event.Envelope, show func(D) any) (string, any, error) {
	var d D
	if err := e.Decode(&d); err != nil {
		return "", nil, err
	}
	return globalTopic, show(d), nil
}

// private is for the owner, whose id show returns.
func private[D any](e event.Envelope, show func(D) (owner string, detail any)) (string, any, error) {
	var d D
	if err := e.Decode(&d); err != nil {
		return "", nil, err
	}
	owner, detail := show(d)
	if owner == "" {
		return "", nil, nil
	}
	return userTopic(owner), detail, nil
}

// partly is for the owner whose id show returns, for everybody without one.
func partly[D any](e event.Envelope, show func(D) (owner string, detail any)) (string, any, error) {
	var d D
	if err := e.Decode(&d); err != nil {
		return "", nil, err
	}
	owner, detail := show(d)
	if owner == "" {
		return globalTopic, detail, nil
	}
	return userTopic(owner), detail, nil
}

// lifecycle is for everybody when the video is valid (onEvent sees to it that it
// is public, too), else for its owner, with
// the reason.
func lifecycle[D any](e event.Envelope, of func(D) (event.Lifecycle, video)) (string, any, error) {
	var d D
	if err := e.Decode(&d); err != nil {
		return "", nil, err
	}
	l, v := of(d)
	v.ID, v.ChannelName = l.ID, l.ChannelName
	v.PlaybackURL, v.StreamURL, v.Thumbnail = l.PlaybackURL, l.StreamURL, l.Thumbnail
	v.CreatedAt, v.DurationMillis, v.Height, v.Width = l.CreatedAt, l.DurationMillis, l.Height, l.Width
	v.Author = &l.Author
	if v.Status == event.StatusValid {
		return globalTopic, v, nil
	}
	if l.ChannelName == "" {
		return "", nil, nil
	}
	v.Reason = l.Plugins.Reason
	return userTopic(l.ChannelName), v, nil
}
