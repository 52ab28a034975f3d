package pattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parser reads a pattern token by token, to know where each of them stands.
type parser struct {
	source []byte
	d      *json.Decoder
	start  int      // of the last token
	path   []string // to it
	depth  int
}

func newParser(text []byte) *parser {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return &parser{source: text, d: d}
}

// next returns the next token.
func (p *parser) next() (json.Token, error) {
	p.start = int(p.d.InputOffset())
	for p.start < len(p.source) && strings.IndexByte(" \t\r\n,:", p.source[p.start]) >= 0 {
		p.start++
	}
	t, err := p.d.Token()
	if err == nil {
		return t, nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, p.wrong("this is no JSON: %s", syntax)
	}
	p.start = len(p.source)
	return nil, p.wrong("the pattern ends too early")
}

// wrong says what is wrong with the last token.
func (p *parser) wrong(format string, values ...any) error {
	before := p.source[:min(p.start, len(p.source))]
	return &Error{
		Line:   1 + bytes.Count(before, []byte("\n")),
		Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Path:   strings.TrimPrefix(strings.Join(p.path, ""), "."),
		Reason: fmt.Sprintf(format, values...),
	}
}

// within runs a function with one more step in the path.
func (p *parser) within(step string, do func() error) error {
	p.path = append(p.path, step)
	err := do()
	p.path = p.path[:len(p.path)-1]
	return err
}

func (p *parser) pattern() (*object, error) {
	t, err := p.next()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('{') {
		return nil, p.wrong(`a pattern is an object, such as {"source":["serverlessVideo.streaming"]}`)
	}
	o, err := p.object()
	if err != nil {
		return nil, err
	}
	rest := p.source[p.d.InputOffset():]
	if more := bytes.TrimLeft(rest, " \t\r\n"); len(more) > 0 {
		p.start = len(p.source) - len(more)
		return nil, p.wrong("there is something after the pattern")
	}
	return o, nil
}

// object reads an object whose brace has been read.
func (p *parser) object() (*object, error) {
	opened := p.start
	if p.depth++; p.depth > MaxDepth {
		return nil, p.wrong("objects lie more than %d deep in each other", MaxDepth)
	}
	o := &object{}
	seen := map[string]bool{}
	for p.d.More() {
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, p.wrong("there are two fields %q; put all values into one array", key)
		}
		seen[key] = true
		if err := p.within("."+key, func() error { return p.field(o, key) }); err != nil {
			return nil, err
		}
	}
	if _, err := p.next(); err != nil {
		return nil, err
	}
	if len(seen) == 0 {
		p.start = opened
		return nil, p.wrong(`an empty object matches nothing; {"exists":true} in an array accepts any value`)
	}
	p.depth--
	o.sort()
	return o, nil
}

// sort puts first what is quickly compared.
func (o *object) sort() {
	slices.SortStableFunc(o.fields, func(a, b field) int { return a.cost() - b.cost() })
}

func (f *field) cost() int {
	switch {
	case f.nested != nil:
		return 1000
	case len(f.values.tests) > 0:
		return 10 * len(f.values.tests)
	}
	return 0
}

func (p *parser) key() (string, error) {
	t, err := p.next()
	if err != nil {
		return "", err
	}
	key, ok := t.(string)
	if !ok {
		return "", p.wrong("a field's name is missing here")
	}
	return key, nil
}

func (p *parser) field(o *object, name string) error {
	t, err := p.next()
	if err != nil {
		return err
	}
	switch {
	case name == "$or":
		return p.or(o, t)
	case t == json.Delim('{'):
		nested, err := p.object()
		o.fields = append(o.fields, field{name: name, nested: nested})
		return err
	case t == json.Delim('['):
		v, err := p.values()
		o.fields = append(o.fields, field{name: name, values: v})
		return err
	}
	return p.wrong("what a field may be stands in an array: [%s]", p.literal())
}

// literal is the last token as it was written, if it is short.
func (p *parser) literal() string {
	if text := p.source[p.start:p.d.InputOffset()]; len(text) <= 60 {
		return string(text)
	}
	return "…"
}

func (p *parser) or(o *object, t json.Token) error {
	if t != json.Delim('[') {
		return p.wrong("$or has an array of objects, one of which must match")
	}
	opened := p.start
	var alternatives []*object
	err := p.elements(func(t json.Token) error {
		if t != json.Delim('{') {
			return p.wrong("$or has an array of objects, one of which must match")
		}
		a, err := p.object()
		alternatives = append(alternatives, a)
		return err
	})
	if err == nil && len(alternatives) == 0 {
		p.start = opened
		err = p.wrong("$or has no alternatives, so nothing matches")
	}
	o.ors = append(o.ors, alternatives)
	return err
}

// elements reads the elements of an array whose bracket has been read.
func (p *parser) elements(each func(first json.Token) error) error {
	for i := 0; p.d.More(); i++ {
		err := p.within("["+strconv.Itoa(i)+"]", func() error {
			t, err := p.next()
			if err != nil {
				return err
			}
			return each(t)
		})
		if err != nil {
			return err
		}
	}
	_, err := p.next()
	return err
}

// values reads what a field may be.
func (p *parser) values() (*values, error) {
	opened, v := p.start, &values{}
	none := true
	err := p.elements(func(t json.Token) error {
		none = false
		switch t {
		case json.Delim('{'):
			return p.operator(v)
		case json.Delim('['):
			return p.wrong("an array in an array; write its values into the outer one")
		}
		v.exactly(t)
		return nil
	})
	v.source = string(p.source[opened:p.d.InputOffset()])
	if err == nil && none {
		p.start = opened
		err = p.wrong(`an empty array matches nothing; {"exists":true} in it accepts any value`)
	}
	return v, err
}

// exactly adds a value to be compared with.
func (m *values) exactly(t json.Token) {
	switch t := t.(type) {
	case string:
		m.strings = append(m.strings, t)
	case json.Number:
		m.numbers = append(m.numbers, t)
	case bool:
		m.bools = append(m.bools, t)
	case nil:
		m.null = true
	}
}

func (p *parser) close() error {
	t, err := p.next()
	if err == nil && t != json.Delim('}') {
		err = p.wrong("there is one operator in an object; put the next one into an object of its own")
	}
	return err
}
