package app

import (
	"errors"
	"sync/atomic"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/channel"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
)

// The channel service works on a folder at rest too, where there is neither a
// bus nor a stream. On a node that runs they come after it.

// lateBus is a bus that comes later.
type lateBus struct{ bus atomic.Pointer[bus.Bus] }

func (l *lateBus) set(b *bus.Bus) { l.bus.Store(b) }

// PublishLive says something that is not kept.
func (l *lateBus) PublishLive(subject string, data []byte) error {
	if b := l.bus.Load(); b != nil {
		return b.PublishLive(subject, data)
	}
	return errors.New("the node is not running")
}

// lateAudience knows how live streams are, once there are streams.
type lateAudience struct {
	streaming atomic.Pointer[streaming.Service]
}

func (l *lateAudience) set(s *streaming.Service) { l.streaming.Store(s) }

// Now returns how a stream is that is live on this node.
func (l *lateAudience) Now(streamID string) (channel.LiveNow, bool) {
	s := l.streaming.Load()
	if s == nil {
		return channel.LiveNow{}, false
	}
	live, ok := s.LiveNow(streamID)
	return channel.LiveNow{Viewers: live.Viewers, Reconnecting: live.Reconnecting, Picture: live.Picture, OpenFor: live.OpenFor}, ok
}
