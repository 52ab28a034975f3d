package pattern

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The table of docs/rules.md says what is so.
func TestDocumentedPatterns(t *testing.T) {
	text, err := os.ReadFile("../../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| operator | entries of a field |")
	if !found {
		t.Fatal("the table is not there")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")[2:]
	if len(rows) < 15 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 4 {
			t.Errorf("%q has %d cells", row, len(cells))
			continue
		}
		p, err := Compile(fmt.Appendf(nil, `{"detail":{"field":%s}}`, unquoted(cells[1])))
		if err != nil {
			t.Errorf("%s: %v", cells[0], err)
			continue
		}
		for i, want := range []bool{true, false} {
			detail := "{}"
			if value := cells[2+i]; value != "nothing" {
				detail = fmt.Sprintf(`{"field":%s}`, unquoted(value))
			}
			e, err := Parse(fmt.Appendf(nil, `{"detail":%s}`, detail))
			if err != nil {
				t.Errorf("%s: %v", cells[0], err)
				continue
			}
			if got := p.Match(e); got != want {
				t.Errorf("%s: %s matches %s: %v", cells[0], cells[1], cells[2+i], got)
			}
		}
	}
}

func unquoted(cell string) string { return strings.Trim(strings.TrimSpace(cell), "`") }
