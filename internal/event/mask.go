package event

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Mask stands where a task token was.
const Mask = "(masked)"

// Masked returns the event without task tokens, which are secrets of the plugin
// asked: every field of the detail by the name taskToken, at any depth and in
// any case, is Mask. For all that shows, keeps or passes on events.
func (e Envelope) Masked() Envelope {
	if !mayHaveToken(e.Detail) {
		return e
	}
	d := json.NewDecoder(bytes.NewReader(e.Detail))
	d.UseNumber()
	var detail map[string]any
	if err := d.Decode(&detail); err != nil {
		e.Detail = json.RawMessage(`{}`) // Parse lets none through
		return e
	}
	if !maskIn(detail) {
		return e
	}
	masked, err := json.Marshal(detail)
	if err != nil {
		masked = []byte(`{}`) // what was decoded can be encoded
	}
	e.Detail = masked
	return e
}

// MaskedJSON returns any JSON without task tokens, by the rule of Masked; what is
// no JSON is null.
func MaskedJSON(raw json.RawMessage) json.RawMessage {
	if !mayHaveToken(raw) {
		return raw
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return json.RawMessage(`null`)
	}
	if !maskIn(v) {
		return raw
	}
	masked, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`null`) // what was decoded can be encoded
	}
	return masked
}

const tokenField = "tasktoken"

// mayHaveToken spares decoding most events. A name may be written with escapes.
func mayHaveToken(detail []byte) bool {
	return bytes.Contains(detail, []byte(`\u`)) || bytes.Contains(bytes.ToLower(detail), []byte(tokenField))
}

// maskIn masks what lies in a value and says whether there was anything.
func maskIn(v any) (found bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if strings.EqualFold(name, tokenField) {
				v[name], found = Mask, true
				continue
			}
			found = maskIn(inner) || found
		}
	case []any:
		for _, inner := range v {
			found = maskIn(inner) || found
		}
	}
	return found
}
