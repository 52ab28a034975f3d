package eventtest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// Life is all that is said of a broadcast and its video, in stages: what is in
// one is said only after somebody has heard all of the one before.
type Life struct {
	Name    string // of its kind: published, refused, failed, retried, deleted
	Video   string
	Channel string
	Stages  [][]event.Envelope

	at time.Time
}

// The stages of a life.
const (
	Account   = iota // the broadcaster
	Broadcast        // until the MP4 is made, or cannot be
	Plugins          // until the video is judged
	Deletion
)

// Lives returns one life of every kind, one after the other on one channel. A
// round has ids of its own; they are ordered by time.
func Lives(round int) []Life {
	channel := fmt.Sprintf("channel-%05d", round)
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var lives []Life
	for i, tell := range []struct {
		name string
		of   func(*Life)
	}{
		{"published", func(l *Life) { l.broadcast(); l.made(1); l.judged(event.LifeCycleResult{}) }},
		{"refused", func(l *Life) { l.broadcast(); l.made(1); l.judged(refused()) }},
		{"failed", func(l *Life) {
			l.broadcast()
			l.notMade(1)
			l.status(event.LifeCycleResult{Status: event.StatusFailed, Reason: noMP4})
		}},
		{"retried", func(l *Life) { l.broadcast(); l.notMade(1); l.notMade(2); l.made(3); l.judged(event.LifeCycleResult{}) }},
		{"deleted", func(l *Life) {
			l.broadcast()
			l.made(1)
			l.judged(event.LifeCycleResult{})
			l.say(Deletion, event.VideoDeleted{ChannelName: l.Channel, ID: l.Video})
		}},
	} {
		l := Life{
			Name: tell.name, Video: fmt.Sprintf("st-%05d-%d", round, i), Channel: channel,
			Stages: make([][]event.Envelope, Deletion+1), at: at.Add(time.Duration(i) * time.Hour),
		}
		if i == 0 {
			l.say(Account, event.BroadcastUserCreated{Sub: channel, Email: channel + "@example.com", Username: "brave-otter"})
		}
		tell.of(&l)
		lives = append(lives, l)
	}
	return lives
}

const noMP4 = "no key frame"

func refused() event.LifeCycleResult {
	return event.LifeCycleResult{Status: event.StatusInvalid, Cause: "plugin-checker", Plugin: "checker", Hook: "preValidate", Reason: "too short"}
}

// say adds an event, a second after the last.
func (l *Life) say(stage int, d event.Detail) {
	e := event.New(d)
	l.at = l.at.Add(time.Second)
	e.Time = l.at
	l.Stages[stage] = append(l.Stages[stage], e)
}

func (l *Life) broadcast() {
	state := func(name string, ingest *event.IngestConfiguration) {
		l.say(Broadcast, event.StreamStateChange{EventName: name, ChannelName: l.Channel, StreamID: l.Video, Ingest: ingest})
	}
	recording := func(status string, ms int64) {
		l.say(Broadcast, event.RecordingStateChange{
			RecordingStatus: status, ChannelName: l.Channel, StreamID: l.Video,
			RecordingS3KeyPrefix: "recordings/" + l.Channel + "/" + l.Video, RecordingDurationMS: ms,
		})
	}
	state(event.StreamStart, nil)
	state(event.IngestConfigured, &event.IngestConfiguration{Protocol: "WHIP", VideoCodec: "H264", AudioCodec: "Opus"})
	recording(event.RecordingStart, 0)
	l.say(Broadcast, event.ViewCountUpdated{StreamID: l.Video, ChannelName: l.Channel, ViewCount: 7})
	state(event.StarvationStart, nil)
	state(event.StarvationEnd, nil)
	l.say(Broadcast, event.ViewCountUpdated{StreamID: l.Video, ChannelName: l.Channel, ViewCount: 3})
	state(event.StreamEnd, nil)
	recording(event.RecordingEnd, 12_000)
}

func (l *Life) made(attempt int) {
	vod := "https://tv.example/vod/" + l.Video
	l.say(Broadcast, event.MP4ProcessingStarted{ChannelName: l.Channel, ID: l.Video, Attempt: attempt})
	l.say(Broadcast, event.MP4ProcessingComplete{
		ChannelName: l.Channel, ID: l.Video, Compute: "local", StreamURL: vod + "/master.m3u8", PlaybackURL: vod + "/video.mp4",
		Thumbnail: vod + "/thumbnail.jpg", Width: 1280, Height: 720, DurationMillis: 12_000, Size: 4096,
	})
}

func (l *Life) notMade(attempt int) {
	l.say(Broadcast, event.MP4ProcessingStarted{ChannelName: l.Channel, ID: l.Video, Attempt: attempt})
	l.say(Broadcast, event.MP4ProcessingFailed{ChannelName: l.Channel, ID: l.Video, Reason: noMP4, Attempt: attempt})
}

// judged has two plugins look at the video: one checks it, one never answers.
func (l *Life) judged(r event.LifeCycleResult) {
	all := Lifecycle(l.Video, l.Channel, r)
	l.say(Plugins, event.RecordingReadyEvent{
		RecordingStatus: event.RecordingReady, RecordingS3KeyPrefix: all.RecordingS3KeyPrefix, StreamURL: all.StreamURL,
		PlaybackURL: all.PlaybackURL, Thumbnail: all.Thumbnail, ChannelName: l.Channel, ID: l.Video, CreatedAt: all.CreatedAt,
		DurationMillis: all.DurationMillis, Author: all.Author.Username, Height: all.Height, Width: all.Width,
	})
	l.say(Plugins, event.LifeCycleStarted{
		ID: l.Video, ChannelName: l.Channel, PlaybackURL: all.PlaybackURL, StreamURL: all.StreamURL, Thumbnail: all.Thumbnail,
		CreatedAt: all.CreatedAt, DurationMillis: all.DurationMillis, Height: all.Height, Width: all.Width,
	})
	answer := `{"valid":true}`
	if r.Status == event.StatusInvalid {
		answer = `{"valid":false,"reason":"` + r.Reason + `"}`
	}
	r.Outputs = event.PluginOutputs{"preValidate": {{OutputKey: "plugin-checker", OutputValue: json.RawMessage(answer)}}}
	l.ask("preValidate", "checker")
	l.say(Plugins, event.PluginComplete{Plugin: "checker", ID: l.Video, TaskToken: l.token("checker"), Message: json.RawMessage(answer)})
	if r.Status == "" {
		l.ask("postMetadata", "dreamer")
		l.say(Plugins, event.PluginFailed{
			ID: l.Video, ChannelName: l.Channel, Message: "dreamer did not answer within 1s",
			ExecutionID: all.WorkflowExecutionID, Plugin: "dreamer", Hook: "postMetadata",
		})
	}
	all.Plugins = r
	l.say(Plugins, event.LifeCycleComplete{Lifecycle: all})
	l.status(r)
}

func (l *Life) ask(hook, plugin string) {
	all := Lifecycle(l.Video, l.Channel, event.LifeCycleResult{})
	l.say(Plugins, event.PluginInvocation{Hook: hook, Plugin: plugin, TaskToken: l.token(plugin), Video: event.PluginVideo{
		ID: l.Video, Channel: l.Channel, Author: all.Author, CreatedAt: all.CreatedAt, DurationMillis: all.DurationMillis,
		Thumbnail: all.Thumbnail, PlaybackURL: all.PlaybackURL, StreamURL: all.StreamURL, RecordingS3KeyPrefix: all.RecordingS3KeyPrefix,
	}})
}

func (l *Life) token(plugin string) string { return "token-" + l.Video + "-" + plugin }

func (l *Life) status(r event.LifeCycleResult) {
	status := r.Status
	if status == "" {
		status = event.StatusValid
	}
	l.say(Plugins, event.VideoStatusUpdated{Lifecycle: Lifecycle(l.Video, l.Channel, r), Status: status})
}
