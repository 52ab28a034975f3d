package schema

import "github.com/serverlessvideo/serverlessvideo/internal/event"

// A definition is a type of event: what it says, and when it is said.
type definition struct {
	detail event.Detail
	what   string
	when   string
	rules  []object // that a detail must keep beyond its fields
}

// definitions are all events of our own, in the order of a video's life. Those
// of plugins, whose names have the plugin's in them, are not among them.
func definitions() []definition {
	return []definition{
		{
			detail: event.BroadcastUserCreated{},
			what:   "Somebody became a broadcaster.",
			when:   "In the transaction in which an account gets the role; again when it loses it and gets it back. The channel is made of it.",
		},
		{
			detail: event.UserSuspended{},
			what:   "Somebody may not sign in any more.",
			when:   "In the transaction in which an admin suspends the account. Sessions and a broadcast end; what is published stays.",
		},
		{
			detail: event.UserDeleted{},
			what:   "Somebody's account is gone.",
			when:   "In the transaction in which an admin deletes the account. Channel and videos are deleted because of it.",
		},
		{
			detail: event.ChannelUpdated{},
			what:   "A channel's public data changed.",
			when:   "When it is made, and when it turns live or off.",
		},
		{
			detail: event.StreamKeyRotated{},
			what:   "A channel has a new stream key.",
			when:   "When its owner or an operator asks for one. The old one lets nobody in from then on; the event does not have the new one.",
		},
		{
			detail: event.StreamStateChange{}, rules: ingestRules(),
			what: "A live stream began, ended, starves or changed its input.",
			when: "`Stream Start` before the publisher is let in. `Stream End` once, when it stops or has been away for longer than the reconnect window. " +
				"`Starvation Start` when no media came for 2 s, `Starvation End` when it comes again. `Ingest Configuration` whenever a publisher begins to send, at a reconnect too.",
		},
		{
			detail: event.RecordingStateChange{},
			what:   "A recording began, ended or has a hole.",
			when: "`Recording Start` with the first stored segment, `Recording End` when all is stored: a broadcast that brought no media has neither. " +
				"`Recording Segment Lost` for each segment that the object store did not take in time.",
		},
		{
			detail: event.ViewCountUpdated{},
			what:   "How many watch a live stream.",
			when:   "Every 15 s while it is live.",
		},
		{
			detail: event.MP4ProcessingStarted{},
			what:   "A recording's MP4 is being made.",
			when:   "After its `Recording End`, and again when somebody asks for another try.",
		},
		{
			detail: event.MP4ProcessingComplete{},
			what:   "A recording has its MP4, thumbnail and storyboard.",
			when:   "When the files are stored.",
		},
		{
			detail: event.MP4ProcessingFailed{},
			what:   "A recording's MP4 could not be made.",
			when:   "After the last retry of an attempt. The segments stay; the video becomes `failed`.",
		},
		{
			detail: event.RecordingReadyEvent{},
			what:   "A recording has its files; its plugins may begin.",
			when:   "Once for a video, when its recording is whole and its MP4 made.",
		},
		{
			detail: event.LifeCycleStarted{},
			what:   "The plugins of a video begin.",
			when:   "Once for a video, before the first hook.",
		},
		{
			detail: event.PluginFailed{},
			what:   "A plugin did not do its work.",
			when:   "When it answered what is no answer or nothing in time, or refused a video at postValidate. Whether the lifecycle goes on depends on the hook.",
		},
		{
			detail: event.LifeCycleComplete{},
			what:   "All hooks of a video have run, or one ended it.",
			when:   "Once for a video, whatever came of it.",
		},
		{
			detail: event.VideoStatusUpdated{},
			what:   "A video became valid, invalid or failed.",
			when:   "When its status changes, and when what people see of a valid video changes: its title, tags, visibility.",
		},
		{
			detail: event.VideoDeleted{},
			what:   "A video is gone.",
			when:   "In the transaction that takes it away from everybody; its files follow.",
		},
	}
}

// invocation, given and answer are the events of plugins: their source or detail-type
// has the plugin's name in it.
func invocation() definition {
	return definition{
		detail: event.PluginInvocation{Hook: "{hook}", Plugin: "{plugin}"},
		what:   "A plugin is asked to do its work.",
		when:   "At its hook, once for a video and plugin.",
	}
}

func given() definition {
	return definition{
		detail: event.PluginEvent{Plugin: "{plugin}"},
		what:   "A plugin is given an event.",
		when:   "When the event matches a rule whose target is the plugin, and again with another token when it is tried again.",
	}
}

func answer() definition {
	return definition{
		detail: event.PluginComplete{Plugin: "{plugin}"},
		what:   "A plugin answers.",
		when: "When it has done its work. The source begins with `serverlessVideo.plugin` and the detail-type with `plugin-complete`: " +
			"which task is answered, the token says, and who may answer it, the credential of the sender.",
	}
}

// ingestRules: how the publisher sends stands there if the event is about that.
func ingestRules() []object {
	const field = "ingest_configuration"
	isConfiguration := object{
		{"properties", object{{"event_name", object{{"const", event.IngestConfigured}}}}},
		{"required", []string{"event_name"}},
	}
	return []object{{
		{"if", isConfiguration},
		{"then", object{{"required", []string{field}}}},
		{"else", object{{"properties", object{{field, false}}}}},
	}}
}
