package event

import (
	"encoding/json"
	"testing"
)

func TestSimulated(t *testing.T) {
	tests := []struct {
		name string
		e    Envelope
		want bool
	}{
		{"a recording", New(RecordingStateChange{RecordingStatus: RecordingEnd, ChannelName: "c", StreamID: "st-1"}), false},
		{"its simulation", New(SimulatedRecording{RecordingStateChange{RecordingStatus: RecordingEnd, ChannelName: "c", StreamID: "sim-1-1"}}), true},
		{"by its source alone", Envelope{Source: SourceSimulator, Detail: json.RawMessage(`{}`)}, true},
		{"by id", New(MP4ProcessingStarted{ChannelName: "c", ID: "sim-1-1"}), true},
		{"by video", New(PluginInvocation{Hook: "preValidate", Plugin: "p", Video: PluginVideo{ID: "sim-1-1"}}), true},
		{"of a lifecycle", New(LifeCycleComplete{Lifecycle: Lifecycle{ID: "sim-1-1"}}), true},
		{"a channel of that name", New(ChannelUpdated{ChannelName: "simon"}), false},
		{"a real lifecycle", New(LifeCycleComplete{Lifecycle: Lifecycle{ID: "st-sim-1"}}), false},
		{"no object", Envelope{Source: SourceStreaming, Detail: json.RawMessage(`[]`)}, false},
	}
	for _, tt := range tests {
		if got := tt.e.Simulated(); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	e := tests[1].e
	if e.Source != "simulator" || e.DetailType != "Recording State Change" || e.Subject() != "ev.simulator.Recording-State-Change.sim-1-1" {
		t.Errorf("%s %s %s", e.Source, e.DetailType, e.Subject())
	}
}
