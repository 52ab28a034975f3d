package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
)

// BenchmarkCheck: what it costs to hold an event to its schema.
func BenchmarkCheck(b *testing.B) {
	r := schema.New()
	answers := func(bytes int) event.PluginOutputs {
		out := event.PluginOutputs{}
		for _, hook := range event.Hooks() {
			out[hook] = []event.PluginOutput{{
				OutputKey: "plugin-x", OutputValue: json.RawMessage(`{"words":"` + strings.Repeat("word ", bytes/20) + `"}`),
			}}
		}
		return out
	}
	lifecycle := func(bytes int) event.Detail {
		l := eventtest.Lifecycle("st-1", "c", event.LifeCycleResult{})
		l.Plugins.Outputs = answers(bytes)
		return event.LifeCycleComplete{Lifecycle: l}
	}
	for _, c := range []struct {
		name   string
		detail event.Detail
	}{
		{"StreamState", event.StreamStateChange{EventName: event.StreamStart, ChannelName: "c", StreamID: "st-1"}},
		{"ViewCount", event.ViewCountUpdated{StreamID: "st-1", ChannelName: "c", ViewCount: 12}},
		{"LifeCycleComplete", lifecycle(1000)},
		{"LifeCycleComplete180kB", lifecycle(180_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := event.New(c.detail)
			for b.Loop() {
				if err := r.Check(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew: what it costs to make the registry.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		schema.New()
	}
}
