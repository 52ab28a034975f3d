package schema_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
)

// details returns an event of every type, whole enough for its schema.
func details() []event.Detail {
	url := "https://tv.example/vod/st-1/"
	l := eventtest.Lifecycle("st-1", "c", event.LifeCycleResult{Outputs: event.PluginOutputs{
		"preValidate": {{OutputKey: "plugin-x", OutputValue: json.RawMessage(`{"valid":true}`)}},
	}})
	return []event.Detail{
		event.BroadcastUserCreated{Sub: "u", Email: "a@example.com", Username: "brave-otter"},
		event.PluginEvent{
			Plugin: "x", Delivery: "msg_1", Rule: event.PluginEventRule{ID: "ru-1", Name: "tell it"}, Event: json.RawMessage(`{}`), TaskToken: "t",
		},
		event.UserSuspended{Sub: "u"},
		event.UserDeleted{Sub: "u"},
		event.ChannelUpdated{ChannelName: "c"},
		event.StreamKeyRotated{ChannelName: "c"},
		event.StreamStateChange{EventName: event.IngestConfigured, ChannelName: "c", StreamID: "st-1", Ingest: &event.IngestConfiguration{Protocol: "WHIP", VideoCodec: "H264"}},
		event.RecordingStateChange{RecordingStatus: event.RecordingEnd, ChannelName: "c", StreamID: "st-1", RecordingS3KeyPrefix: "recordings/c/st-1", RecordingDurationMS: 1},
		event.ViewCountUpdated{StreamID: "st-1", ChannelName: "c", ViewCount: 3},
		event.MP4ProcessingStarted{ChannelName: "c", ID: "st-1", Attempt: 1},
		event.MP4ProcessingComplete{
			ChannelName: "c", ID: "st-1", Compute: "local", StreamURL: url + "s", PlaybackURL: url + "p",
			Codecs: []string{"avc1.42c01e"}, Notes: []string{"none"},
		},
		event.MP4ProcessingFailed{ChannelName: "c", ID: "st-1", Reason: "no key frame", Attempt: 2},
		event.RecordingReadyEvent{RecordingStatus: event.RecordingReady, ChannelName: "c", ID: "st-1", StreamURL: url + "s", CreatedAt: l.CreatedAt},
		event.LifeCycleStarted{ID: "st-1", ChannelName: "c", StreamURL: url + "s", CreatedAt: l.CreatedAt},
		event.PluginInvocation{
			Hook: "postValidate", Plugin: "content_moderation_plugin", TaskToken: "secret", PluginData: l.Plugins.Outputs,
			Video: event.PluginVideo{ID: "st-1", Channel: "c", StreamURL: url + "s", CreatedAt: l.CreatedAt},
		},
		event.PluginComplete{Plugin: "x", TaskToken: "secret", Message: json.RawMessage(`[1,"a",null]`)},
		event.PluginFailed{ID: "st-1", ChannelName: "c", Message: "no answer", ExecutionID: "life-st-1", Plugin: "x", Hook: "preValidate"},
		event.LifeCycleComplete{Lifecycle: l},
		event.VideoStatusUpdated{Lifecycle: l, Status: event.StatusValid, Title: "T", Tags: []string{"a"}},
		event.VideoDeleted{ChannelName: "c", ID: "st-1"},
	}
}

// What the Go types are encoded as keeps the schemas, and is decoded to the same.
func TestTypesKeepTheirSchemas(t *testing.T) {
	r := schema.New()
	seen := map[string]bool{}
	for _, d := range details() {
		e := event.New(d)
		if err := r.Check(e); err != nil {
			t.Error(err)
		}
		if of := r.Of(e); of != nil {
			seen[of.Name] = true
		}
	}
	for _, typ := range r.Types() {
		if !seen[typ.Name] {
			t.Errorf("the test says no %s", typ.Name)
		}
	}
}

// A type of package event that has no schema could not be said.
func TestEveryTypeHasASchema(t *testing.T) {
	known := map[string]bool{}
	for _, d := range details() {
		known[reflect.TypeOf(d).Name()] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../types.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "EventType" {
			continue
		}
		found++
		if name := f.Recv.List[0].Type.(*ast.Ident).Name; !known[name] {
			t.Errorf("event.%s is in no test here, and so perhaps in no definition", name)
		}
	}
	if found < 15 {
		t.Errorf("only %d types were found", found)
	}
}

// The examples are events of their types, whole, by the schemas that are served.
func TestExamples(t *testing.T) {
	r := schema.New()
	for _, typ := range r.Types() {
		if len(typ.Examples) == 0 {
			t.Errorf("%s has no example", typ.Name)
		}
		whole := compile(t, typ)
		for _, example := range typ.Examples {
			e, err := event.Parse(example.Event)
			if err != nil {
				t.Fatal(err)
			}
			if r.Of(e) != typ {
				t.Errorf("the example %s is no %s", example.Name, typ.Name)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(example.Event))
			if err == nil {
				err = whole.Validate(value)
			}
			if err != nil {
				t.Errorf("%s: %v", example.Name, err)
			}
			if token := strings.Count(strings.ToLower(string(example.Event)), "tasktoken"); token != strings.Count(string(example.Event), event.Mask) {
				t.Errorf("%s shows a task token", example.Name)
			}
		}
	}
}

// compile compiles a schema as somebody outside does, who got it by HTTP.
func compile(t *testing.T, typ *schema.Type) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(typ.Schema))
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://tv.example/api/events/schemas/x"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(url, document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(url)
	if err != nil {
		t.Fatalf("%s is no schema of 2020-12: %v", typ.Name, err)
	}
	return s
}

func TestNamesAreUnique(t *testing.T) {
	r := schema.New()
	var names []string
	for _, typ := range r.Types() {
		if event.Token(typ.Name) != typ.Name || slices.Contains(names, typ.Name) || r.Named(typ.Name) != typ {
			t.Errorf("%q is no name", typ.Name)
		}
		names = append(names, typ.Name)
	}
}

func TestCheckRefuses(t *testing.T) {
	const (
		manager = event.SourcePluginManager
		asks    = `"video":{"id":"v","channel":"c","author":{"username":"u"},"createdAt":"2026-11-26T12:00:00Z","durationmillis":1,` +
			`"thumbnail":"","playbackUrl":"","streamUrl":"https://x/s","recording_s3_key_prefix":"r"}`
	)
	r := schema.New()
	for _, c := range []struct{ source, detailType, detail, want string }{
		{event.SourceStreaming, "Stream State Change", `{}`, "detail.channel_name is missing; detail.event_name is missing; detail.stream_id is missing"},
		{event.SourceStreaming, "Stream State Change", `{"event_name":"Stream Pause","channel_name":"c","stream_id":"s"}`, `detail.event_name must be one of "Stream Start", "Stream End"`},
		{event.SourceStreaming, "Stream State Change", `{"event_name":"Stream Start","channel_name":"","stream_id":"a/b"}`, "detail.channel_name is empty; detail.stream_id does not match"},
		{event.SourceStreaming, "Stream State Change", `{"event_name":"Stream Start","channel_name":"c","stream_id":"s","more":1}`, "detail.more is not one of its fields"},
		{event.SourceStreaming, "Stream State Change", `{"event_name":"Ingest Configuration","channel_name":"c","stream_id":"s"}`, "detail.ingest_configuration is missing"},
		{event.SourceStreaming, "Stream State Change", `{"event_name":"Stream End","channel_name":"c","stream_id":"s","ingest_configuration":{"protocol":"WHIP","video_codec":"H264"}}`, "detail.ingest_configuration must not be there"},
		{event.SourceStreaming, "Stream State Change", `{"event_name":"Ingest Configuration","channel_name":"c","stream_id":"s","ingest_configuration":{"protocol":"SRT"}}`, `detail.ingest_configuration.protocol must be one of "WHIP", "RTMP"; detail.ingest_configuration.video_codec is missing`},
		{event.SourceViewCounter, "ViewCountUpdated", `{"stream_id":"s","channel_name":"c","view_count":-1}`, "detail.view_count is less than 0"},
		{event.SourceViewCounter, "ViewCountUpdated", `{"stream_id":"s","channel_name":"c","view_count":1.5}`, "detail.view_count is a number, want an integer"},
		{event.SourceViewCounter, "ViewCountUpdated", `{"stream_id":7,"channel_name":null,"view_count":1}`, "detail.channel_name is null, want a string; detail.stream_id is a number, want a string"},
		{event.SourceViewCounter, "ViewCountUpdated", `[]`, "detail is an array, want an object"},
		{event.SourceViewCounter, "ViewCountUpdated", `{`, "detail is no JSON"},
		{event.SourceViewCounter, "VideoDeleted", `{}`, `there is no event "VideoDeleted" of serverlessVideo.viewCounter`},
		{"serverlessVideo.vidoManager", "VideoDeleted", `{}`, "there is no event"},
		{manager, "preLunch.x", `{}`, `there is no event "preLunch.x"`},
		{manager, "preValidate.", `{}`, `there is no event "preValidate."`},
		{manager, "plugin-complete", `{"TaskToken":"t","Message":1}`, "there is no event"},
		{manager, "preValidate.x", `{` + asks + `,"taskToken":""}`, "detail.taskToken is empty"},
		{manager, "preMetadata.x", `{` + asks + `,"taskToken":"t","pluginData":{"preLunch":[]}}`, "detail.pluginData.preLunch is not one of its fields"},
		{manager, "preMetadata.x", `{` + asks + `,"taskToken":"t","pluginData":{"preValidate":[{"OutputKey":"a","OutputValue":1}]}}`, "detail.pluginData.preValidate[0].OutputKey does not match"},
		{"serverlessVideo.plugin.x", "plugin-complete", `{"TaskToken":"t"}`, "detail.Message is missing"},
	} {
		err := r.Check(event.Envelope{ID: "e", Source: c.source, DetailType: c.detailType, Detail: json.RawMessage(c.detail)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.detailType, c.detail, err, c.want)
		}
	}
}

func TestCheckLetsPass(t *testing.T) {
	r := schema.New()
	for _, c := range []struct{ source, detailType, detail string }{
		{"aws.s3", "Object Created", `{"bucket":"b"}`},
		{"simulator", "Recording State Change", `{}`},
		{"serverlessVideo.plugin.generateTags", "plugin-complete-tags", `{"TaskToken":"t","Message":{"tags":[]},"more":1}`},
	} {
		if err := r.Check(event.Envelope{ID: "e", Source: c.source, DetailType: c.detailType, Detail: json.RawMessage(c.detail)}); err != nil {
			t.Error(err)
		}
	}
}

// What is wrong is said without what is there: a secret may be.
func TestErrorsShowNoValues(t *testing.T) {
	err := schema.New().Check(event.Envelope{
		ID: "e", Source: event.SourceAuth, DetailType: "UserDeleted", Detail: json.RawMessage(`{"sub":["hush-hush"],"stream_key":"hush-hush"}`),
	})
	if err == nil || strings.Contains(err.Error(), "hush-hush") {
		t.Error(err)
	}
}
