package schema

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// BasePath is where the schemas are served; it begins their $id.
const BasePath = "/api/events/schemas/"

//go:embed examples
var examples embed.FS

// Type is a type of event and its schema.
type Type struct {
	Name       string // of the schema, fit for a URL
	Source     string // of plugins with {plugin} in it
	DetailType string // of plugins with {hook} and {plugin} in it
	What       string // what it says
	When       string // when it is said
	Schema     json.RawMessage
	Examples   []Example

	document object // of the whole event, in order
	detail   *jsonschema.Schema
}

// Example is an event that a test has recorded from the code that says it.
type Example struct {
	Name  string
	Event json.RawMessage
}

// Registry knows all events of our own.
type Registry struct {
	types      []*Type
	byName     map[event.Filter]*Type // by source and detail-type
	invocation *Type
	given      *Type
	answer     *Type
	asks       *regexp.Regexp // detail-types of invocations
	gives      *regexp.Regexp // detail-types of what rules give to plugins
}

// New makes the registry. It panics when a schema is none, which is a mistake
// in the program.
func New() *Registry {
	r := &Registry{
		byName: map[event.Filter]*Type{},
		asks:   regexp.MustCompile(invocationPattern()),
		gives:  regexp.MustCompile(givenPattern()),
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, d := range definitions() {
		t := newType(compiler, d, constant(d.detail.EventSource()), constant(d.detail.EventType()), false)
		r.byName[event.Filter{Source: t.Source, Type: t.DetailType}] = t
		if t.DetailType == (event.PluginFailed{}).EventType() { // in the order of a video's life
			r.invocation = newType(compiler, invocation(), constant(event.SourcePluginManager), matching(invocationPattern()), false)
			r.given = newType(compiler, given(), constant(event.SourcePluginManager), matching(givenPattern()), false)
			r.answer = newType(compiler, answer(), matching("^serverlessVideo\\.plugin"), matching("^plugin-complete"), true)
			r.types = append(r.types, r.invocation, r.given, r.answer)
		}
		r.types = append(r.types, t)
	}
	return r
}

// aPlugin ends a detail-type by a plugin's name.
const aPlugin = `\.[A-Za-z0-9_-]{1,50}$`

func invocationPattern() string { return "^(" + strings.Join(event.Hooks(), "|") + ")" + aPlugin }
func givenPattern() string      { return "^" + event.OnEvent + aPlugin }

func constant(s string) object { return object{{"const", s}} }

func matching(pattern string) object { return object{{"type", "string"}, {"pattern", pattern}} }

// newType makes a type of event; open ones may have more fields than we know.
func newType(compiler *jsonschema.Compiler, d definition, source, detailType object, open bool) *Type {
	t := &Type{
		Name:   nameOf(d.detail),
		Source: d.detail.EventSource(), DetailType: d.detail.EventType(),
		What: d.what, When: d.when,
	}
	t.Examples = examplesOf(t.Name)
	texts := make([]json.RawMessage, len(t.Examples))
	for i, e := range t.Examples {
		texts[i] = e.Event
	}
	detail := derive(reflect.TypeOf(d.detail), open)
	if len(d.rules) > 0 {
		detail = append(detail, member{"allOf", d.rules})
	}
	id := BasePath + t.Name
	t.document = envelope(id, t.DetailType, t.What+" "+t.When, source, detailType, detail, texts)
	var err error
	if t.Schema, err = json.Marshal(t.document); err != nil {
		panic(fmt.Sprintf("schema: %s: %v", t.Name, err))
	}
	t.detail = compile(compiler, id, t.Schema)
	return t
}

// nameOf is the detail-type with what URLs do not take replaced, and without
// the plugin's name.
func nameOf(d event.Detail) string {
	switch d.(type) {
	case event.PluginInvocation:
		return "plugin-invocation"
	case event.PluginEvent:
		return "plugin-event"
	}
	return event.Token(d.EventType())
}

func compile(compiler *jsonschema.Compiler, id string, text []byte) *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = compiler.AddResource(id, document)
	}
	var compiled *jsonschema.Schema
	if err == nil {
		compiled, err = compiler.Compile(id + "#/properties/detail")
	}
	if err != nil {
		panic(fmt.Sprintf("schema: %s: %v", id, err))
	}
	return compiled
}

// examplesOf returns the recorded events of a type: NAME.json, and
// NAME.VARIANT.json where there is more than one.
func examplesOf(name string) []Example {
	files, err := examples.ReadDir("examples")
	if err != nil {
		panic(fmt.Sprintf("schema: %v", err)) // it is in the binary
	}
	var out []Example
	for _, f := range files {
		stem, isJSON := strings.CutSuffix(f.Name(), ".json")
		of, variant, _ := strings.Cut(stem, ".")
		if !isJSON || of != name {
			continue
		}
		text, err := examples.ReadFile("examples/" + f.Name())
		if err != nil {
			panic(fmt.Sprintf("schema: %v", err))
		}
		out = append(out, Example{Name: cmp.Or(variant, name), Event: text})
	}
	return out
}

// Types returns all types of event, in the order of a video's life.
func (r *Registry) Types() []*Type { return r.types }

// Named returns the type whose schema has a name, nil when there is none.
func (r *Registry) Named(name string) *Type {
	for _, t := range r.types {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Of returns the type of an event, nil when it is none of ours.
func (r *Registry) Of(e event.Envelope) *Type {
	if t := r.byName[event.Filter{Source: e.Source, Type: e.DetailType}]; t != nil {
		return t
	}
	switch {
	case e.Source == event.SourcePluginManager && r.asks.MatchString(e.DetailType):
		return r.invocation
	case e.Source == event.SourcePluginManager && r.gives.MatchString(e.DetailType):
		return r.given
	case IsAnswer(e):
		return r.answer
	}
	return nil
}

// IsAnswer says whether the event is a plugin's answer: those come from outside,
// too, and are weighed by who is answered.
func IsAnswer(e event.Envelope) bool {
	return e.Source != event.SourcePluginManager &&
		strings.HasPrefix(e.Source, "serverlessVideo.plugin") && strings.HasPrefix(e.DetailType, "plugin-complete")
}
