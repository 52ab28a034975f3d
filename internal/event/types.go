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

// Hooks returns the hooks at which plugins are asked, in the order in which they
// run (contract, section 4).
func Hooks() []string { return []string{"preValidate", "postValidate", "preMetadata", "postMetadata"} }

// BroadcastUserCreated: somebody became a broadcaster.
type BroadcastUserCreated struct {
	Sub      string `json:"sub" doc:"the account's id" minLength:"1"`
	Email    string `json:"email" doc:"the confirmed address"`
	Username string `json:"username" doc:"the friendly name that people see"`
}

// UserSuspended: somebody may not sign in any more.
type UserSuspended struct {
	Sub string `json:"sub" doc:"the account's id" minLength:"1"`
}

// UserDeleted: somebody's account is gone.
type UserDeleted struct {
	Sub string `json:"sub" doc:"the account's id" minLength:"1"`
}

// StreamStateChange: a live stream began, ended, starves or changed its input.
type StreamStateChange struct {
	EventName   string               `json:"event_name" doc:"what happened: Starvation is no media for 2 s" enum:"Stream Start,Stream End,Starvation Start,Starvation End,Ingest Configuration"`
	ChannelName string               `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	StreamID    string               `json:"stream_id" doc:"the stream, and later its video" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	Ingest      *IngestConfiguration `json:"ingest_configuration,omitempty" doc:"how the publisher sends; with Ingest Configuration only"`
}

// IngestConfiguration is how a publisher sends.
type IngestConfiguration struct {
	Protocol   string `json:"protocol" doc:"by which the media comes" enum:"WHIP,RTMP"`
	VideoCodec string `json:"video_codec" doc:"such as H264"`
	AudioCodec string `json:"audio_codec,omitempty" doc:"such as Opus or AAC; absent without sound"`
}

// RecordingStateChange: a recording began or ended. The duration is in ms of
// media and stands on "Recording End" only.
type RecordingStateChange struct {
	RecordingStatus      string `json:"recording_status" doc:"what happened; Recording Segment Lost: the object store did not take a segment in time" enum:"Recording Start,Recording End,Recording Segment Lost"`
	ChannelName          string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	StreamID             string `json:"stream_id" doc:"the stream, and later its video" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix" doc:"under which key the recording lies in the object store; of a lost segment, its rendition" minLength:"1"`
	RecordingDurationMS  int64  `json:"recording_duration_ms" doc:"length of the media in ms: of the recording at Recording End, of the segment at Recording Segment Lost, else 0" minimum:"0"`
}

// ViewCountUpdated: how many watch a live stream.
type ViewCountUpdated struct {
	StreamID    string `json:"stream_id" doc:"the stream, and later its video" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	ViewCount   int64  `json:"view_count" doc:"how many watch now" minimum:"0"`
}

// ChannelUpdated: a channel's public data changed.
type ChannelUpdated struct {
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
}

// StreamKeyRotated: a channel has a new stream key.
type StreamKeyRotated struct {
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
}

// MP4ProcessingStarted: a recording's MP4 is being made. Attempts count from 1;
// there is another one when somebody asks for it after the last has failed.
type MP4ProcessingStarted struct {
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	ID          string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	Attempt     int    `json:"attempt,omitempty" doc:"which try this is, from 1" minimum:"1"`
}

// MP4ProcessingComplete: a recording has its MP4. Compute says where it was
// made: "local" or "worker". Notes are for the history: what could not be made
// without failing the whole, such as a thumbnail without ffmpeg.
type MP4ProcessingComplete struct {
	ChannelName    string   `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	ID             string   `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	Compute        string   `json:"compute" doc:"where it was made: in the node or on a worker" enum:"local,worker"`
	StreamURL      string   `json:"stream_url" doc:"URL of the HLS playlist of the recording" pattern:"^https?://"`
	PlaybackURL    string   `json:"playback_url" doc:"URL of the MP4" pattern:"^https?://"`
	Thumbnail      string   `json:"thumbnail" doc:"URL of the picture; empty when none could be made" pattern:"^(https?://.*)?$"`
	Width          int      `json:"width" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
	Height         int      `json:"height" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
	DurationMillis int64    `json:"durationmillis" doc:"length in ms" minimum:"0"`
	Size           int64    `json:"size" doc:"of the MP4, in bytes" minimum:"0"`
	Storyboard     string   `json:"storyboard,omitempty" doc:"URL of the WebVTT with the previews on the time line" pattern:"^https?://"`
	Codecs         []string `json:"codecs,omitempty" doc:"of the MP4, as RFC 6381 writes them, video first"`
	Notes          []string `json:"notes,omitempty" doc:"what could not be made without failing the whole, in words for people"`
}

// MP4ProcessingFailed: a recording's MP4 could not be made at this attempt.
type MP4ProcessingFailed struct {
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	ID          string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	Reason      string `json:"reason" doc:"why, in words for people"`
	Attempt     int    `json:"attempt,omitempty" doc:"which try this is, from 1" minimum:"1"`
}

// RecordingPrefix returns under which key a stream's recording lies in the object
// store, without a slash at its end.
func RecordingPrefix(channel, stream string) string { return "recordings/" + channel + "/" + stream }

// VideoDeleted: a video is gone, and its files are about to be. Everybody who
// keeps something of it removes that. Reason says why, of a deletion that nobody
// asked for at that moment: its channel's retention, or the end of its owner's account.
type VideoDeleted struct {
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	ID          string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	Reason      string `json:"reason,omitempty" doc:"why it was deleted by itself: its channel's retention, or because its owner's account was; absent when somebody deleted it"`
}

// Author is whose video it is, by the name that people see.
type Author struct {
	Username string `json:"username" doc:"the friendly name that people see"`
}

// RecordingReadyEvent: a recording has its files; the plugins may begin. Its
// author is a plain string, as plugins of the original expect.
type RecordingReadyEvent struct {
	RecordingStatus      string `json:"recording_status" doc:"always the same" enum:"Recording Ready"`
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix" doc:"under which key the recording lies in the object store"`
	StreamURL            string `json:"stream_url" doc:"URL of the HLS playlist of the recording" pattern:"^https?://"`
	PlaybackURL          string `json:"playback_url" doc:"URL of the MP4; empty while there is none" pattern:"^(https?://.*)?$"`
	Thumbnail            string `json:"thumbnail" doc:"URL of the picture; empty when none could be made" pattern:"^(https?://.*)?$"`
	ChannelName          string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	ID                   string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	CreatedAt            string `json:"createdAt" doc:"when the broadcast ended, RFC 3339 in UTC" format:"date-time"`
	DurationMillis       int64  `json:"durationmillis" doc:"length in ms" minimum:"0"`
	Author               string `json:"author" doc:"whose video it is, by the name that people see: a plain string, as plugins of the original expect"`
	Height               int    `json:"height" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
	Width                int    `json:"width" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
}

// LifeCycleStarted: the plugins of a video begin.
type LifeCycleStarted struct {
	ID             string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	ChannelName    string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	PlaybackURL    string `json:"playback_url" doc:"URL of the MP4; empty while there is none" pattern:"^(https?://.*)?$"`
	StreamURL      string `json:"stream_url" doc:"URL of the HLS playlist of the recording" pattern:"^https?://"`
	Thumbnail      string `json:"thumbnail" doc:"URL of the picture; empty when none could be made" pattern:"^(https?://.*)?$"`
	CreatedAt      string `json:"createdAt" doc:"when the broadcast ended, RFC 3339 in UTC" format:"date-time"`
	DurationMillis int64  `json:"durationmillis" doc:"length in ms" minimum:"0"`
	Height         int    `json:"height" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
	Width          int    `json:"width" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
}

// PluginVideo is what a plugin is told about its video.
type PluginVideo struct {
	ID                   string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	Channel              string `json:"channel" doc:"the channel: its owner's sub" minLength:"1"`
	Author               Author `json:"author" doc:"whose video it is"`
	CreatedAt            string `json:"createdAt" doc:"when the broadcast ended, RFC 3339 in UTC" format:"date-time"`
	DurationMillis       int64  `json:"durationmillis" doc:"length in ms" minimum:"0"`
	Thumbnail            string `json:"thumbnail" doc:"URL of the picture; empty when none could be made" pattern:"^(https?://.*)?$"`
	PlaybackURL          string `json:"playbackUrl" doc:"URL of the MP4; empty while there is none" pattern:"^(https?://.*)?$"`
	StreamURL            string `json:"streamUrl" doc:"URL of the HLS playlist of the recording" pattern:"^https?://"`
	RecordingS3KeyPrefix string `json:"recording_s3_key_prefix" doc:"under which key the recording lies in the object store"`
}

// PluginOutput is one plugin's answer, kept under "plugin-{name}".
type PluginOutput struct {
	OutputKey   string          `json:"OutputKey" doc:"plugin- and the plugin's name" pattern:"^plugin-"`
	OutputValue json.RawMessage `json:"OutputValue" doc:"what the plugin answered: any JSON"`
}

// PluginOutputs is what the plugins of each hook answered, in the order of
// registration.
type PluginOutputs map[string][]PluginOutput

// PluginInvocation asks one plugin to do its work at one hook. The task token
// is a secret of the plugin asked: logs, archive and live views mask it.
type PluginInvocation struct {
	Hook       string        `json:"-"`
	Plugin     string        `json:"-"`
	Video      PluginVideo   `json:"video" doc:"what the plugin is asked about"`
	TaskToken  string        `json:"taskToken" doc:"names the task, once; a secret of the plugin asked, (masked) wherever else events are shown" minLength:"1"`
	PluginData PluginOutputs `json:"pluginData,omitempty" doc:"what the plugins of the hooks before answered, in the order of registration; absent at preValidate"`
}

// OnEvent is the hook of plugins that no lifecycle asks: rules give them events.
const OnEvent = "onEvent"

// DeliveryPrefix begins the id of what a rule delivers, and so of what is asked
// and answered on its behalf.
const DeliveryPrefix = "msg_"

// PluginEvent asks a plugin about one event, because a rule says so. Delivery is
// the same for every try; the answer has it as its id. The task token is a
// secret of the plugin asked.
type PluginEvent struct {
	Plugin    string          `json:"-"`
	Delivery  string          `json:"deliveryId" doc:"the same for every try: what was done for it need not be done again" minLength:"1"`
	Rule      PluginEventRule `json:"rule" doc:"the rule by which the plugin is given the event"`
	Event     json.RawMessage `json:"event" doc:"the event, whole; task tokens in it are masked"`
	TaskToken string          `json:"taskToken" doc:"names the task, once; a secret of the plugin asked, (masked) wherever else events are shown" minLength:"1"`
}

// PluginEventRule is the rule by which a plugin is given an event.
type PluginEventRule struct {
	ID   string `json:"id" doc:"of the rule" minLength:"1"`
	Name string `json:"name" doc:"that people gave it"`
}

// PluginComplete is a plugin's answer. Plugin names who answers: on the bus it
// is the credential's name, which the server checks. ID, the video's or the
// delivery's, is there for the subject alone: what is answered is decided by the
// token.
type PluginComplete struct {
	Plugin    string          `json:"-"`
	ID        string          `json:"id,omitempty" doc:"the video, for filters; what is answered is decided by the token"`
	TaskToken string          `json:"TaskToken" doc:"the taskToken of the invocation; (masked) wherever events are shown" minLength:"1"`
	Message   json.RawMessage `json:"Message" doc:"the plugin's output, at most 20 kB; validators answer valid and reason, the others any JSON"`
}

// PluginFailed: one plugin did not do its work; the lifecycle knows what to do.
type PluginFailed struct {
	ID          string `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	ChannelName string `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	Message     string `json:"Message" doc:"why, in words for people"`
	ExecutionID string `json:"ExecutionId" doc:"the lifecycle's flow" minLength:"1"`
	Plugin      string `json:"plugin" doc:"the plugin's name" minLength:"1"`
	Hook        string `json:"hook" doc:"the hook at which it was asked" enum:"preValidate,postValidate,preMetadata,postMetadata"`
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
	ID                   string          `json:"id" doc:"the video: the id of its stream" pattern:"^[A-Za-z0-9_-]{1,128}$"`
	ChannelName          string          `json:"channel_name" doc:"the channel: its owner's sub" minLength:"1"`
	PlaybackURL          string          `json:"playback_url" doc:"URL of the MP4; empty while there is none" pattern:"^(https?://.*)?$"`
	StreamURL            string          `json:"stream_url" doc:"URL of the HLS playlist of the recording" pattern:"^https?://"`
	Thumbnail            string          `json:"thumbnail" doc:"URL of the picture; empty when none could be made" pattern:"^(https?://.*)?$"`
	CreatedAt            string          `json:"createdAt" doc:"when the broadcast ended, RFC 3339 in UTC" format:"date-time"`
	DurationMillis       int64           `json:"durationmillis" doc:"length in ms" minimum:"0"`
	Height               int             `json:"height" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
	Width                int             `json:"width" doc:"of the picture, in pixels; 0 when unknown" minimum:"0"`
	RecordingS3KeyPrefix string          `json:"recording_s3_key_prefix" doc:"under which key the recording lies in the object store"`
	Author               Author          `json:"author" doc:"whose video it is"`
	Plugins              LifeCycleResult `json:"plugins" doc:"what came of the hooks"`
	WorkflowExecutionID  string          `json:"pluginLifecycleWorkflowExecutionId" doc:"the lifecycle's flow; empty when none was run for this"`
}

// LifeCycleComplete: all hooks of a video have run, or one ended it. Attempt is
// the number of the lifecycle when it was retried, from 2 on.
type LifeCycleComplete struct {
	Lifecycle
	Attempt int `json:"attempt,omitempty" doc:"which try this is, from 2 on; absent of the first" minimum:"2"`
}

// VideoStatusUpdated: a video became valid, invalid or failed. Title and tags
// are those that the plugins gave it.
type VideoStatusUpdated struct {
	Lifecycle
	Status string   `json:"status" doc:"what the video is now" enum:"valid,invalid,failed"`
	Title  string   `json:"title,omitempty" doc:"what the broadcaster called it, else what plugins did"`
	Tags   []string `json:"tags,omitempty" doc:"those of the broadcaster, else those of plugins"`
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
func (PluginEvent) EventSource() string           { return SourcePluginManager }
func (p PluginEvent) EventType() string           { return OnEvent + "." + p.Plugin }
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
