package pluginmanager

import (
	"cmp"
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

const (
	beginConsumer  = "lifecycle-begin"
	answerConsumer = "lifecycle-answers"
	deleteConsumer = "lifecycle-videos"
	builtInPrefix  = "builtin-"
)

// Consumers returns what the plugin manager hears, and what its built-in
// plugins do. It says LifeCycleStarted, {hook}.{plugin}, Plugin failed and
// LifeCycleComplete.
func (s *Service) Consumers() []event.Consumer {
	all := []event.Consumer{
		{
			Name:    beginConsumer,
			Filters: []event.Filter{{Source: event.SourceVideoManager, Type: event.RecordingReadyEvent{}.EventType()}},
			Handle:  s.recordingReady,
		},
		{
			Name:    answerConsumer,
			Filters: []event.Filter{{Source: "serverlessVideo.plugin*", Type: "plugin-complete*"}},
			Handle:  s.answered,
		},
		{
			Name:    deleteConsumer,
			Filters: []event.Filter{{Source: event.SourceVideoManager, Type: event.VideoDeleted{}.EventType()}},
			Handle:  s.videoDeleted,
		},
	}
	for i, b := range s.builtIns {
		m := s.plugins[i].Manifest // built-in plugins are registered first
		all = append(all, event.Consumer{
			Name: builtInPrefix + m.Name,
			Filters: []event.Filter{{
				Source: event.SourcePluginManager,
				Type:   event.PluginInvocation{Hook: m.EventHook, Plugin: m.Name}.EventType(),
			}},
			Handle: func(ctx context.Context, e event.Envelope) error { return s.runBuiltIn(ctx, m.Name, b, e) },
		})
	}
	return all
}

func (s *Service) recordingReady(ctx context.Context, e event.Envelope) error {
	var d event.RecordingReadyEvent
	err := e.Decode(&d)
	if err == nil && (d.ID == "" || event.Token(d.ID) != d.ID) {
		err = fmt.Errorf("%q is no video id", d.ID)
	}
	if err != nil {
		s.log.Error("a recording-ready that cannot be understood", "event", e.ID, "err", err)
		return nil
	}
	return s.begin(ctx, d)
}

// runBuiltIn does what a plugin outside the process does: it hears its
// invocation and answers with an event. The plugin may run again, the answer
// counts once.
func (s *Service) runBuiltIn(ctx context.Context, name string, b BuiltIn, e event.Envelope) error {
	var d struct {
		event.PluginInvocation
		Delivery string `json:"deliveryId"` // of an event instead of a video
	}
	if err := e.Decode(&d); err != nil {
		s.log.Error("an invocation that cannot be understood", "plugin", name, "event", e.ID, "err", err)
		return nil
	}
	message, err := b.Run(ctx, e.DetailType, e.Detail)
	if err != nil {
		return fmt.Errorf("plugin %s: %w", name, err)
	}
	answer := event.PluginComplete{Plugin: name, ID: cmp.Or(d.Video.ID, d.Delivery), TaskToken: d.TaskToken, Message: message}
	return s.db.Once(ctx, builtInPrefix+name, e.ID, func(ctx context.Context, tx *store.Tx) error {
		// By the token's hash nobody else can know the id, and use it first.
		return tx.Emit(ctx, event.NewWithID(id.Derived("answer", e.ID, hashToken(d.TaskToken)), answer))
	})
}
