package hlstest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rule is something that a broadcast has to keep to.
type Rule struct {
	ID     string
	Source string // "draft n.n", "Apple n.n", or "ours"
	Text   string // what it asks for, in our words
}

// Rules returns every rule that is checked, in the order of the documentation.
func Rules() []Rule {
	return slices.Concat(syntaxRules(), mediaRules(), liveRules(), partRules(), reloadRules(),
		multivariantRules(), renditionRules(), contentRules(), deliveryRules())
}

// Finding is a rule that is broken somewhere.
type Finding struct {
	Rule   string // ID
	Detail string // what was found, and what would be right
}

func (f Finding) Error() string { return f.Rule + ": " + f.Detail }

// Findings are the rules that a check found broken.
type Findings []Finding

func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// err returns the findings as an error, nil if there are none.
func (f Findings) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// FindingsOf returns the findings in an error of this package.
func FindingsOf(err error) Findings {
	var many Findings
	if errors.As(err, &many) {
		return many
	}
	var one Finding
	if errors.As(err, &one) {
		return Findings{one}
	}
	return nil
}

func (f *Findings) add(rule, format string, args ...any) {
	*f = append(*f, Finding{Rule: rule, Detail: fmt.Sprintf(format, args...)})
}

// addErr adds what a parser refused, with what was being read.
func (f *Findings) addErr(what string, err error) {
	for _, one := range FindingsOf(err) {
		f.add(one.Rule, "%s: %s", what, one.Detail)
	}
}

// broken is the error of a parser.
func broken(rule, format string, args ...any) error {
	return Finding{Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// at says where in a playlist the error of a parser is.
func at(err error, line int, text string) error {
	for _, f := range FindingsOf(err) {
		return Finding{Rule: f.Rule, Detail: fmt.Sprintf("line %d, %s: %s", line, text, f.Detail)}
	}
	return err
}
