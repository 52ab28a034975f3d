package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

func TestSubject(t *testing.T) {
	tests := []struct {
		name   string
		detail event.Detail
		want   string
	}{
		{"a stream", event.StreamStateChange{EventName: event.StreamStart, ChannelName: "c1", StreamID: "st-1"}, "ev.serverlessVideo-streaming.Stream-State-Change.st-1"},
		{"a video", event.VideoDeleted{ChannelName: "c1", ID: "st-1"}, "ev.serverlessVideo-videoManager.VideoDeleted.st-1"},
		{"a channel", event.ChannelUpdated{ChannelName: "c1"}, "ev.serverlessVideo-channel.ChannelUpdated.c1"},
		{"neither", event.UserDeleted{Sub: "u1"}, "ev.serverlessVideo-auth.UserDeleted.-"},
		{"an invocation is about its video", event.PluginInvocation{Hook: "preValidate", Plugin: "duration_plugin", Video: event.PluginVideo{ID: "st-1", Channel: "c1"}}, "ev.serverlessVideo-pluginManager.preValidate-duration_plugin.st-1"},
		{"dots and stars do not make tokens", event.VideoDeleted{ID: "a.b*c>d"}, "ev.serverlessVideo-videoManager.VideoDeleted.a-b-c-d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := event.New(tt.detail).Subject(); got != tt.want {
				t.Errorf("subject %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	sent := event.New(event.StreamStateChange{EventName: event.StreamEnd, ChannelName: "c", StreamID: "s"})
	b, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"version":"0"`, `"detail-type":"Stream State Change"`, `"account":`, `"region":`, `"resources":[]`, `"event_name":"Stream End"`} {
		if !strings.Contains(string(b), key) {
			t.Errorf("%s lacks %s", b, key)
		}
	}
	got, err := event.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Time.Equal(sent.Time) || got.ID != sent.ID {
		t.Errorf("got %+v, want %+v", got, sent)
	}
	var d event.StreamStateChange
	if err := got.Decode(&d); err != nil || d.StreamID != "s" {
		t.Errorf("detail %+v, %v", d, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":          `ev`,
		"no id":            `{"source":"a","detail-type":"b","detail":{}}`,
		"no source":        `{"id":"1","detail-type":"b","detail":{}}`,
		"no detail-type":   `{"id":"1","source":"a","detail":{}}`,
		"no detail":        `{"id":"1","source":"a","detail-type":"b"}`,
		"detail no object": `{"id":"1","source":"a","detail-type":"b","detail":[1]}`,
		"too large":        `{"id":"1","source":"a","detail-type":"b","detail":{"x":"` + strings.Repeat("x", event.MaxSize) + `"}}`,
	} {
		if _, err := event.Parse([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCheckedSubject(t *testing.T) {
	good := event.New(event.StreamStateChange{EventName: event.StreamStart, ChannelName: "c", StreamID: "st-1"})
	if subject, err := good.CheckedSubject(); err != nil || subject != good.Subject() {
		t.Errorf("%q, %v, want %q", subject, err, good.Subject())
	}
	for name, change := range map[string]func(e *event.Envelope){
		"id with U+0000":            func(e *event.Envelope) { e.ID = "a\x00" },
		"source with a line break":  func(e *event.Envelope) { e.Source = "a\nb" },
		"detail-type with U+0000":   func(e *event.Envelope) { e.DetailType = "plugin\x00complete" },
		"about something no id":     func(e *event.Envelope) { e.Detail = []byte(`{"id":"a\u0000"}`) },
		"about a channel of no id":  func(e *event.Envelope) { e.Detail = []byte(`{"video":{"channel":"a\u0000"}}`) },
		"an id that is too long":    func(e *event.Envelope) { e.ID = strings.Repeat("x", 129) },
		"a source that is too long": func(e *event.Envelope) { e.Source = strings.Repeat("x", 257) },
	} {
		e := good
		change(&e)
		if _, err := e.CheckedSubject(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"1","source":"a","detail-type":"b","detail":{"id":"x"}}`))
	f.Add([]byte(`{"id":"1","source":"a","detail-type":"b","detail":{"id":7}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := event.Parse(b)
		if err != nil {
			return
		}
		if n := strings.Count(e.Subject(), "."); n != 3 {
			t.Errorf("subject %q has %d tokens, want 4", e.Subject(), n+1)
		}
	})
}

func TestFilter(t *testing.T) {
	e := event.New(event.PluginComplete{Plugin: "generateTags", TaskToken: "x", Message: json.RawMessage(`{}`)})
	tests := []struct {
		filter  event.Filter
		match   bool
		subject string
	}{
		{event.Filter{}, true, "ev.*.*.*"},
		{event.Filter{Source: "serverlessVideo.plugin*", Type: "plugin-complete*"}, true, "ev.*.*.*"},
		{event.Filter{Type: "plugin-complete"}, true, "ev.*.plugin-complete.*"},
		{event.Filter{Source: event.SourceAuth}, false, "ev.serverlessVideo-auth.*.*"},
	}
	for _, tt := range tests {
		if got := tt.filter.Match(e); got != tt.match {
			t.Errorf("%+v: match %v, want %v", tt.filter, got, tt.match)
		}
		if got := tt.filter.Subject(); got != tt.subject {
			t.Errorf("%+v: subject %q, want %q", tt.filter, got, tt.subject)
		}
	}
}

func TestLifeCycleResultRoundTrip(t *testing.T) {
	in := event.LifeCycleComplete{Lifecycle: event.Lifecycle{ID: "v", Plugins: event.LifeCycleResult{
		Outputs: event.PluginOutputs{"preValidate": {{OutputKey: "plugin-duration_plugin", OutputValue: json.RawMessage(`{"valid":false}`)}}},
		Status:  event.StatusInvalid, Cause: "plugin-duration_plugin", Plugin: "duration_plugin", Hook: "preValidate", Reason: "too short",
	}}}
	e := event.New(in)
	var flat struct {
		Plugins map[string]json.RawMessage `json:"plugins"`
	}
	if err := e.Decode(&flat); err != nil {
		t.Fatal(err)
	}
	if string(flat.Plugins["cause"]) != `"plugin-duration_plugin"` || flat.Plugins["preValidate"] == nil {
		t.Errorf("plugins %s", e.Detail)
	}
	var out event.LifeCycleComplete
	if err := e.Decode(&out); err != nil {
		t.Fatal(err)
	}
	if out.Plugins.Reason != "too short" || len(out.Plugins.Outputs["preValidate"]) != 1 {
		t.Errorf("got %+v", out.Plugins)
	}
}
