package history

import (
	"context"
	"fmt"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history/sqlc"
)

// Consumers returns what the history hears. It says nothing. There are several, so
// that the first is given its own events alone: the bus cannot select by the
// beginning of a source.
func (s *Service) Consumers() []event.Consumer {
	return []event.Consumer{
		{
			Name: "history",
			Filters: []event.Filter{
				{Source: event.SourceStreaming},
				{Source: event.SourceSimulator},
				{Source: event.SourceViewCounter},
				{Source: event.SourceVideoManager},
				{Source: event.SourcePluginManager},
			},
			Handle: s.handle,
		},
		{
			Name:    "history-answers",
			Filters: []event.Filter{{Source: event.SourcePluginPrefix + "*", Type: event.PluginComplete{}.EventType() + "*"}},
			Handle:  s.pluginAnswered,
		},
		{
			Name:    "history-owners",
			Filters: []event.Filter{{Source: event.SourceAuth, Type: event.UserDeleted{}.EventType()}},
			Handle:  s.ownerDeleted,
		},
	}
}

// forgetBatch is how many of a channel's histories are read at a time.
const forgetBatch = 100

// ownerDeleted forgets what is known of a channel whose owner's account is deleted,
// and remembers that, for news of its broadcasts that comes late. Its videos are
// deleted anyhow: this is for broadcasts that never became one.
func (s *Service) ownerDeleted(ctx context.Context, e event.Envelope) error {
	var d event.UserDeleted
	if err := e.Decode(&d); err != nil {
		return s.ignore(e, err)
	}
	if err := s.closeChannel(ctx, d.Sub); err != nil {
		return err
	}
	for {
		ids, err := sqlc.New(s.db.Read()).VideosOf(ctx, sqlc.VideosOfParams{Channel: d.Sub, Limit: forgetBatch})
		if err != nil {
			return fmt.Errorf("reading the histories of a channel: %w", err)
		}
		for _, videoID := range ids {
			if err := s.forget(ctx, videoID, d.Sub); err != nil {
				return err
			}
		}
		if len(ids) < forgetBatch {
			return nil
		}
	}
}

// handle keeps what one event says. Doing it again changes nothing, so there
// are no receipts: that holds for as long as events may come again.
func (s *Service) handle(ctx context.Context, e event.Envelope) error {
	r := reader{e: e}
	if e.Source == event.SourcePluginManager && strings.HasPrefix(e.DetailType, event.OnEvent+".") {
		return nil // a rule's doing, no part of a video's story
	}
	if hook, plugin, ok := invocation(e); ok {
		return s.asked(ctx, &r, hook, plugin)
	}
	r.read()
	switch {
	case r.err != nil:
		return s.ignore(e, r.err)
	case r.deleted:
		return s.forget(ctx, r.video, r.channel)
	case r.fact.Name == "":
		return nil // nothing that the story tells
	}
	if e.Source == event.SourceStreaming {
		return s.keepOfStream(ctx, r.video, r.channel, r.fact)
	}
	return s.keep(ctx, r.video, r.channel, r.fact)
}

// invocation returns which plugin an event asks at which hook.
func invocation(e event.Envelope) (hook, plugin string, ok bool) {
	hook, plugin, ok = strings.Cut(e.DetailType, ".")
	return hook, plugin, ok && e.Source == event.SourcePluginManager
}

// ignore drops an event that can never be understood: trying again does not
// mend it.
func (s *Service) ignore(e event.Envelope, err error) error {
	s.log.Error("an event that the history does not understand", "type", e.DetailType, "event", e.ID, "err", err)
	return nil
}

// reader makes a fact of an event; err says why there is none.
type reader struct {
	e       event.Envelope
	video   string
	channel string
	fact    fact
	deleted bool // the video is: there is no fact
	err     error
}

// read makes the fact of an event that is neither an invocation nor an answer.
func (r *reader) read() {
	switch r.e.DetailType {
	case event.VideoDeleted{}.EventType():
		var d event.VideoDeleted
		r.deleted = r.decode(&d) && r.about(d.ID, d.ChannelName)
	case event.StreamStateChange{}.EventType():
		r.stream()
	case event.RecordingStateChange{}.EventType():
		r.recording()
	case event.ViewCountUpdated{}.EventType():
		r.views()
	case event.MP4ProcessingStarted{}.EventType(), event.MP4ProcessingComplete{}.EventType(), event.MP4ProcessingFailed{}.EventType():
		r.processing()
	case event.RecordingReadyEvent{}.EventType():
		r.ready()
	case event.LifeCycleStarted{}.EventType(), event.LifeCycleComplete{}.EventType(), event.PluginFailed{}.EventType():
		r.lifecycle()
	case event.VideoStatusUpdated{}.EventType():
		r.status()
	}
}

// invoked makes the fact of an invocation, and returns its token.
func (r *reader) invoked(hook, plugin string) (token string) {
	var d event.PluginInvocation
	if r.decode(&d) && r.about(d.Video.ID, d.Video.Channel) && r.plugin(hook, plugin) {
		r.tell(pluginFact(asked, hook, plugin), detail{Hook: hook, Plugin: plugin})
	}
	return d.TaskToken
}

func (r *reader) decode(d any) bool {
	r.err = r.e.Decode(d)
	return r.err == nil
}

// about notes whose fact it is; the ids become part of rows and answers.
func (r *reader) about(video, channel string) bool {
	for _, id := range []string{video, channel} {
		if !isID(id) {
			r.err = fmt.Errorf("%.200q is no id: ids are made of letters, digits, - and _", id)
			return false
		}
	}
	r.video, r.channel = video, channel
	return true
}

func isID(s string) bool { return s != "" && len(s) <= 128 && event.Token(s) == s }

// tell is what the event says, in the end.
func (r *reader) tell(name string, d detail) {
	r.fact = fact{Name: name, At: r.e.Time.UnixMilli(), detail: d}
}

func (r *reader) stream() {
	var d event.StreamStateChange
	if !r.decode(&d) || !r.about(d.StreamID, d.ChannelName) {
		return
	}
	switch d.EventName {
	case event.StreamStart:
		r.tell(streamStart, detail{})
	case event.StreamEnd:
		r.tell(streamEnd, detail{})
	}
}

func (r *reader) recording() {
	var d event.RecordingStateChange
	if !r.decode(&d) || !r.about(d.StreamID, d.ChannelName) {
		return
	}
	switch d.RecordingStatus {
	case event.RecordingStart:
		r.tell(recordingStart, detail{})
	case event.RecordingEnd:
		r.tell(recordingEnd, detail{DurationMs: max(0, d.RecordingDurationMS)})
	case event.RecordingSegmentLost:
		r.tell(recordingLost, detail{})
	}
}

// views keeps the highest view count.
func (r *reader) views() {
	var d event.ViewCountUpdated
	if r.decode(&d) && r.about(d.StreamID, d.ChannelName) {
		r.tell(viewers, detail{Viewers: max(0, d.ViewCount)})
		r.fact.Weight = r.fact.Viewers
	}
}

func (r *reader) processing() {
	// The three have these fields in common.
	var d struct {
		event.MP4ProcessingComplete
		Reason  string `json:"reason"`
		Attempt int    `json:"attempt"`
	}
	if !r.decode(&d) || !r.about(d.ID, d.ChannelName) {
		return
	}
	switch r.e.DetailType {
	case event.MP4ProcessingStarted{}.EventType():
		if d.Attempt > 1 {
			r.tell(processingRetry, detail{Attempt: d.Attempt})
			r.fact.Weight = int64(d.Attempt) // the last one counts
			return
		}
		r.tell(processingStart, detail{})
	case event.MP4ProcessingFailed{}.EventType():
		r.tell(processingFailed, detail{Reason: clean(d.Reason)})
		r.fact.Weight = int64(max(1, d.Attempt))
	default:
		r.tell(processingComplete, detail{
			DurationMs: max(0, d.DurationMillis), Size: max(0, d.Size), Width: max(0, d.Width), Height: max(0, d.Height),
			Compute: clean(d.Compute), Notes: cleanAll(d.Notes),
		})
	}
}

func (r *reader) ready() {
	var d event.RecordingReadyEvent
	if r.decode(&d) && r.about(d.ID, d.ChannelName) {
		r.tell(recordingReady, detail{})
	}
}

func (r *reader) lifecycle() {
	switch r.e.DetailType {
	case event.LifeCycleStarted{}.EventType():
		var d event.LifeCycleStarted
		if r.decode(&d) && r.about(d.ID, d.ChannelName) {
			r.tell(lifecycleStart, detail{})
		}
	case event.LifeCycleComplete{}.EventType():
		var d event.LifeCycleComplete
		if r.decode(&d) && r.about(d.ID, d.ChannelName) {
			end := ending(d.Plugins)
			end.Outcomes = outcomesOf(d.Plugins.Outputs)
			r.tell(lifecycleComplete, end)
			r.fact.Weight = int64(d.Attempt) // the last one counts
		}
	default:
		var d event.PluginFailed
		if r.decode(&d) && r.about(d.ID, d.ChannelName) && r.plugin(d.Hook, d.Plugin) {
			r.tell(pluginFact(failed, d.Hook, d.Plugin), detail{Hook: d.Hook, Plugin: d.Plugin, Reason: clean(d.Message)})
		}
	}
}

func (r *reader) status() {
	var d event.VideoStatusUpdated
	if !r.decode(&d) || !r.about(d.ID, d.ChannelName) {
		return
	}
	switch d.Status {
	case event.StatusValid, event.StatusInvalid, event.StatusFailed:
		end := ending(d.Plugins)
		end.Status = d.Status
		r.tell(statusPrefix+d.Status, end)
	default:
		r.err = fmt.Errorf("%.50q is no status that a video ends with", d.Status)
	}
}

// ending says how a lifecycle ended, without the plugins' outputs.
func ending(l event.LifeCycleResult) detail {
	return detail{Status: clean(l.Status), Hook: clean(l.Hook), Plugin: clean(l.Plugin), Reason: clean(l.Reason)}
}

func (r *reader) plugin(hook, plugin string) bool {
	if rankOfHook(hook) < 0 || !isID(plugin) {
		r.err = fmt.Errorf("there is no plugin %.50q at a hook %.50q", plugin, hook)
	}
	return r.err == nil
}
