package streaming

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// slowBus takes its time for each event, less for every one that comes.
type slowBus struct {
	saidBus
	wait time.Duration
}

func (b *slowBus) Publish(ctx context.Context, e event.Envelope) error {
	b.mu.Lock()
	b.wait /= 2
	wait := b.wait
	b.mu.Unlock()
	time.Sleep(wait)
	return b.saidBus.Publish(ctx, e)
}

// TestSaidInOrder: the bus hears of the end of a starvation after its start.
func TestSaidInOrder(t *testing.T) {
	b := &slowBus{wait: 100 * time.Millisecond}
	s := &Service{saying: &speaker{bus: b, log: slog.New(slog.DiscardHandler)}}
	starved := &broadcast{service: s, id: "st-1", channel: "c"}
	for i := range 10 {
		s.sayStarvation(starved, i%2 == 0)
	}
	s.saying.close()
	if len(b.said) != 10 {
		t.Fatalf("%d of 10 were said", len(b.said))
	}
	for i, e := range b.said {
		var d event.StreamStateChange
		if err := e.Decode(&d); err != nil || (d.EventName == event.StarvationStart) != (i%2 == 0) {
			t.Errorf("event %d is %q (%v)", i, d.EventName, err)
		}
	}
	if s.saying.add(event.New(event.StreamStateChange{})) {
		t.Error("what nobody says any more is taken")
	}
}

// TestSaidTooMuch: events for a bus that hangs do not pile up.
func TestSaidTooMuch(t *testing.T) {
	bus := &hungBus{let: make(chan struct{})}
	s := &speaker{bus: bus, log: slog.New(slog.DiscardHandler)}
	taken := 0
	for range 2 * maxUnsaid {
		if s.add(event.New(event.StreamStateChange{})) {
			taken++
		}
	}
	if taken > maxUnsaid+1 {
		t.Errorf("%d events wait", taken)
	}
	close(bus.let)
	s.close()
	if len(bus.said) != taken {
		t.Errorf("%d of %d were said", len(bus.said), taken)
	}
}

// hungBus takes nothing before it is let.
type hungBus struct {
	saidBus
	let chan struct{}
}

func (b *hungBus) Publish(ctx context.Context, e event.Envelope) error {
	<-b.let
	return b.saidBus.Publish(ctx, e)
}
