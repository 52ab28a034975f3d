package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// derive makes the schema of what a Go type is encoded as. Fields without
// omitempty are required, and there are no others unless open. It panics at a
// type that no event has: that is a mistake in the program.
func derive(t reflect.Type, open bool) object {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return object{} // any JSON
	case reflect.TypeFor[event.PluginOutputs]():
		return pluginOutputs()
	case reflect.TypeFor[event.LifeCycleResult]():
		return lifeCycleResult()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return derive(t.Elem(), open)
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Int, reflect.Int64:
		return object{{"type", "integer"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Slice:
		return object{{"type", "array"}, {"items", derive(t.Elem(), open)}}
	case reflect.Struct:
		properties, required := fields(t)
		out := object{{"type", "object"}, {"properties", properties}, {"required", required}}
		if !open {
			out = append(out, member{"additionalProperties", false})
		}
		return out
	default:
		panic(fmt.Sprintf("schema: no event has a %s", t))
	}
}

// fields returns the properties of a struct, those of embedded ones as its own.
func fields(t reflect.Type) (properties object, required []string) {
	required = []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			inner, needed := fields(f.Type)
			properties, required = append(properties, inner...), append(required, needed...)
			continue
		case name == "-":
			continue
		}
		properties = append(properties, member{name, append(derive(f.Type, false), tags(f)...)})
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return properties, required
}

// tags are what the tags of a field say beyond its type.
func tags(f reflect.StructField) object {
	var out object
	if doc := f.Tag.Get("doc"); doc != "" {
		out = append(out, member{"description", doc})
	}
	if words := f.Tag.Get("enum"); words != "" {
		out = append(out, member{"enum", strings.Split(words, ",")})
	}
	for _, key := range []string{"pattern", "format"} {
		if value := f.Tag.Get(key); value != "" {
			out = append(out, member{key, value})
		}
	}
	for _, key := range []string{"minLength", "minimum"} {
		value, set := f.Tag.Lookup(key)
		if !set {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			panic(fmt.Sprintf("schema: %s of %s: %v", key, f.Name, err))
		}
		out = append(out, member{key, n})
	}
	return out
}

// byHook is one list of answers for each hook.
func byHook() object {
	answers := derive(reflect.TypeFor[[]event.PluginOutput](), false)
	var out object
	for _, hook := range event.Hooks() {
		out = append(out, member{hook, append(answers[:len(answers):len(answers)], member{"description", "what the plugins of " + hook + " answered"})})
	}
	return out
}

func pluginOutputs() object {
	return object{{"type", "object"}, {"properties", byHook()}, {"additionalProperties", false}}
}

// lifeCycleResult has the outcome beside the hooks, as LifeCycleResult is
// encoded.
func lifeCycleResult() object {
	text := func(doc string) object { return object{{"type", "string"}, {"description", doc}} }
	return object{
		{"type", "object"},
		{"properties", append(byHook(), object{
			{"status", append(text("absent when the video passed"), member{"enum", []string{event.StatusInvalid, event.StatusFailed}})},
			{"cause", text("plugin- and the plugin's name, or timedout")},
			{"plugin", text("the plugin that ended the lifecycle")},
			{"hook", append(text("the hook at which it ended"), member{"enum", event.Hooks()})},
			{"reason", text("why, in words for people")},
		}...)},
		{"additionalProperties", false},
	}
}
