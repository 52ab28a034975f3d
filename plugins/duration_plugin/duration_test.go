package durationplugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	durationplugin "github.com/serverlessvideo/serverlessvideo/plugins/duration_plugin"
	"github.com/serverlessvideo/serverlessvideo/sdk"
)

func TestDuration(t *testing.T) {
	tests := []struct {
		ms   int64
		want string
	}{
		{0, `{"valid":false,"reason":"the video is 0.0 s long; it must be longer than 10 s"}`},
		{4_210, `{"valid":false,"reason":"the video is 4.2 s long; it must be longer than 10 s"}`},
		{9_999, `{"valid":false,"reason":"the video is 9.999 s long; it must be longer than 10 s"}`},
		{10_000, `{"valid":false,"reason":"the video is 10.0 s long; it must be longer than 10 s"}`},
		{10_001, `{"valid":true}`},
		{3_600_000, `{"valid":true}`},
	}
	for _, tt := range tests {
		detail := fmt.Sprintf(`{"video":{"id":"st-1","durationmillis":%d},"taskToken":"t"}`, tt.ms)
		got, err := sdk.Run(context.Background(), durationplugin.Handler(), "preValidate.duration_plugin", []byte(detail))
		if err != nil || string(got) != tt.want {
			t.Errorf("%d ms: %s, %v; want %s", tt.ms, got, err, tt.want)
		}
	}
}

func TestManifest(t *testing.T) {
	var m struct{ Name, EventHook string }
	if err := json.Unmarshal(durationplugin.Manifest(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "duration_plugin" || m.EventHook != "preValidate" {
		t.Errorf("manifest %+v", m)
	}
}
