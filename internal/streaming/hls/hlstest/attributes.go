package hlstest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// attributes is an attribute list (the draft, 4.2). A quoted value keeps its
// quotes, which tells it from an enumerated one.
type attributes map[string]string

// parseAttributes reads NAME=value,NAME="value".
func parseAttributes(s string) (attributes, error) {
	list := attributes{}
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return nil, broken("attribute-list", "no attribute name at %q", s)
		}
		if _, twice := list[name]; twice {
			return nil, broken("attribute-list", "%s stands twice", name)
		}
		end := strings.IndexByte(rest, ',')
		if strings.HasPrefix(rest, `"`) {
			quote := strings.IndexByte(rest[1:], '"')
			if quote < 0 {
				return nil, broken("attribute-list", "%s has no closing quote", name)
			}
			end = quote + 2
			if end == len(rest) {
				end = -1
			} else if rest[end] != ',' {
				return nil, broken("attribute-list", "%s: something follows the closing quote", name)
			}
		}
		value := rest
		s = ""
		if end >= 0 {
			value, s = rest[:end], rest[end+1:]
			if s == "" {
				return nil, broken("attribute-list", "a comma stands at the end")
			}
		}
		if value == "" || value[0] != '"' && strings.ContainsAny(value, "\" \t") {
			return nil, broken("attribute-list", "%s has the value %q", name, value)
		}
		list[name] = value
	}
	return list, nil
}

// text returns a quoted string, "" when the attribute is not there.
func (a attributes) text(name string) (string, error) {
	v, ok := a[name]
	if !ok {
		return "", nil
	}
	if len(v) < 2 || v[0] != '"' {
		return "", broken("attribute-value", "%s must be a quoted string, not %s", name, v)
	}
	return v[1 : len(v)-1], nil
}

// uri returns a quoted string that must be there and not be empty.
func (a attributes) uri(name string) (string, error) {
	v, err := a.text(name)
	if err == nil && v == "" {
		err = broken("attribute-value", "%s is missing", name)
	}
	return v, err
}

// seconds returns a decimal number, 0 when the attribute is not there.
func (a attributes) seconds(name string) (time.Duration, error) {
	v, ok := a[name]
	if !ok {
		return 0, nil
	}
	d, err := parseSeconds(v)
	if err != nil {
		return 0, broken("attribute-value", "%s: %v", name, err)
	}
	return d, nil
}

// yes reads YES; NO and absence are false.
func (a attributes) yes(name string) (bool, error) {
	switch v, ok := a[name]; {
	case !ok, v == "NO":
		return false, nil
	case v == "YES":
		return true, nil
	default:
		return false, broken("attribute-value", "%s must be YES or NO, not %s", name, v)
	}
}

// parseSeconds reads a decimal floating point number (the draft, 4.2).
func parseSeconds(s string) (time.Duration, error) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is no decimal number", s)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v > 1e6 {
		return 0, fmt.Errorf("%q is no number of seconds", s)
	}
	return time.Duration(v*1e9 + 0.5), nil
}

// parseNumber reads a decimal integer (the draft, 4.2).
func parseNumber(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 10, 53)
	if err != nil || strings.Trim(s, "0123456789") != "" {
		return 0, broken("attribute-value", "%q is no whole number", s)
	}
	return v, nil
}
