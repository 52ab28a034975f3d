// Package pattern matches events with patterns in the language of Amazon
// EventBridge: exact values, prefix, suffix, equals-ignore-case, wildcard,
// anything-but, numeric, exists, cidr and $or.
//
// A pattern is a JSON object with the structure of the event. A field stands for
// the event's field of that name; its value is an object again, or an array of
// what the field may be. All fields must match (and), one of an array's entries
// (or). Where the event has an array, one of its elements must match; where that
// is an array of objects, one and the same element must match all that the
// pattern says of it.
//
// As with EventBridge, numbers as exact values are compared by how they are
// written (300 is not 300.0); "numeric" compares their values.
package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	// MaxSize is the longest pattern, in bytes.
	MaxSize = 16 << 10
	// MaxDepth is how deep objects may lie in each other in a pattern.
	MaxDepth = 16
)

// Pattern is a compiled pattern. It may be used by several goroutines.
type Pattern struct {
	root *object
}

// Compile reads a pattern. Errors are of type *Error and say where it is wrong.
func Compile(text []byte) (*Pattern, error) {
	if len(text) > MaxSize {
		return nil, &Error{Line: 1, Column: 1, Reason: fmt.Sprintf("the pattern has %d bytes, at most %d are allowed", len(text), MaxSize)}
	}
	p := newParser(text)
	root, err := p.pattern()
	if err != nil {
		return nil, err
	}
	return &Pattern{root}, nil
}

// CompileAt is Compile for the text at a place of a request, such as body.pattern.
// Errors are errs.Invalid with that place, and the one in the text.
func CompileAt(location, text string) (*Pattern, error) {
	p, err := Compile([]byte(text))
	var wrong *Error
	if errors.As(err, &wrong) {
		return nil, &errs.Error{Code: errs.Invalid, Message: location + ": " + wrong.Error(), Places: []errs.Place{{
			Location: location, Message: wrong.Reason, Line: wrong.Line, Column: wrong.Column, Path: wrong.Path,
		}}}
	}
	return p, err
}

// Match says whether an event has what the pattern wants.
func (p *Pattern) Match(e Event) bool { return p.root.match(e.root) }

// Event is an event in the form that patterns are matched with.
type Event struct {
	root map[string]any
}

// Parse reads an event, a JSON object.
func Parse(text []byte) (Event, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // exact values compare how numbers are written
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return Event{}, fmt.Errorf("the event is no JSON object: %w", err)
	}
	if root == nil {
		return Event{}, fmt.Errorf("the event is no JSON object")
	}
	return Event{root}, nil
}

// Error is what is wrong with a pattern.
type Error struct {
	Line, Column int    // from 1; columns count bytes
	Path         string // such as detail.duration[0].numeric; empty for the whole
	Reason       string // what is wrong, and what would be right
}

// Error implements error.
func (e *Error) Error() string {
	where := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		where += ", at " + e.Path
	}
	return where + ": " + e.Reason
}
