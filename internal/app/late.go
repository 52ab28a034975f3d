package app

import (
	"errors"
	"sync/atomic"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
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

// lateAudience knows how many watch, once there are streams.
type lateAudience struct {
	streaming atomic.Pointer[streaming.Service]
}

func (l *lateAudience) set(s *streaming.Service) { l.streaming.Store(s) }

// Viewers returns how many watch a stream that is live on this node.
func (l *lateAudience) Viewers(streamID string) (int, bool) {
	s := l.streaming.Load()
	if s == nil {
		return 0, false
	}
	for _, live := range s.Live() {
		if live.StreamID == streamID {
			return live.Viewers, true
		}
	}
	return 0, false
}
