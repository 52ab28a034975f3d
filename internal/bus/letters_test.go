package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// sick is a consumer that handles nothing until it is well.
type sick struct {
	well  atomic.Bool
	mu    sync.Mutex
	heard []string
}

func (s *sick) handle(_ context.Context, e event.Envelope) error {
	if !s.well.Load() {
		return errors.New("it is sick")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, e.ID)
	return nil
}

// die makes n dead letters of a consumer, beside one that is well, and returns
// their events.
func die(t *testing.T, b *bus.Bus, s *sick, n int) []event.Envelope {
	t.Helper()
	for name, handle := range map[string]func(context.Context, event.Envelope) error{"sick": s.handle, "sound": func(context.Context, event.Envelope) error { return nil }} {
		if err := b.Consume(t.Context(), event.Consumer{Name: name, Filters: []event.Filter{{}}, Handle: handle}); err != nil {
			t.Fatal(err)
		}
	}
	events := make([]event.Envelope, n)
	for i := range events {
		events[i] = deleted(fmt.Sprintf("v%d", i))
		publish(t, b, events[i])
		eventually(t, "it is put away", func() bool { // one after the other, so that their order is known
			counts, err := b.CountDead(t.Context())
			return err == nil && counts["sick"] == int64(i+1)
		})
	}
	return events
}

func numbers(letters []bus.DeadLetter) []uint64 {
	var all []uint64
	for _, l := range letters {
		all = append(all, l.Number)
	}
	return all
}

func TestDeadLettersAreRedriven(t *testing.T) {
	b := open(t, testConfig(t))
	var s sick
	events := die(t, b, &s, 5)
	before := func(number uint64, limit int, want ...uint64) {
		t.Helper()
		found, err := b.DeadBefore(t.Context(), number, limit)
		if err != nil || !slices.Equal(numbers(found), want) {
			t.Errorf("below %d are %v, %v, want %v", number, numbers(found), err, want)
		}
	}
	before(0, 2, 5, 4)
	before(4, 10, 3, 2, 1)
	before(1, 10)

	if err := b.Redrive(t.Context(), 3); errs.CodeOf(err) != errs.Conflict {
		t.Errorf("redriven while it is sick: %v", err)
	}
	if d, err := b.DeadLetter(t.Context(), 3); err != nil || d.Consumer != "sick" || d.Reason != "it is sick" || d.At.IsZero() {
		t.Errorf("it is %+v, %v", d, err)
	}
	s.well.Store(true)
	if err := b.Redrive(t.Context(), 3); err != nil {
		t.Error(err)
	}
	if !slices.Equal(s.heard, []string{events[2].ID}) {
		t.Errorf("heard are %v, want %s", s.heard, events[2].ID)
	}
	if err := b.Redrive(t.Context(), 3); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("redriven twice: %v", err)
	}
	before(0, 10, 5, 4, 2, 1) // around the gap
	if err := errors.Join(b.DeleteDead(t.Context(), 5), b.DeleteDead(t.Context(), 5)); err != nil {
		t.Error(err)
	}
	before(0, 10, 4, 2, 1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.Metrics())
	families, err := registry.Gather()
	told := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "serverlessvideo_bus_dead_letters" {
				told[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if want := map[string]float64{"sick": 3, "sound": 0}; err != nil || !maps.Equal(told, want) {
		t.Errorf("the metric tells %v, %v, want %v", told, err, want)
	}
	if n, err := b.PurgeDead(t.Context(), 2); err != nil || n != 2 {
		t.Errorf("purged up to 2: %d, %v", n, err)
	}
	before(0, 10, 4)
	if n, err := b.PurgeDead(t.Context(), 1<<62); err != nil || n != 1 {
		t.Errorf("purged: %d, %v", n, err)
	}
	before(0, 10)
	if n, err := b.PurgeDead(t.Context(), 1<<62); err != nil || n != 0 {
		t.Errorf("purged of none: %d, %v", n, err)
	}
	if counts, err := b.CountDead(t.Context()); err != nil || len(counts) != 0 {
		t.Errorf("left are %v, %v", counts, err)
	}
	// The server goes on with the numbers that it had.
	s.well.Store(false)
	publish(t, b, deleted("v6"))
	eventually(t, "it is put away", func() bool {
		counts, err := b.CountDead(t.Context())
		return err == nil && counts["sick"] == 1
	})
	before(0, 10, 6)
}

// A letter of a consumer that nobody runs any more stays, and says so.
func TestRedriveToNobody(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	die(t, b, &sick{}, 1)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	if err := b.Redrive(t.Context(), 1); errs.CodeOf(err) != errs.Conflict {
		t.Errorf("redriven to nobody: %v", err)
	}
	if _, err := b.DeadLetter(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
