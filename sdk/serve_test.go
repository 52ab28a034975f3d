package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

// host is a real bus that lets a plugin called "tagger" in.
type host struct {
	*bus.Bus
	t       *testing.T
	answers chan event.Envelope
}

func newHost(t *testing.T) *host {
	t.Helper()
	ctx := context.Background()
	b, err := bus.Open(ctx, bus.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Secret: []byte("of this test"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	h := &host{Bus: b, t: t, answers: make(chan event.Envelope, 10)}
	err = b.SetPlugins(ctx, []bus.Plugin{{Name: "tagger", Hook: "postMetadata", Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Consume(ctx, event.Consumer{
		Name: "answers", Filters: []event.Filter{{Type: "plugin-complete*"}},
		Handle: func(_ context.Context, e event.Envelope) error { h.answers <- e; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) options() sdk.Options {
	return sdk.Options{URL: "nats://" + h.Addr(), Name: "tagger", Secret: secret, Logger: slog.New(slog.NewTextHandler(h.t.Output(), nil))}
}

func (h *host) invoke(video string) event.Envelope {
	h.t.Helper()
	e := event.New(event.PluginInvocation{
		Hook: "postMetadata", Plugin: "tagger", TaskToken: "token-" + video,
		Video: event.PluginVideo{ID: video, Channel: "alice", Author: event.Author{Username: "otter"}, DurationMillis: 12_000, CreatedAt: "2026-11-26T12:00:00.000Z",
			PlaybackURL: "https://x/video.mp4", StreamURL: "https://x/master.m3u8", RecordingS3KeyPrefix: "recordings/alice/" + video},
		PluginData: event.PluginOutputs{"preMetadata": {
			{OutputKey: "plugin-transcribe", OutputValue: json.RawMessage(`{"words":7}`)},
		}},
	})
	if err := h.Publish(context.Background(), e); err != nil {
		h.t.Fatal(err)
	}
	return e
}

func (h *host) answer() (event.Envelope, event.PluginComplete) {
	h.t.Helper()
	select {
	case e := <-h.answers:
		var d event.PluginComplete
		if err := e.Decode(&d); err != nil {
			h.t.Fatal(err)
		}
		return e, d
	case <-time.After(20 * time.Second):
		h.t.Fatal("no answer")
	}
	return event.Envelope{}, event.PluginComplete{}
}

// start serves in the background until the returned function is called.
func start(t *testing.T, o sdk.Options, handler sdk.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sdk.Serve(ctx, o, handler) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func TestServe(t *testing.T) {
	h := newHost(t)
	got := make(chan sdk.Invocation, 1)
	start(t, h.options(), sdk.Metadata(func(_ context.Context, in sdk.Invocation) (any, error) {
		got <- in
		var words struct{ Words int }
		if ok, err := in.PluginData.Of("preMetadata", "transcribe", &words); !ok || err != nil || words.Words != 7 {
			t.Errorf("plugin data: %v, %v, %+v", ok, err, words)
		}
		return sdk.Description{Title: "a <talk>", Tags: []string{"x"}}, nil
	}))
	h.invoke("st-1")
	e, d := h.answer()
	in := <-got
	if in.Hook != "postMetadata" || in.Plugin != "tagger" || in.Video.ID != "st-1" || in.Video.Author.Username != "otter" || in.Video.DurationMillis != 12_000 {
		t.Errorf("invocation %+v", in)
	}
	if event.PluginOf(e.Source) != "tagger" || d.TaskToken != "token-st-1" {
		t.Errorf("answer of %s, token %q", e.Source, d.TaskToken)
	}
	var said sdk.Description
	if err := json.Unmarshal(d.Message, &said); err != nil || said.Title != "a <talk>" {
		t.Errorf("message %s, %v", d.Message, err)
	}
	if strings.Contains(e.ID, "token") {
		t.Error("the token is in the id")
	}
}

func TestHandlerThatFailsIsTriedAgain(t *testing.T) {
	h := newHost(t)
	var calls atomic.Int32
	start(t, h.options(), sdk.Metadata(func(context.Context, sdk.Invocation) (any, error) {
		switch calls.Add(1) {
		case 1:
			return nil, errors.New("not now")
		case 2:
			panic("oh")
		}
		return map[string]int{"calls": 3}, nil
	}))
	h.invoke("st-1")
	if _, d := h.answer(); string(d.Message) != `{"calls":3}` {
		t.Errorf("message %s", d.Message)
	}
}

// What a plugin was working on when it stopped is there when it is back.
func TestServeAgain(t *testing.T) {
	h := newHost(t)
	working := make(chan struct{})
	stop := start(t, h.options(), sdk.Metadata(func(ctx context.Context, _ sdk.Invocation) (any, error) {
		close(working)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	h.invoke("st-1")
	<-working
	stop()
	h.invoke("st-2")
	o := h.options()
	o.Concurrency = 2
	start(t, o, sdk.Metadata(func(_ context.Context, in sdk.Invocation) (any, error) { return in.Video.ID, nil }))
	_, first := h.answer()
	_, second := h.answer()
	if got := string(first.Message) + string(second.Message); got != `"st-1""st-2"` && got != `"st-2""st-1"` {
		t.Errorf("answers %s", got)
	}
}

func TestServeRefuses(t *testing.T) {
	h := newHost(t)
	handler := sdk.Validator(func(context.Context, sdk.Invocation) (sdk.Verdict, error) { return sdk.Valid(), nil })
	for name, change := range map[string]func(*sdk.Options){
		"a wrong secret":   func(o *sdk.Options) { o.Secret = "fedcba9876543210" },
		"an unknown name":  func(o *sdk.Options) { o.Name = "stranger" },
		"no URL":           func(o *sdk.Options) { o.URL = "" },
		"no name":          func(o *sdk.Options) { o.Name = "a name" },
		"no secret":        func(o *sdk.Options) { o.Secret = "" },
		"too many at once": func(o *sdk.Options) { o.Concurrency = 1000 },
	} {
		o := h.options()
		change(&o)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := sdk.Serve(ctx, o, handler)
		if err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), o.Secret) && o.Secret != "" {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
		cancel()
	}
}

func TestServeWaitsForTheServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	o := sdk.Options{URL: "nats://127.0.0.1:1", Name: "tagger", Secret: secret, Logger: slog.New(slog.DiscardHandler)}
	if err := sdk.Serve(ctx, o, sdk.Metadata(nil)); err != nil {
		t.Errorf("%v; a server that is away is waited for", err)
	}
}

func TestRunRefuses(t *testing.T) {
	handler := sdk.Metadata(func(context.Context, sdk.Invocation) (any, error) { return strings.Repeat("x", sdk.MaxAnswer), nil })
	for detail, detailType := range map[string]string{
		`{"video":{"id":"v"},"taskToken":"t"}`: "preMetadata.x", // the answer is too large
		`{"video":{"id":"v"}}`:                 "preMetadata.x",
		`{"taskToken":"t"}`:                    "preMetadata.x",
		`[]`:                                   "preMetadata.x",
		`{"video":{"id":"w"},"taskToken":"t"}`: "LifeCycleStarted",
	} {
		if got, err := sdk.Run(context.Background(), handler, detailType, []byte(detail)); err == nil {
			t.Errorf("%s %s: %.20s", detailType, detail, got)
		}
	}
}

// A plugin that takes events answers with what it made of them, or why it did not
// take one.
func TestEvents(t *testing.T) {
	const detail = `{"deliveryId":"msg_1","rule":{"id":"ru-1","name":"n"},"event":{"id":"e","source":"s","detail-type":"t","time":"2026-11-26T12:00:00Z","detail":{"a":1}},"taskToken":"token"}`
	for want, handler := range map[string]sdk.Events{
		`"msg_1 ru-1 n e s t {\"a\":1}"`: func(_ context.Context, d sdk.Delivery) (any, error) {
			return strings.Join([]string{d.ID, d.Rule.ID, d.Rule.Name, d.Event.ID, d.Event.Source, d.Event.DetailType, string(d.Event.Detail)}, " "), nil
		},
		`{"error":"not today"}`: func(context.Context, sdk.Delivery) (any, error) { return nil, errors.New("not today") },
	} {
		got, err := sdk.Run(t.Context(), handler, "onEvent.tagger", []byte(detail))
		if err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	other := sdk.Metadata(func(context.Context, sdk.Invocation) (any, error) { return nil, nil })
	if _, err := sdk.Run(t.Context(), other, "onEvent.tagger", []byte(detail)); err == nil {
		t.Error("a plugin of the lifecycle takes an event")
	}
	events := sdk.Events(func(context.Context, sdk.Delivery) (any, error) { return nil, nil })
	if _, err := sdk.Run(t.Context(), events, "preMetadata.tagger", []byte(`{"video":{"id":"v"},"taskToken":"t"}`)); err == nil {
		t.Error("a plugin of events takes a video")
	}
	if _, err := sdk.Run(t.Context(), events, "onEvent.tagger", []byte(`{"taskToken":"t"}`)); err == nil {
		t.Error("a delivery without an id is taken")
	}
}
