package schema

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// ownPrefix begins the sources of our own events.
const ownPrefix = "serverlessVideo."

// maxProblems is how many an error names.
const maxProblems = 5

// Check holds an event to the schema of its type. An event of a source of ours
// that has no schema is refused, too; those of others pass. The error says what
// is wrong where, without the values: there are secrets among them.
func (r *Registry) Check(e event.Envelope) error {
	t := r.Of(e)
	if t == nil {
		if strings.HasPrefix(e.Source, ownPrefix) {
			return fmt.Errorf("there is no event %q of %s: docs/events.md has all that there are", e.DetailType, e.Source)
		}
		return nil
	}
	detail, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Detail))
	if err != nil {
		return fmt.Errorf("%q of %s: detail is no JSON: %w", e.DetailType, e.Source, err)
	}
	if err := t.detail.Validate(detail); err != nil {
		return fmt.Errorf("%q of %s breaks its schema: %s", e.DetailType, e.Source, explain(err))
	}
	return nil
}

// explain says in words what a validation found.
func explain(err error) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	problems := leaves(invalid)
	slices.Sort(problems) // a map's members are looked at in any order
	problems = slices.Compact(problems)
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(problems, "; ")
}

func leaves(e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 {
		return problems(place(e.InstanceLocation), e.ErrorKind)
	}
	var all []string
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// place writes where in an event something is: detail.tags[2].
func place(path []string) string {
	var b strings.Builder
	b.WriteString("detail")
	for _, p := range path {
		if _, err := strconv.Atoi(p); err == nil {
			b.WriteString("[" + p + "]")
			continue
		}
		b.WriteString("." + p)
	}
	return b.String()
}

func problems(at string, k jsonschema.ErrorKind) []string {
	each := func(names []string, says string) []string {
		out := make([]string, len(names))
		for i, name := range names {
			out[i] = at + "." + name + says
		}
		return out
	}
	switch k := k.(type) {
	case *kind.Required:
		return each(k.Missing, " is missing")
	case *kind.AdditionalProperties:
		return each(k.Properties, " is not one of its fields")
	case *kind.FalseSchema:
		return []string{at + " must not be there"}
	case *kind.Type:
		return []string{at + " is " + article(k.Got) + ", want " + article(strings.Join(k.Want, " or "))}
	case *kind.Enum:
		words := make([]string, len(k.Want))
		for i, w := range k.Want {
			words[i] = fmt.Sprintf("%q", w)
		}
		return []string{at + " must be one of " + strings.Join(words, ", ")}
	case *kind.MinLength:
		return []string{at + " is empty"}
	case *kind.Minimum:
		return []string{fmt.Sprintf("%s is less than %s", at, k.Want.RatString())}
	case *kind.Pattern:
		return []string{at + " does not match " + k.Want}
	case *kind.Format:
		return []string{at + " is no " + k.Want}
	default:
		return []string{at + " is wrong: " + strings.Join(k.KeywordPath(), " ")}
	}
}

func article(kind string) string {
	switch kind[0] {
	case 'a', 'i', 'o':
		return "an " + kind
	case 'n':
		if kind == "null" {
			return kind
		}
	}
	return "a " + kind
}
