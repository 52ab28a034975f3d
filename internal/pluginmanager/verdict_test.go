package pluginmanager

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
)

func TestParseVerdict(t *testing.T) {
	for _, tt := range []struct {
		message string
		valid   bool
		reason  string
		bad     bool
	}{
		{message: `{"valid":true}`, valid: true},
		{message: ` { "valid" : true , "reason" : null } `, valid: true},
		{message: `{"valid":false,"reason":"too\nshort\u0000"}`, reason: "too short"},
		{message: `{"valid":false,"more":[1]}`},
		{message: `{"Valid":true}`, bad: true},
		{message: `{"valid":1}`, bad: true},
		{message: `{"valid":null}`, bad: true},
		{message: `{"valid":true,"reason":7}`, bad: true},
		{message: `{}`, bad: true},
		{message: `null`, bad: true},
		{message: `true`, bad: true},
		{message: `[{"valid":true}]`, bad: true},
		{message: `"{\"valid\":true}"`, bad: true},
	} {
		valid, reason, err := parseVerdict(json.RawMessage(tt.message))
		if (err != nil) != tt.bad || valid != tt.valid || reason != tt.reason {
			t.Errorf("%s: %v, %q, %v", tt.message, valid, reason, err)
		}
	}
}

func FuzzParseVerdict(f *testing.F) {
	f.Add([]byte(`{"valid":false,"reason":"too short"}`))
	f.Add([]byte(`{"valid":true,"valid":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, reason, err := parseVerdict(b)
		if err == nil && !json.Valid(b) {
			t.Errorf("%q is a verdict", b)
		}
		if n := utf8.RuneCountInString(reason); n > maxReason || strings.ContainsRune(reason, 0) || !utf8.ValidString(reason) {
			t.Errorf("reason %q", reason)
		}
	})
}

func TestJudge(t *testing.T) {
	task := func(plugin, state string, deadline int64) sqlc.PluginTask {
		return sqlc.PluginTask{Hook: preValidate, Plugin: plugin, State: state, Deadline: deadline, Reason: "r-" + plugin}
	}
	tasks := []sqlc.PluginTask{task("a", stateOpen, 30), task("b", statePassed, 5), task("c", stateOpen, 20)}
	if v := judge(preValidate, tasks); !v.Open || v.Due != 20 || v.Status != "" {
		t.Errorf("waiting: %+v", v)
	}
	tasks = append(tasks, task("d", stateTimedOut, 1))
	want := verdict{Status: event.StatusFailed, Cause: "timedout", Plugin: "d", Hook: preValidate, Reason: "r-d"}
	if v := judge(preValidate, tasks); v != want {
		t.Errorf("timed out: %+v", v)
	}
	tasks = append(tasks, task("e", stateRefused, 1))
	want = verdict{Status: event.StatusInvalid, Cause: "plugin-e", Plugin: "e", Hook: preValidate, Reason: "r-e"}
	if v := judge(preValidate, tasks); v != want {
		t.Errorf("invalid wins over failed: %+v", v)
	}
	if v := judge(postValidate, tasks); !v.Open || v.Status != "" {
		t.Errorf("no other hook ends the lifecycle: %+v", v)
	}
	if v := judge(preMetadata, nil); v != (verdict{}) {
		t.Errorf("nobody asked: %+v", v)
	}
}
