package event

import (
	"encoding/json"
	"strings"
)

// The sources of the contract, section 3.
const (
	SourceAuth          = "serverlessVideo.auth"
	SourceStreaming     = "serverlessVideo.streaming"
	SourceViewCounter   = "serverlessVideo.viewCounter"
	SourceVideoManager  = "serverlessVideo.videoManager"
	SourceChannel       = "serverlessVideo.channel"
	SourcePluginManager = "serverlessVideo.pluginManager"
	SourcePluginPrefix  = "serverlessVideo.plugin."
)

// Names of stream and recording states.
const (
	StreamStart    = "Stream Start"
	StreamEnd      = "Stream End"
	RecordingStart = "Recording Start"
	RecordingEnd   = "Recording End"
	RecordingReady = "Recording Ready"

	StarvationStart      = "Starvation Start" // no media comes, for 2 s
	StarvationEnd        = "Starvation End"
	IngestConfigured     = "Ingest Configuration"
	RecordingSegmentLost = "Recording Segment Lost" // the object store did not take it in time
)

// BroadcastUserCreated: somebody became a broadcaster.
type BroadcastUserCreated struct {
	Sub      string `json:"sub"`
	Email    string `json:"email"`
	Username string `json:"username"`
}

// UserSuspended: somebody may not sign in any more.
type UserSuspended struct {
	Sub string `json:"sub"`
}

// UserDeleted: somebody's account is gone.
type UserDeleted struct {
	Sub string `json:"sub"`
}

// StreamStateChange: a live stream began, ended, starves or changed its input.
type StreamStateChange struct {
	EventName   string               `json:"event_name"`
	ChannelName string               `json:"channel_name"`
	StreamID    string               `json:"stream_id"`
	Ingest      *IngestConfiguration `json:"ingest_configuration,omitempty"` // of "Ingest Configuration"
}

// IngestConfiguration is how a publisher sends.
type IngestConfiguration struct {
	Protocol   string `json:"protocol"` // WHIP or RTMP
	VideoCodec string `json:"video_codec"`
	AudioCodec string `json:"audio_codec,omitempty"`
}

// RecordingStateChange: a recording began or ended. The duration is in ms of
// media and stands on "Recording End" only.
type RecordingStateChange struct {
	RecordingStatus      string `json:"recording_status"`
	ChannelName          string `json:"channel_name"`
	StreamID             string `json:"stream_id"`
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix"`
	RecordingDurationMS  int64  `json:"recording_duration_ms"`
}

// ViewCountUpdated: how many watch a live stream.
type ViewCountUpdated struct {
	StreamID    string `json:"stream_id"`
	ChannelName string `json:"channel_name"`
	ViewCount   int64  `json:"view_count"`
}

// ChannelUpdated: a channel's public data changed.
type ChannelUpdated struct {
	ChannelName string `json:"channel_name"`
}

// StreamKeyRotated: a channel has a new stream key.
type StreamKeyRotated struct {
	ChannelName string `json:"channel_name"`
}

// MP4ProcessingStarted: a recording's MP4 is being made. Attempts count from 1;
// there is another one when somebody asks for it after the last has failed.
type MP4ProcessingStarted struct {
	ChannelName string `json:"channel_name"`
	ID          string `json:"id"`
	Attempt     int    `json:"attempt,omitempty"`
}

// MP4ProcessingComplete: a recording has its MP4. Compute says where it was
// made: "local" or "worker". Notes are for the history: what could not be made
// without failing the whole, such as a thumbnail without ffmpeg.
type MP4ProcessingComplete struct {
	ChannelName    string   `json:"channel_name"`
	ID             string   `json:"id"`
	Compute        string   `json:"compute"`
	StreamURL      string   `json:"stream_url"`
	PlaybackURL    string   `json:"playback_url"`
	Thumbnail      string   `json:"thumbnail"`
	Width          int      `json:"width"`
	Height         int      `json:"height"`
	DurationMillis int64    `json:"durationmillis"`
	Size           int64    `json:"size"`
	Storyboard     string   `json:"storyboard,omitempty"` // URL of its WebVTT
	Codecs         []string `json:"codecs,omitempty"`     // RFC 6381, video first
	Notes          []string `json:"notes,omitempty"`
}

// MP4ProcessingFailed: a recording's MP4 could not be made at this attempt.
type MP4ProcessingFailed struct {
	ChannelName string `json:"channel_name"`
	ID          string `json:"id"`
	Reason      string `json:"reason"`
	Attempt     int    `json:"attempt,omitempty"`
}

// VideoDeleted: a video is gone, and its files are about to be. Everybody who
// keeps something of it removes that. Reason says why, of a deletion that nobody
// asked for at that moment: its channel's retention.
type VideoDeleted struct {
	ChannelName string `json:"channel_name"`
	ID          string `json:"id"`
	Reason      string `json:"reason,omitempty"`
}

// Author is whose video it is, by the name that people see.
type Author struct {
	Username string `json:"username"`
}

// RecordingReadyEvent: a recording has its files; the plugins may begin. Its
// author is a plain string, as plugins of the original expect.
type RecordingReadyEvent struct {
	RecordingStatus      string `json:"recording_status"`
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix"`
	StreamURL            string `json:"stream_url"`
	PlaybackURL          string `json:"playback_url"`
	Thumbnail            string `json:"thumbnail"`
	ChannelName          string `json:"channel_name"`
	ID                   string `json:"id"`
	CreatedAt            string `json:"createdAt"`
	DurationMillis       int64  `json:"durationmillis"`
	Author               string `json:"author"`
	Height               int    `json:"height"`
	Width                int    `json:"width"`
}

// LifeCycleStarted: the plugins of a video begin.
type LifeCycleStarted struct {
	ID             string `json:"id"`
	ChannelName    string `json:"channel_name"`
	PlaybackURL    string `json:"playback_url"`
	StreamURL      string `json:"stream_url"`
	Thumbnail      string `json:"thumbnail"`
	CreatedAt      string `json:"createdAt"`
	DurationMillis int64  `json:"durationmillis"`
	Height         int    `json:"height"`
	Width          int    `json:"width"`
}

// PluginVideo is what a plugin is told about its video.
type PluginVideo struct {
	ID                   string `json:"id"`
	Channel              string `json:"channel"`
	Author               Author `json:"author"`
	CreatedAt            string `json:"createdAt"`
	DurationMillis       int64  `json:"durationmillis"`
	Thumbnail            string `json:"thumbnail"`
	PlaybackURL          string `json:"playbackUrl"`
	StreamURL            string `json:"streamUrl"`
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix"`
}

// PluginOutput is one plugin's answer, kept under "plugin-{name}".
type PluginOutput struct {
	OutputKey   string          `json:"OutputKey"`
	OutputValue json.RawMessage `json:"OutputValue"`
}

// PluginOutputs is what the plugins of each hook answered, in the order of
// registration.
type PluginOutputs map[string][]PluginOutput

// PluginInvocation asks one plugin to do its work at one hook. The task token
// is a secret of the plugin asked: logs, archive and live views mask it.
type PluginInvocation struct {
	Hook       string        `json:"-"`
	Plugin     string        `json:"-"`
	Video      PluginVideo   `json:"video"`
	TaskToken  string        `json:"taskToken"`
	PluginData PluginOutputs `json:"pluginData,omitempty"`
}

// PluginComplete is a plugin's answer. Plugin names who answers: on the bus it
// is the credential's name, which the server checks. ID, the video's, is there
// for the subject alone: what is answered is decided by the token.
type PluginComplete struct {
	Plugin    string          `json:"-"`
	ID        string          `json:"id,omitempty"`
	TaskToken string          `json:"TaskToken"`
	Message   json.RawMessage `json:"Message"`
}

// PluginFailed: one plugin did not do its work; the lifecycle knows what to do.
type PluginFailed struct {
	ID          string `json:"id"`
	ChannelName string `json:"channel_name"`
	Message     string `json:"Message"`
	ExecutionID string `json:"ExecutionId"`
	Plugin      string `json:"plugin"`
	Hook        string `json:"hook"`
}

// LifeCycleResult is what the plugins made of a video: their outputs by hook
// and, when it did not pass, why.
type LifeCycleResult struct {
	Outputs PluginOutputs
	Status  string // "invalid", "failed" or "" when it passed
	Cause   string // "plugin-{name}" or "timedout"
	Plugin  string
	Hook    string
	Reason  string
}

// The outcomes of a lifecycle that did not pass, and of videos.
const (
	StatusProcessing = "processing"
	StatusValid      = "valid"
	StatusInvalid    = "invalid"
	StatusFailed     = "failed"
)

// MarshalJSON lays the outcome beside the hooks, as the contract has it.
func (r LifeCycleResult) MarshalJSON() ([]byte, error) {
	flat := make(map[string]any, len(r.Outputs)+5)
	for hook, outputs := range r.Outputs {
		flat[hook] = outputs
	}
	for key, value := range map[string]string{
		"status": r.Status, "cause": r.Cause, "plugin": r.Plugin, "hook": r.Hook, "reason": r.Reason,
	} {
		if value != "" {
			flat[key] = value
		}
	}
	return json.Marshal(flat)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *LifeCycleResult) UnmarshalJSON(b []byte) error {
	var flat map[string]json.RawMessage
	if err := json.Unmarshal(b, &flat); err != nil {
		return err
	}
	*r = LifeCycleResult{Outputs: PluginOutputs{}}
	words := map[string]*string{
		"status": &r.Status, "cause": &r.Cause, "plugin": &r.Plugin, "hook": &r.Hook, "reason": &r.Reason,
	}
	for key, raw := range flat {
		if word, ok := words[key]; ok {
			if err := json.Unmarshal(raw, word); err != nil {
				return err
			}
			continue
		}
		var outputs []PluginOutput
		if err := json.Unmarshal(raw, &outputs); err != nil {
			return err
		}
		r.Outputs[key] = outputs
	}
	return nil
}

// Lifecycle is what LifeCycleComplete and VideoStatusUpdated have in common.
type Lifecycle struct {
	ID                   string          `json:"id"`
	ChannelName          string          `json:"channel_name"`
	PlaybackURL          string          `json:"playback_url"`
	StreamURL            string          `json:"stream_url"`
	Thumbnail            string          `json:"thumbnail"`
	CreatedAt            string          `json:"createdAt"`
	DurationMillis       int64           `json:"durationmillis"`
	Height               int             `json:"height"`
	Width                int             `json:"width"`
	RecordingS3KeyPrefix string          `json:"recording_s3_key_prefix"`
	Author               Author          `json:"author"`
	Plugins              LifeCycleResult `json:"plugins"`
	WorkflowExecutionID  string          `json:"pluginLifecycleWorkflowExecutionId"`
}

// LifeCycleComplete: all hooks of a video have run, or one ended it.
type LifeCycleComplete struct{ Lifecycle }

// VideoStatusUpdated: a video became valid, invalid or failed. Title and tags
// are those that the plugins gave it.
type VideoStatusUpdated struct {
	Lifecycle
	Status string   `json:"status"`
	Title  string   `json:"title,omitempty"`
	Tags   []string `json:"tags,omitempty"`
}

func (BroadcastUserCreated) EventSource() string  { return SourceAuth }
func (BroadcastUserCreated) EventType() string    { return "BroadcastUserCreated" }
func (UserSuspended) EventSource() string         { return SourceAuth }
func (UserSuspended) EventType() string           { return "UserSuspended" }
func (UserDeleted) EventSource() string           { return SourceAuth }
func (UserDeleted) EventType() string             { return "UserDeleted" }
func (StreamStateChange) EventSource() string     { return SourceStreaming }
func (StreamStateChange) EventType() string       { return "Stream State Change" }
func (RecordingStateChange) EventSource() string  { return SourceStreaming }
func (RecordingStateChange) EventType() string    { return "Recording State Change" }
func (ViewCountUpdated) EventSource() string      { return SourceViewCounter }
func (ViewCountUpdated) EventType() string        { return "ViewCountUpdated" }
func (ChannelUpdated) EventSource() string        { return SourceChannel }
func (ChannelUpdated) EventType() string          { return "ChannelUpdated" }
func (StreamKeyRotated) EventSource() string      { return SourceChannel }
func (StreamKeyRotated) EventType() string        { return "StreamKeyRotated" }
func (MP4ProcessingStarted) EventSource() string  { return SourceVideoManager }
func (MP4ProcessingStarted) EventType() string    { return "MP4ProcessingStarted" }
func (MP4ProcessingComplete) EventSource() string { return SourceVideoManager }
func (MP4ProcessingComplete) EventType() string   { return "MP4ProcessingComplete" }
func (MP4ProcessingFailed) EventSource() string   { return SourceVideoManager }
func (MP4ProcessingFailed) EventType() string     { return "MP4ProcessingFailed" }
func (VideoDeleted) EventSource() string          { return SourceVideoManager }
func (VideoDeleted) EventType() string            { return "VideoDeleted" }
func (RecordingReadyEvent) EventSource() string   { return SourceVideoManager }
func (RecordingReadyEvent) EventType() string     { return "recording-ready" }
func (LifeCycleStarted) EventSource() string      { return SourcePluginManager }
func (LifeCycleStarted) EventType() string        { return "LifeCycleStarted" }
func (PluginInvocation) EventSource() string      { return SourcePluginManager }
func (p PluginInvocation) EventType() string      { return p.Hook + "." + p.Plugin }
func (p PluginComplete) EventSource() string      { return SourcePluginPrefix + p.Plugin }
func (PluginComplete) EventType() string          { return "plugin-complete" }
func (PluginFailed) EventSource() string          { return SourcePluginManager }
func (PluginFailed) EventType() string            { return "Plugin failed" }
func (LifeCycleComplete) EventSource() string     { return SourcePluginManager }
func (LifeCycleComplete) EventType() string       { return "LifeCycleComplete" }
func (VideoStatusUpdated) EventSource() string    { return SourceVideoManager }
func (VideoStatusUpdated) EventType() string      { return "VideoStatusUpdated" }

// PluginOf returns the plugin's name from the source of an answer, "" if the
// source is not a plugin's.
func PluginOf(source string) string {
	name, ok := strings.CutPrefix(source, SourcePluginPrefix)
	if !ok {
		return ""
	}
	return name
}
