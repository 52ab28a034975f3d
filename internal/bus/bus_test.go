package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

func TestMain(m *testing.M) {
	runAsChild()
	goleak.VerifyTestMain(m)
}

func testConfig(t testing.TB) bus.Config {
	return bus.Config{
		Secret: []byte("of this test"),
		Dir:    t.TempDir(), Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		AckWait: 2 * time.Second, Tries: 3, RetryFirst: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		MaxBytes: 256 << 20,
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func open(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func closeBus(t testing.TB, b *bus.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func publish(t testing.TB, b *bus.Bus, events ...event.Envelope) {
	t.Helper()
	for _, e := range events {
		if err := b.Publish(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// heard collects the events that a consumer was given.
type heard struct {
	mu  sync.Mutex
	ids []string
}

func (h *heard) add(e event.Envelope) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, e.ID)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids)
}

func (h *heard) consumer(name string, filters ...event.Filter) event.Consumer {
	return event.Consumer{Name: name, Filters: filters, Handle: func(_ context.Context, e event.Envelope) error {
		h.add(e)
		return nil
	}}
}

func deleted(id string) event.Envelope {
	return event.New(event.VideoDeleted{ChannelName: "c", ID: id})
}

func TestConsumeFromTheFirstEvent(t *testing.T) {
	b := open(t, testConfig(t))
	before, after := deleted("before"), deleted("after")
	publish(t, b, before)
	var h heard
	if err := b.Consume(context.Background(), h.consumer("all", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	publish(t, b, after, after)
	eventually(t, "both are heard", func() bool { return len(h.all()) >= 2 })
	publish(t, b, deleted("last"))
	eventually(t, "the last is heard", func() bool { return len(h.all()) >= 3 })
	if got := h.all(); len(got) != 3 || !slices.Contains(got, before.ID) || !slices.Contains(got, after.ID) {
		t.Errorf("heard %v; published twice counts once", got)
	}
}

func TestFilters(t *testing.T) {
	b := open(t, testConfig(t))
	tests := map[string]struct {
		filters []event.Filter
		want    []string
	}{
		"type":           {[]event.Filter{{Type: "VideoDeleted"}}, []string{"deleted"}},
		"source":         {[]event.Filter{{Source: event.SourceStreaming}}, []string{"start", "rec"}},
		"prefix":         {[]event.Filter{{Source: "serverlessVideo.plugin.*", Type: "plugin-complete*"}}, []string{"answer"}},
		"either":         {[]event.Filter{{Type: "VideoDeleted"}, {Type: "Stream State Change"}}, []string{"deleted", "start"}},
		"one in another": {[]event.Filter{{Source: event.SourceStreaming}, {Source: event.SourceStreaming, Type: "Stream State Change"}}, []string{"start", "rec"}},
		"crossing":       {[]event.Filter{{Source: event.SourceStreaming}, {Type: "Stream State Change"}}, []string{"start", "rec"}},
		"everything":     {[]event.Filter{{}, {Type: "VideoDeleted"}}, []string{"deleted", "start", "rec", "answer"}},
	}
	published := map[string]event.Envelope{
		"deleted": deleted("v"),
		"start":   event.New(event.StreamStateChange{EventName: event.StreamStart, ChannelName: "c", StreamID: "s"}),
		"rec":     event.New(event.RecordingStateChange{RecordingStatus: event.RecordingEnd, ChannelName: "c", StreamID: "s", RecordingS3KeyPrefix: "recordings/c/s"}),
		"answer":  event.New(event.PluginComplete{Plugin: "x", TaskToken: "t", Message: json.RawMessage(`{}`)}),
	}
	for _, e := range published {
		publish(t, b, e)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h heard
			if err := b.Consume(context.Background(), h.consumer(strings.ReplaceAll(name, " ", "_"), tt.filters...)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all that is selected is heard", func() bool { return len(h.all()) >= len(tt.want) })
			got := h.all()
			for _, w := range tt.want {
				if !slices.Contains(got, published[w].ID) {
					t.Errorf("%s is not heard", w)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("heard %d events, want %v", len(got), tt.want)
			}
		})
	}
}

func TestRetryUntilHandled(t *testing.T) {
	b := open(t, testConfig(t))
	var calls atomic.Int32
	err := b.Consume(context.Background(), event.Consumer{Name: "shaky", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		switch calls.Add(1) {
		case 1:
			return errors.New("not yet")
		case 2:
			panic("not yet either")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, deleted("v"))
	eventually(t, "the third try", func() bool { return calls.Load() == 3 })
	time.Sleep(200 * time.Millisecond) // longer than any pause: a fourth call would show
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	if dead, err := b.DeadLetters(context.Background(), 10); err != nil || len(dead) != 0 {
		t.Errorf("dead letters %v, %v", dead, err)
	}
}

func TestPoisonBecomesADeadLetterAndTheOthersGoOn(t *testing.T) {
	cfg := testConfig(t)
	cfg.Concurrency = 1
	b := open(t, cfg)
	poison, good := deleted("poison"), deleted("good")
	var tries atomic.Int32
	var h heard
	err := b.Consume(context.Background(), event.Consumer{Name: "careful", Filters: []event.Filter{{}}, Handle: func(_ context.Context, e event.Envelope) error {
		if e.ID == poison.ID {
			tries.Add(1)
			return errors.New("cannot be handled\nsecond line")
		}
		h.add(e)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, poison, good)
	eventually(t, "the good one is handled", func() bool { return len(h.all()) == 1 })
	var dead []bus.DeadLetter
	eventually(t, "the poison is put away", func() bool {
		dead, err = b.DeadLetters(context.Background(), 10)
		return err == nil && len(dead) == 1
	})
	if n := tries.Load(); n != 3 {
		t.Errorf("%d tries, want 3", n)
	}
	d := dead[0]
	e, err := event.Parse(d.Data)
	if err != nil || e.ID != poison.ID || d.Consumer != "careful" || d.Reason != "cannot be handled" || d.Subject != poison.Subject() || d.Sequence != 1 {
		t.Errorf("dead letter %+v, %v", d, err)
	}
}

// A handler that is longer than AckWait is not called a second time meanwhile.
func TestLongHandler(t *testing.T) {
	cfg := testConfig(t)
	cfg.AckWait = 300 * time.Millisecond
	b := open(t, cfg)
	var calls atomic.Int32
	done := make(chan struct{})
	err := b.Consume(context.Background(), event.Consumer{Name: "slow", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		if calls.Add(1) == 1 {
			time.Sleep(5 * cfg.AckWait)
			close(done)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, deleted("v"))
	<-done
	time.Sleep(2 * cfg.AckWait)
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	cfg := testConfig(t)
	cfg.Concurrency = 3
	b := open(t, cfg)
	var now, most, total atomic.Int32
	err := b.Consume(context.Background(), event.Consumer{Name: "busy", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		now.Add(-1)
		total.Add(1)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		publish(t, b, deleted("v"))
	}
	eventually(t, "all are handled", func() bool { return total.Load() == 30 })
	if m := most.Load(); m != 3 {
		t.Errorf("%d at a time, want 3", m)
	}
}

// What waits in nobody's hands uses up no tries, however long the handlers are.
func TestWaitingUsesNoTries(t *testing.T) {
	cfg := testConfig(t)
	cfg.Concurrency, cfg.AckWait, cfg.Tries = 1, 200*time.Millisecond, 1
	b := open(t, cfg)
	var h heard
	err := b.Consume(context.Background(), event.Consumer{Name: "slow", Filters: []event.Filter{{}}, Handle: func(_ context.Context, e event.Envelope) error {
		time.Sleep(300 * time.Millisecond)
		h.add(e)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		publish(t, b, deleted("v"))
	}
	eventually(t, "all are handled", func() bool { return len(h.all()) == 5 })
	if dead, err := b.DeadLetters(context.Background(), 10); err != nil || len(dead) != 0 {
		t.Errorf("dead letters %v, %v", dead, err)
	}
}

func TestConsumerGoesOnWhereItWas(t *testing.T) {
	cfg := testConfig(t)
	var h heard
	var ids []string
	for i := range 3 {
		b, err := bus.Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		e := deleted(fmt.Sprint(i))
		ids = append(ids, e.ID)
		publish(t, b, e)
		if err := b.Consume(context.Background(), h.consumer("steady", event.Filter{})); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is heard", func() bool { return len(h.all()) == i+1 })
		closeBus(t, b)
	}
	if got := h.all(); !slices.Equal(got, ids) {
		t.Errorf("heard %v, want %v", got, ids)
	}
}

func TestStopWaitsForHandlers(t *testing.T) {
	b := open(t, testConfig(t))
	began, finished := make(chan struct{}), atomic.Bool{}
	err := b.Consume(context.Background(), event.Consumer{Name: "slow", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		close(began)
		time.Sleep(300 * time.Millisecond)
		finished.Store(true)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, deleted("v"))
	<-began
	if err := b.StopConsumers(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !finished.Load() {
		t.Error("the handler still runs")
	}
	var h heard
	if err := b.Consume(context.Background(), h.consumer("late", event.Filter{})); err == nil {
		t.Error("a consumer was started after the stop")
	}
	publish(t, b, deleted("w")) // the outbox is drained after the consumers
}

func TestStopGivesUpWhenItMustNotWait(t *testing.T) {
	cfg := testConfig(t)
	b, err := bus.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	err = b.Consume(context.Background(), event.Consumer{Name: "stuck", Filters: []event.Filter{{}}, Handle: func(ctx context.Context, _ event.Envelope) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	e := deleted("v")
	publish(t, b, e)
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("close: %v; want the consumer named", err)
	}
	b = open(t, cfg)
	var h heard
	if err := b.Consume(context.Background(), h.consumer("stuck", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is delivered again", func() bool { return slices.Contains(h.all(), e.ID) })
}

func TestConsumeRefuses(t *testing.T) {
	b := open(t, testConfig(t))
	var h heard
	ok := h.consumer("ok", event.Filter{})
	if err := b.Consume(context.Background(), ok); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]event.Consumer{
		"twice":     ok,
		"bad name":  h.consumer("a b", event.Filter{}),
		"plugin":    h.consumer("plugin-x", event.Filter{}),
		"no filter": h.consumer("deaf"),
		"no handle": {Name: "x", Filters: []event.Filter{{}}},
	} {
		if err := b.Consume(context.Background(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPrune(t *testing.T) {
	cfg := testConfig(t)
	b, err := bus.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	for _, name := range []string{"stays", "goes"} {
		if err := b.Consume(context.Background(), h.consumer(name, event.Filter{})); err != nil {
			t.Fatal(err)
		}
	}
	closeBus(t, b)
	b = open(t, cfg)
	if err := b.Consume(context.Background(), h.consumer("stays", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"goes"}, nil} {
		if gone, err := b.Prune(context.Background()); err != nil || !slices.Equal(gone, want) {
			t.Errorf("pruned %v, %v; want %v", gone, err, want)
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	b := open(t, testConfig(t))
	tooLarge := event.New(event.PluginComplete{Plugin: "x", Message: json.RawMessage(`"` + strings.Repeat("x", event.MaxSize) + `"`)})
	for name, e := range map[string]event.Envelope{"empty": {}, "too large": tooLarge} {
		if err := b.Publish(context.Background(), e); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Publish(ctx, deleted("v")); errs.CodeOf(err) != errs.Unavailable {
		t.Errorf("cancelled: %v, want unavailable", err)
	}
}

// An event of ours that breaks its schema is not said; what the outbox has is,
// and what plugins answer.
func TestPublishHoldsToSchemas(t *testing.T) {
	b := open(t, testConfig(t))
	broken := event.New(event.VideoDeleted{ID: "v"})
	unknown := deleted("v")
	unknown.DetailType = "VideoForgotten"
	for e, want := range map[*event.Envelope]string{&broken: "detail.channel_name is empty", &unknown: "there is no event"} {
		err := b.Publish(context.Background(), *e)
		if errs.CodeOf(err) != errs.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want invalid: %s", err, want)
		}
	}
	var h heard
	if err := b.Consume(context.Background(), h.consumer("all", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	foreign := event.New(event.PluginComplete{Plugin: "x", Message: json.RawMessage(`1`)})
	publish(t, b, foreign)
	if err := b.Relay(context.Background(), broken); err != nil {
		t.Error(err)
	}
	eventually(t, "both are heard", func() bool { return len(h.all()) == 2 })
	if got := h.all(); !slices.Contains(got, broken.ID) || !slices.Contains(got, foreign.ID) {
		t.Errorf("heard %v", got)
	}
}

// The largest event that may be said is carried.
func TestRelayAll(t *testing.T) {
	b := open(t, bus.Config{})
	var h heard
	c := h.consumer("c", event.Filter{})
	if err := b.Consume(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	var events []event.Envelope
	for i := range 100 {
		events = append(events, deleted(fmt.Sprintf("v%d", i)))
	}
	for _, part := range [][]event.Envelope{events[:40], events[20:], nil} { // some again
		if n, err := b.RelayAll(context.Background(), part); err != nil || n != len(part) {
			t.Fatalf("%d of %d, %v", n, len(part), err)
		}
	}
	large := event.New(event.VideoDeleted{ChannelName: strings.Repeat("c", event.MaxSize), ID: "v"})
	if n, err := b.RelayAll(context.Background(), []event.Envelope{deleted("before"), large, deleted("after")}); n != 1 || err == nil {
		t.Errorf("with one that is too large: %d, %v", n, err)
	}
	eventually(t, "all are heard", func() bool { return len(h.all()) >= 101 })
	got := h.all()
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != 101 || len(got) != 101 {
		t.Errorf("%d events, %d of them different, want 101", len(got), n)
	}
}

func TestLargestEvent(t *testing.T) {
	b := open(t, testConfig(t))
	e := event.New(event.PluginComplete{Plugin: "x", Message: json.RawMessage(`"` + strings.Repeat("x", event.MaxSize-1000) + `"`)})
	publish(t, b, e)
	var h heard
	if err := b.Consume(context.Background(), h.consumer("all", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is heard", func() bool { return len(h.all()) == 1 })
}

func TestLive(t *testing.T) {
	b := open(t, testConfig(t))
	got := make(chan string, 10)
	stop, err := b.SubscribeLive("rt.reaction.*", func(subject string, data []byte) { got <- subject + " " + string(data) })
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"rt.other.c1", "rt.reaction.c1"} {
		if err := b.PublishLive(subject, []byte("hi")); err != nil {
			t.Fatal(err)
		}
	}
	if s := <-got; s != "rt.reaction.c1 hi" {
		t.Errorf("got %q", s)
	}
	stop()
	if err := b.PublishLive("rt.reaction.c1", nil); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"ev.a.b.c", "rt.*", "rt.>", "rt. x", "$SYS.x"} {
		if err := b.PublishLive(subject, nil); err == nil {
			t.Errorf("published on %q", subject)
		}
	}
	if _, err := b.SubscribeLive("ev.>", nil); err == nil {
		t.Error("events were given as live messages")
	}
	select {
	case s := <-got:
		t.Errorf("heard %q after stop", s)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestSubscribeEvents(t *testing.T) {
	b := open(t, testConfig(t))
	publish(t, b, deleted("before"))
	got := make(chan event.Envelope, 10)
	stop, err := b.SubscribeEvents(func(e event.Envelope) { got <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	now := deleted("now")
	publish(t, b, now)
	if e := <-got; e.ID != now.ID {
		t.Errorf("heard %+v, want %+v", e, now)
	}
}

// Consumers that hear events shuffled and again, as the contract of the bus
// allows, come to the same end as long as they keep receipts.
func TestShuffledAndRepeated(t *testing.T) {
	b := open(t, testConfig(t))
	var events []event.Envelope
	for i := range 50 {
		events = append(events, deleted(fmt.Sprint(i)))
	}
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	var mu sync.Mutex
	seen, failedOnce := map[string]int{}, map[string]bool{}
	err := b.Consume(context.Background(), event.Consumer{Name: "counter", Filters: []event.Filter{{}}, Handle: func(_ context.Context, e event.Envelope) error {
		mu.Lock()
		defer mu.Unlock()
		if !failedOnce[e.ID] && rand.N(2) == 0 {
			failedOnce[e.ID] = true
			return errors.New("again, please")
		}
		seen[e.ID]++
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, events...)
	publish(t, b, events...)
	eventually(t, "all are handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == len(events)
	})
	mu.Lock()
	defer mu.Unlock()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s counted %d times", id, n)
		}
	}
}

func BenchmarkPublishToConsumer(bench *testing.B) {
	cfg := testConfig(bench)
	cfg.Logger = nil
	b := open(bench, cfg)
	got := make(chan struct{}, 1)
	err := b.Consume(context.Background(), event.Consumer{Name: "bench", Filters: []event.Filter{{}}, Handle: func(context.Context, event.Envelope) error {
		got <- struct{}{}
		return nil
	}})
	if err != nil {
		bench.Fatal(err)
	}
	for bench.Loop() {
		publish(bench, b, deleted("v"))
		<-got
	}
}
