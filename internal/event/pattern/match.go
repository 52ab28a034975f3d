package pattern

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// object is what a pattern says of an object: all of its fields, and for every
// $or one of its alternatives.
type object struct {
	fields []field
	ors    [][]*object
}

// field is what a pattern says of one field: what is in it, or what it may be.
type field struct {
	name   string
	nested *object // nil where the field has values
	values *values
}

func (o *object) match(event map[string]any) bool {
	for i := range o.fields {
		f := &o.fields[i]
		v, there := event[f.name]
		if f.nested != nil {
			if !f.nested.matchValue(v) {
				return false
			}
		} else if !f.values.match(v, there) {
			return false
		}
	}
	for _, alternatives := range o.ors {
		if !slices.ContainsFunc(alternatives, func(a *object) bool { return a.match(event) }) {
			return false
		}
	}
	return true
}

// matchValue matches with an object, or with one of an array's. What is neither
// has none of the fields, which {"exists":false} may want.
func (o *object) matchValue(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return o.match(v)
	case []any:
		if slices.ContainsFunc(v, o.matchValue) {
			return true
		}
		return len(v) == 0 && o.match(nil)
	}
	return o.match(nil)
}

// values is what a field may be: one of the exact values, or what one of the
// tests accepts.
type values struct {
	source string // as it was written
	// Exact strings come first and are the most frequent: a loop over few is
	// faster than a map.
	strings []string
	numbers []json.Number
	bools   []bool
	null    bool
	tests   []test
	absent  bool // {"exists":false} is among them
	present bool // {"exists":true} is
}

// test is an operator with its operand.
type test interface {
	// match gets a string, a json.Number, a bool or nil.
	match(leaf any) bool
}

// match matches with a field's value, or with one of an array's elements.
// Objects and empty arrays are no values: where they stand there is none.
func (m *values) match(v any, there bool) bool {
	if there {
		matched, leaves := m.matchLeaves(v)
		if matched {
			return true
		}
		there = leaves
	}
	return !there && m.absent
}

// matchLeaves also says whether there is any value.
func (m *values) matchLeaves(v any) (matched, some bool) {
	switch v := v.(type) {
	case map[string]any:
		return false, false
	case []any:
		for _, element := range v {
			matched, leaves := m.matchLeaves(element)
			if matched {
				return true, true
			}
			some = some || leaves
		}
		return false, some
	}
	return m.matchLeaf(v), true
}

func (m *values) matchLeaf(v any) bool {
	switch v := v.(type) {
	case string:
		if slices.Contains(m.strings, v) {
			return true
		}
	case json.Number:
		if slices.Contains(m.numbers, v) {
			return true
		}
	case bool:
		if slices.Contains(m.bools, v) {
			return true
		}
	case nil:
		if m.null {
			return true
		}
	}
	if m.present {
		return true
	}
	for _, t := range m.tests {
		if t.match(v) {
			return true
		}
	}
	return false
}

// prefix, suffix and equalFold ignore case where they are told to.
type prefix struct {
	text string
	fold bool
}

func (p prefix) match(leaf any) bool {
	s, ok := leaf.(string)
	if !ok {
		return false
	}
	if !p.fold {
		return strings.HasPrefix(s, p.text)
	}
	return len(s) >= len(p.text) && strings.EqualFold(s[:len(p.text)], p.text)
}

type suffix struct {
	text string
	fold bool
}

func (p suffix) match(leaf any) bool {
	s, ok := leaf.(string)
	if !ok {
		return false
	}
	if !p.fold {
		return strings.HasSuffix(s, p.text)
	}
	return len(s) >= len(p.text) && strings.EqualFold(s[len(s)-len(p.text):], p.text)
}

type equalFold string

func (p equalFold) match(leaf any) bool {
	s, ok := leaf.(string)
	return ok && strings.EqualFold(s, string(p))
}

// anythingBut accepts every value but those.
type anythingBut struct{ not *values }

func (p anythingBut) match(leaf any) bool { return !p.not.matchLeaf(leaf) }

// numeric is a range; where both ends are the same and included, a value.
type numeric struct {
	low, high         float64
	lowOpen, highOpen bool // the end itself is not in it
}

func (p numeric) match(leaf any) bool {
	n, ok := leaf.(json.Number)
	if !ok {
		return false
	}
	f, err := n.Float64()
	if err != nil {
		return false
	}
	return (f > p.low || f == p.low && !p.lowOpen) && (f < p.high || f == p.high && !p.highOpen)
}

type cidr struct{ netip.Prefix }

func (p cidr) match(leaf any) bool {
	s, ok := leaf.(string)
	if !ok {
		return false
	}
	a, err := netip.ParseAddr(s)
	return err == nil && p.Contains(a.Unmap().WithZone(""))
}

// wildcard is a text with any number of "*", each for any run of bytes. It is
// kept as the pieces between them.
type wildcard struct{ pieces []string }

// match takes the leftmost place for every piece: where that leads nowhere, no
// other does, so that it is linear in the number of stars.
func (p wildcard) match(leaf any) bool {
	s, ok := leaf.(string)
	if !ok {
		return false
	}
	first, last := p.pieces[0], p.pieces[len(p.pieces)-1]
	if len(p.pieces) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, piece := range p.pieces[1 : len(p.pieces)-1] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return true
}
