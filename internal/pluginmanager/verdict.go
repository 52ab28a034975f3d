package pluginmanager

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxReason = 500 // characters

	wantVerdict = `a validator answers {"valid": true} or {"valid": false, "reason": "…"}`
)

// parseVerdict reads a validator's answer: "valid" must be a boolean, "reason",
// if there is one, a string; further keys are the plugin's own and go to later
// hooks. Errors: errs.Invalid with what is wrong.
func parseVerdict(message json.RawMessage) (valid bool, reason string, err error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(message, &fields) != nil || fields == nil {
		return false, "", errs.New(errs.Invalid, "the answer is no JSON object: "+wantVerdict)
	}
	raw, ok := fields["valid"]
	if !ok {
		return false, "", errs.New(errs.Invalid, `the answer has no "valid": `+wantVerdict)
	}
	switch string(raw) {
	case "true":
		valid = true
	case "false":
	default:
		return false, "", errs.New(errs.Invalid, `"valid" of the answer is not true or false: `+wantVerdict)
	}
	if raw, ok := fields["reason"]; ok && string(raw) != "null" {
		if json.Unmarshal(raw, &reason) != nil {
			return false, "", errs.New(errs.Invalid, `"reason" of the answer is no text: `+wantVerdict)
		}
	}
	return valid, clean(reason), nil
}

// clean makes a plugin's words one line of bounded length.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if runes := []rune(s); len(runes) > maxReason {
		s = string(runes[:maxReason])
	}
	return strings.TrimSpace(s)
}
