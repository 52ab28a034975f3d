package video

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// Bounds of what plugins and people may call a video.
const (
	maxTitle  = 200 // characters
	maxTags   = 50
	maxTag    = 100  // characters
	maxReason = 1000 // characters
)

type description struct {
	title      string
	tags       []string
	transcript transcript
}

// describe reads title, tags and transcript from the plugins' outputs. Later hooks win over
// earlier ones and, within a hook, later registrations.
func describe(outputs event.PluginOutputs) description {
	var d description
	for _, hook := range []string{"preValidate", "postValidate", "preMetadata", "postMetadata"} {
		for _, out := range outputs[hook] {
			d.read(out.OutputValue)
		}
	}
	return d
}

// read takes what one output says, at the top or under pluginData. Outputs may
// be any JSON: what has not the shape says nothing.
func (d *description) read(raw json.RawMessage) {
	var top map[string]json.RawMessage
	if json.Unmarshal(raw, &top) != nil {
		return
	}
	var nested map[string]json.RawMessage
	_ = json.Unmarshal(top["pluginData"], &nested) // absent or of another shape: nil
	for _, fields := range []map[string]json.RawMessage{nested, top} {
		var title string
		if json.Unmarshal(fields["title"], &title) == nil {
			if title = clean(title, maxTitle); title != "" {
				d.title = title
			}
		}
		var tags []string
		if json.Unmarshal(fields["tags"], &tags) == nil && tags != nil {
			d.tags = cleanTags(tags)
		}
		d.transcript.read(fields)
	}
}

func cleanTags(tags []string) []string {
	seen := map[string]bool{}
	out := []string{}
	for _, tag := range tags {
		tag = clean(tag, maxTag)
		if tag == "" || seen[tag] || len(out) == maxTags {
			continue
		}
		seen[tag] = true
		out = append(out, tag)
	}
	return out
}

// clean makes one line of valid UTF-8 of at most limit characters.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > limit {
		s = strings.TrimSpace(string(runes[:limit]))
	}
	return s
}

// titleOf returns what the broadcaster typed, else what the plugins found.
func titleOf(v sqlc.Video) string {
	if v.TypedTitle != "" {
		return v.TypedTitle
	}
	return v.Title
}

func encodeTags(tags []string) string {
	if len(tags) == 0 {
		return "[]"
	}
	b, err := json.Marshal(tags)
	if err != nil {
		return "[]" // strings always encode
	}
	return string(b)
}

func decodeTags(text string) []string {
	var tags []string
	_ = json.Unmarshal([]byte(text), &tags) // written by encodeTags alone
	return tags
}
