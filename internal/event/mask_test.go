package event_test

import (
	"encoding/json"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

func TestMasked(t *testing.T) {
	for name, c := range map[string]struct{ detail, want string }{
		"none":              {`{"id":"v", "n":1.50}`, `{"id":"v", "n":1.50}`},
		"asked":             {`{"video":{"id":"v"},"taskToken":"t"}`, `{"taskToken":"(masked)","video":{"id":"v"}}`},
		"answered":          {`{"TaskToken":"t","Message":{"n":1.50}}`, `{"Message":{"n":1.50},"TaskToken":"(masked)"}`},
		"deep":              {`{"a":[{"b":{"TASKTOKEN":["t"]}}]}`, `{"a":[{"b":{"TASKTOKEN":"(masked)"}}]}`},
		"escaped":           {`{"\u0074askToken":"t"}`, `{"taskToken":"(masked)"}`},
		"twice":             {`{"taskToken":"t","taskToken":"u"}`, `{"taskToken":"(masked)"}`},
		"in a text":         {`{"a":"the taskToken"}`, `{"a":"the taskToken"}`},
		"an escape, but no": {`{"a":"\u00e4"}`, `{"a":"\u00e4"}`},
	} {
		t.Run(name, func(t *testing.T) {
			in := event.Envelope{Detail: json.RawMessage(c.detail)}
			if got := in.Masked(); string(got.Detail) != c.want {
				t.Errorf("%s", got.Detail)
			}
			if string(in.Detail) != c.detail {
				t.Errorf("the event itself was changed: %s", in.Detail)
			}
		})
	}
}

func TestMaskedJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":[{"TaskToken":"t"}]}`: `{"a":[{"TaskToken":"(masked)"}]}`,
		`[{"taskToken":"t"},2.50]`:  `[{"taskToken":"(masked)"},2.50]`,
		`"taskToken"`:               `"taskToken"`,
		`{"id": "v"}`:               `{"id": "v"}`,
		`{"taskToken":`:             `null`,
		``:                          ``,
	} {
		if got := event.MaskedJSON(json.RawMessage(in)); string(got) != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
