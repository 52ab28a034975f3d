package eventtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// updateVariable, when it is set, has examples written anew: `make examples`.
const updateVariable = "UPDATE_EXAMPLES"

// Example holds the committed example of a name (of its type's schema, with
// ".variant" behind where there is more than one) to an event that a service
// has just said: both must have the same fields of the same types. With
// UPDATE_EXAMPLES set the event becomes the example, its ids, times and
// addresses replaced, its task tokens masked, and what hide names in pairs, old
// and new.
func Example(t testing.TB, name string, e event.Envelope, hide ...string) {
	t.Helper()
	path := filepath.Join(root(t), "internal/event/schema/examples", name+".json")
	said := normalised(t, e, hide)
	if os.Getenv(updateVariable) != "" {
		if err := os.WriteFile(path, said, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("there is no example of %s: run make examples (%v)", name, err)
		return
	}
	if was, is := shape(t, committed), shape(t, said); !slices.Equal(was, is) {
		t.Errorf("the example %s is not what is said now: run make examples\nexample: %s\nnow:     %s",
			name, strings.Join(was, " "), strings.Join(is, " "))
	}
}

// root is the folder of the module.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("the test runs outside of the module")
		}
		dir = filepath.Dir(dir)
	}
}

// normalised writes an event without what differs from run to run.
func normalised(t testing.TB, e event.Envelope, hide []string) []byte {
	t.Helper()
	text, err := json.MarshalIndent(e.Masked(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.NewReplacer(hide...).Replace(string(text)))
	for _, r := range []struct{ pattern, with string }{
		{`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "0198f0aa-7a54-7c1e-8000-5a1c0e8d7a01"},
		{`\b01[0-9a-z]{24}\b`, "01jdmq7b2p0s8t6v4x1z3a5c7e"},
		{`\bst-01[0-9a-z]{24}\b`, "st-01jdmq8x4rv3k5w7y9a2c4e6gh"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "2026-11-26T12:00:00.000Z"},
		{`http://(127\.0\.0\.1|localhost):\d+`, "https://tv.example.com"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAll(text, []byte(r.with))
	}
	return append(text, '\n')
}

// shape lists the fields of a JSON document with their types: detail.id:string.
func shape(t testing.TB, text []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	walk(v, "", found)
	return slices.Sorted(maps.Keys(found))
}

func walk(v any, path string, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		found[path+":object"] = true
		for name, inner := range v {
			walk(inner, strings.TrimPrefix(path+"."+name, "."), found)
		}
	case []any:
		found[path+":array"] = true
		for _, inner := range v {
			walk(inner, path+"[]", found)
		}
	default:
		found[fmt.Sprintf("%s:%T", path, v)] = true
	}
}
