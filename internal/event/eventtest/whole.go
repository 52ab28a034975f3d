// Package eventtest helps tests that have to do with events: it makes whole
// ones, delivers them as a bus does on a bad day (shuffle.go), and records
// examples of what services say (example.go).
package eventtest

import "github.com/serverlessvideo/serverlessvideo/internal/event"

// Lifecycle is what is said of a video's lifecycle, whole enough for its schema.
func Lifecycle(video, channel string, result event.LifeCycleResult) event.Lifecycle {
	vod := "https://tv.example/vod/" + video
	return event.Lifecycle{
		ID: video, ChannelName: channel,
		StreamURL: vod + "/master.m3u8", PlaybackURL: vod + "/video.mp4", Thumbnail: vod + "/thumbnail.jpg",
		CreatedAt: "2026-11-26T12:00:00.000Z", DurationMillis: 12_000, Height: 720, Width: 1280,
		RecordingS3KeyPrefix: "recordings/" + channel + "/" + video, Author: event.Author{Username: "brave-otter"},
		Plugins: result, WorkflowExecutionID: "lifecycle-" + video,
	}
}
