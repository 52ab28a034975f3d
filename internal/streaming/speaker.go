package streaming

import (
	"context"
	"log/slog"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// maxUnsaid is how many events may wait for the bus.
const maxUnsaid = 1000

// speaker says events one by one, in the order in which they happened.
type speaker struct {
	bus Bus
	log *slog.Logger

	mu       sync.Mutex
	waiting  []event.Envelope
	speaking sync.WaitGroup // one at most
	busy     bool
	closed   bool
}

// add has an event said. It does not block; false says that there is no room.
func (s *speaker) add(e event.Envelope) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.waiting) >= maxUnsaid {
		return false
	}
	s.waiting = append(s.waiting, e)
	if !s.busy {
		s.busy = true
		s.speaking.Go(s.speak)
	}
	return true
}

// speak says what waits, until nothing does.
func (s *speaker) speak() {
	for {
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.busy, s.waiting = false, nil
			s.mu.Unlock()
			return
		}
		e := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), sayTimeout)
		err := s.bus.Publish(ctx, e)
		cancel()
		if err != nil {
			s.log.Warn("saying an event", "type", e.DetailType, "error", err)
			s.giveUp()
		}
	}
}

// giveUp forgets what waits for a bus that fails while the server stops.
func (s *speaker) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.waiting = nil
	}
}

// close waits until all is said. Nothing is added any more.
func (s *speaker) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.speaking.Wait()
}
