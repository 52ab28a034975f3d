package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// What a request says is text: UTF-8 without U+0000. A database takes nothing
// else, and refusing it here is one answer for all that is asked.

// checkText refuses a path or a query that is not text. A query that cannot be
// read would else count as one that says less: as no offset, as no filter.
func checkText(c class, r *http.Request) error {
	if !text(r.URL.Path) {
		return errs.New(errs.Invalid, "the path is no text: what its percent-encoding stands for must be UTF-8 without the character U+0000")
	}
	if c == webPages || c == media || r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errs.Wrap(err, errs.Invalid, "the query cannot be read: parameters are separated by &, and in their values % is %25 and ; is %3B")
	}
	for name, values := range query {
		for _, v := range append(values, name) {
			if !text(v) {
				return errs.At(errs.Place{Location: "query." + strings.ToValidUTF8(name, "\uFFFD"), Message: "this is no text: it must be UTF-8 without the character U+0000"})
			}
		}
	}
	return nil
}

func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// formats are those of bodies: JSON alone.
func formats() map[string]huma.Format {
	f := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	return map[string]huma.Format{"application/json": f, "json": f}
}

// unmarshal reads a body. huma reads each twice, the first time into an any: then
// it is checked whether its strings are text. (What is not UTF-8 in them,
// encoding/json replaces by U+FFFD.)
func unmarshal(data []byte, v any) error {
	var syntax *json.SyntaxError
	err := json.Unmarshal(data, v)
	if errors.As(err, &syntax) {
		return fmt.Errorf("this is no JSON: %w (byte %d)", err, syntax.Offset)
	}
	if parsed, first := v.(*any); first && err == nil && bytes.Contains(data, []byte(`\u0000`)) && hasNUL(*parsed) {
		return errors.New(`a string in it has the character U+0000 (\u0000), which cannot be kept; leave it out`)
	}
	return err
}

// hasNUL says whether a string in what was JSON has U+0000. encoding/json bounds
// how deep it is.
func hasNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.IndexByte(v, 0) >= 0
	case []any:
		for _, each := range v {
			if hasNUL(each) {
				return true
			}
		}
	case map[string]any:
		for name, each := range v {
			if hasNUL(name) || hasNUL(each) {
				return true
			}
		}
	}
	return false
}

// plain says in our words what huma says in those of a programmer in Go: what
// would be right.
func plain(message string) string {
	switch message {
	case "invalid integer":
		return "expected a whole number"
	case "invalid float", "invalid floating value":
		return "expected a number"
	case "invalid boolean":
		return "expected true or false"
	}
	if strings.HasPrefix(message, "invalid date/time for format ") {
		return "expected a time as RFC 3339 has it, such as 2026-01-02T15:04:05Z"
	}
	if kind, ok := strings.CutPrefix(message, huma.ErrUnknownContentType.Error()+": "); ok {
		return "expected application/json, not " + kind
	}
	if limit, ok := strings.CutPrefix(message, "request body is too large limit="); ok {
		return "the request's body is too large: at most " + limit + " are allowed"
	}
	return message
}
