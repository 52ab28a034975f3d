package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

var update = flag.Bool("update", false, "write docs/events.md anew")

const referencePath = "../../../docs/events.md"

// docs/events.md says what the schemas do.
func TestReferenceIsCurrent(t *testing.T) {
	want := reference(New())
	if *update {
		if err := os.WriteFile(referencePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the schemas say; run make generate", referencePath)
	}
}

// Every field says what it means, in the schemas and so on the page.
func TestEveryFieldIsDescribed(t *testing.T) {
	for _, typ := range New().Types() {
		for _, row := range rows("", detailOf(typ)) {
			if row.meaning == "" {
				t.Errorf("%s: %s has no doc", typ.Name, row.name)
			}
		}
	}
}

const intro = `<!-- Written by make generate from internal/event and its examples. -->
# Events

Everything that happens in ServerlessVideo is an event on its bus, a JSON document in the shape of Amazon EventBridge's. Rules give
events to webhooks, the log and plugins, start work on their video, or tag it: [rules.md](rules.md). Plugins hear and answer them: [plugins.md](plugins.md).

Events are delivered at least once and in any order. What is heard twice has the same ` + "`id`" + `.

%s
Every event has a JSON Schema (draft 2020-12), which the node serves: ` + "`GET /api/events/schemas`" + ` lists them. An event of our own that
breaks its schema is refused when it is said. The examples below were recorded by tests from what the program said; ids, times and
addresses are replaced, task tokens masked.

| source | detail-type | says |
|---|---|---|
%s`

func reference(r *Registry) string {
	var list, sections strings.Builder
	for _, t := range r.Types() {
		fmt.Fprintf(&list, "| `%s` | [`%s`](#%s) | %s |\n", t.Source, t.DetailType, anchor(t), t.What)
		sections.WriteString(section(t))
	}
	return fmt.Sprintf(intro, table(rows("", without(r.Types()[0].document, "detail"))), list.String()) + sections.String()
}

// anchor is that of the section's heading, as GitHub makes it.
func anchor(t *Type) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case strings.ContainsRune("{}.", r):
			return -1
		}
		return r
	}, strings.ToLower(t.DetailType))
}

func section(t *Type) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n- Said: %s\n- Source: `%s`\n- Schema: `%s`\n\n", t.DetailType, t.What, t.When, t.Source, BasePath+t.Name)
	b.WriteString(table(rows("", detailOf(t))))
	for _, e := range t.Examples {
		fmt.Fprintf(&b, "\n```json\n%s\n```\n", compact(e.Event))
	}
	return b.String()
}

// compact writes an event with its envelope on few lines and its detail on many.
func compact(text []byte) string {
	var e struct {
		Detail json.RawMessage `json:"detail"`
	}
	var head, detail bytes.Buffer
	must(json.Unmarshal(text, &e))
	must(json.Compact(&head, text))
	before, _, _ := strings.Cut(head.String(), `"detail":`)
	must(json.Indent(&detail, e.Detail, " ", "  "))
	return strings.Replace(before, `,"account"`, ",\n "+`"account"`, 1) + "\n \"detail\":" + detail.String() + "}"
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type row struct {
	name, kind, meaning string
	required            bool
}

func table(all []row) string {
	var b strings.Builder
	b.WriteString("| field | type | required | meaning |\n|---|---|---|---|\n")
	for _, r := range all {
		required := ""
		if r.required {
			required = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.name, r.kind, required, r.meaning)
	}
	return b.String()
}

func detailOf(t *Type) object {
	return get[object](get[object](t.document, "properties"), "detail")
}

// without returns the schema of an object without one of its properties.
func without(o object, name string) object {
	properties := slices.Clone(get[object](o, "properties"))
	properties = slices.DeleteFunc(properties, func(m member) bool { return m.name == name })
	return object{{"properties", properties}, {"required", get[[]string](o, "required")}}
}

// rows lists the fields of a schema, those inside others by their path.
func rows(prefix string, o object) []row {
	var out []row
	for _, m := range get[object](o, "properties") {
		field, ok := m.value.(object)
		if !ok {
			continue // false: a rule
		}
		if slices.Contains(event.Hooks(), m.name) { // they are alike
			if m.name != event.Hooks()[0] {
				continue
			}
			m.name = "{hook}"
			field = append(object{{"description", "what the plugins of preValidate, postValidate and so on answered"}}, field...)
		}
		r := row{
			name: prefix + m.name, kind: kindOf(field), meaning: meaning(field),
			required: slices.Contains(get[[]string](o, "required"), m.name),
		}
		out = append(out, r)
		out = append(out, rows(r.name+".", field)...)
		if items := get[object](field, "items"); len(get[object](items, "properties")) > 0 {
			out = append(out, rows(r.name+"[].", items)...)
		}
	}
	return out
}

func kindOf(field object) string {
	if items := get[object](field, "items"); items != nil {
		return "list of " + kindOf(items)
	}
	if kind := get[string](field, "type"); kind != "" {
		return kind
	}
	if get[string](field, "const") != "" {
		return "string"
	}
	return "any"
}

func meaning(field object) string {
	says := get[string](field, "description")
	if words := get[[]string](field, "enum"); len(words) > 0 {
		says += ": `" + strings.Join(words, "`, `") + "`"
		if strings.Contains(get[string](field, "description"), ":") {
			says = get[string](field, "description") + ". One of `" + strings.Join(words, "`, `") + "`"
		}
	}
	return says
}

func get[T any](o object, name string) T {
	for _, m := range o {
		if m.name == name {
			if v, ok := m.value.(T); ok {
				return v
			}
		}
	}
	var none T
	return none
}
