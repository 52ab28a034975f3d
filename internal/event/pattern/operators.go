package pattern

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// operator reads an object with one operator whose brace has been read.
func (p *parser) operator(v *values) error {
	if !p.d.More() {
		return p.wrong("an empty object matches nothing; there are %s", operatorNames)
	}
	name, err := p.key()
	if err != nil {
		return err
	}
	return p.within("."+name, func() error {
		if err := p.operand(v, name); err != nil {
			return err
		}
		return p.close()
	})
}

const operatorNames = "prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists and cidr"

func (p *parser) operand(v *values, name string) error {
	named := p.start
	t, err := p.next()
	if err != nil {
		return err
	}
	var made test
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		made, err = p.text(name, t)
	case "anything-but":
		made, err = p.anythingBut(t)
	case "numeric":
		made, err = p.numeric(t)
	case "cidr":
		made, err = p.cidr(t)
	case "exists":
		return p.exists(v, t)
	default:
		p.start = named
		return p.wrong("there is no operator %q, but %s", name, operatorNames)
	}
	v.tests = append(v.tests, made)
	return err
}

// text reads the operand of an operator on strings.
func (p *parser) text(name string, t json.Token) (test, error) {
	s, ok := t.(string)
	fold := false
	if !ok && t == json.Delim('{') && (name == "prefix" || name == "suffix") {
		var err error
		if s, err = p.folded(name); err != nil {
			return nil, err
		}
		ok, fold = true, true
	}
	if !ok {
		return nil, p.wrong("%s takes a string", name)
	}
	switch name {
	case "prefix":
		return prefix{s, fold}, nil
	case "suffix":
		return suffix{s, fold}, nil
	case "equals-ignore-case":
		return equalFold(s), nil
	}
	return p.wildcard(s)
}

// folded reads {"equals-ignore-case":"…"} whose brace has been read.
func (p *parser) folded(name string) (string, error) {
	key, err := p.key()
	if err != nil {
		return "", err
	}
	if key != "equals-ignore-case" {
		return "", p.wrong(`%s takes a string or {"equals-ignore-case":"…"}`, name)
	}
	t, err := p.next()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", p.wrong("equals-ignore-case takes a string")
	}
	return s, p.close()
}

// wildcard takes a text apart at its stars. A star or a backslash after a
// backslash means itself.
func (p *parser) wildcard(s string) (test, error) {
	var pieces []string
	var piece strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
			if i == len(s) || s[i] != '*' && s[i] != '\\' {
				return nil, p.wrong(`a backslash stands before a star or a backslash that means itself ("\\*" in JSON)`)
			}
			piece.WriteByte(s[i])
		case s[i] != '*':
			piece.WriteByte(s[i])
		case i > 0 && s[i-1] == '*' && piece.Len() == 0:
			return nil, p.wrong("two stars beside each other mean the same as one; write one")
		default:
			pieces = append(pieces, piece.String())
			piece.Reset()
		}
	}
	return wildcard{append(pieces, piece.String())}, nil
}

// anythingBut reads a value, an array of them, or an operator on strings with a
// string or an array of them.
func (p *parser) anythingBut(t json.Token) (test, error) {
	not := &values{}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return anythingBut{not}, p.butOperator(not)
		}
		none := true
		err := p.elements(func(t json.Token) error {
			none = false
			if _, nested := t.(json.Delim); nested {
				return p.wrong("anything-but takes a string, a number, or an array of them")
			}
			not.exactly(t)
			return nil
		})
		if err == nil && none {
			err = p.wrong("anything-but of nothing accepts everything; use {\"exists\":true}")
		}
		return anythingBut{not}, err
	}
	not.exactly(t)
	return anythingBut{not}, nil
}

func (p *parser) butOperator(not *values) error {
	name, err := p.key()
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"prefix", "suffix", "equals-ignore-case", "wildcard"}, name) {
		return p.wrong("anything-but takes prefix, suffix, equals-ignore-case or wildcard, not %q", name)
	}
	add := func(t json.Token) error {
		made, err := p.text(name, t)
		not.tests = append(not.tests, made)
		return err
	}
	return p.within("."+name, func() error {
		t, err := p.next()
		if err != nil {
			return err
		}
		if t != json.Delim('[') {
			err = add(t)
		} else if err = p.elements(add); err == nil && len(not.tests) == 0 {
			err = p.wrong("an empty array; name what it shall not be")
		}
		if err != nil {
			return err
		}
		return p.close()
	})
}

// numeric reads ["=", 5] or a range such as [">", 0, "<=", 5].
func (p *parser) numeric(t json.Token) (test, error) {
	const how = `numeric takes a comparison such as [">", 5], or a range such as [">=", 0, "<", 5]`
	if t != json.Delim('[') {
		return nil, p.wrong(how)
	}
	n := numeric{low: math.Inf(-1), high: math.Inf(1)}
	var operators []string
	comparing := ""
	err := p.elements(func(t json.Token) error {
		if comparing == "" {
			s, ok := t.(string)
			if !ok || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, s) || len(operators) == 2 {
				return p.wrong(how)
			}
			comparing = s
			return nil
		}
		number, ok := t.(json.Number)
		f, err := number.Float64()
		if !ok || err != nil {
			return p.wrong("a number must stand after %q", comparing)
		}
		n.compare(comparing, f)
		operators, comparing = append(operators, comparing), ""
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case comparing != "" || len(operators) == 0:
		return nil, p.wrong(how)
	case len(operators) == 2 && (operators[0][0] != '>' || operators[1][0] != '<'):
		return nil, p.wrong("a range has its lower end first: [\">=\", 0, \"<\", 5]")
	case n.low > n.high || n.low == n.high && (n.lowOpen || n.highOpen):
		return nil, p.wrong("no number is in this range")
	}
	return n, nil
}

func (n *numeric) compare(operator string, f float64) {
	switch operator {
	case "=":
		n.low, n.high = f, f
	case ">", ">=":
		n.low, n.lowOpen = f, operator == ">"
	default:
		n.high, n.highOpen = f, operator == "<"
	}
}

func (p *parser) cidr(t json.Token) (test, error) {
	s, _ := t.(string)
	made, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, p.wrong(`cidr takes a block of addresses, such as "10.0.0.0/24" or "2001:db8::/32"`)
	}
	return cidr{made.Masked()}, nil
}

func (p *parser) exists(v *values, t json.Token) error {
	b, ok := t.(bool)
	if !ok {
		return p.wrong("exists takes true or false")
	}
	v.present = v.present || b
	v.absent = v.absent || !b
	return nil
}
