// Package schema says, as JSON Schema, what every event of our own looks like,
// and holds events to it. The schemas are derived from the types of package
// event and their field tags: doc, enum, pattern, format, minLength, minimum.
// To add an event, add its type there and an entry to definitions here.
package schema

import (
	"bytes"
	"encoding/json"
)

// dialect is JSON Schema 2020-12.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// object is a JSON object that keeps the order of its members, so that schemas
// read like the types they come from.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeMember(&b, m); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func writeMember(b *bytes.Buffer, m member) error {
	name, err := json.Marshal(m.name)
	if err != nil {
		return err
	}
	value, err := json.Marshal(m.value)
	if err != nil {
		return err
	}
	b.Write(name)
	b.WriteByte(':')
	b.Write(value)
	return nil
}

// envelope is the schema of a whole event, whose detail has a schema of its own.
func envelope(id, title, description string, source, detailType, detail object, examples []json.RawMessage) object {
	text := func(doc string, more ...member) object {
		return append(object{{"type", "string"}, {"description", doc}}, more...)
	}
	whole := object{
		{"$schema", dialect}, {"$id", id}, {"title", title}, {"description", description},
		{"type", "object"},
		{"properties", object{
			{"version", object{{"const", "0"}, {"description", "of this shape"}}},
			{"id", text("the event's own: what is heard twice has the same", member{"minLength", 1})},
			{"detail-type", append(detailType, member{"description", "what happened"})},
			{"source", append(source, member{"description", "whose fact it is"})},
			{"account", text("whose installation it is")},
			{"time", text("when it was said, RFC 3339 in UTC", member{"format", "date-time"})},
			{"region", text("where it was said")},
			{"resources", object{{"type", "array"}, {"description", "always empty; there for what reads EventBridge's events"}, {"items", object{{"type", "string"}}}}},
			{"detail", detail},
		}},
		{"required", []string{"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}},
	}
	if len(examples) > 0 {
		whole = append(whole, member{"examples", examples})
	}
	return whole
}
