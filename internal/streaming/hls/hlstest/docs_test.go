package hlstest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The table of rules in docs/hls.md is that of Rules: HLSDOC=write writes it.
func TestDocumentation(t *testing.T) {
	const path = "../../../../docs/hls.md"
	const begin, end = "<!-- rules: written by HLSDOC=write go test ./internal/streaming/hls/hlstest -->\n", "<!-- end of rules -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the rules between\n%s%s", path, begin, end)
	}
	want := before + begin + ruleTable() + end + after
	if want == string(data) {
		return
	}
	if os.Getenv("HLSDOC") != "write" {
		t.Fatalf("%s does not show the rules as they are; HLSDOC=write go test ./internal/streaming/hls/hlstest writes it", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ruleTable() string {
	var b strings.Builder
	b.WriteString("\n| rule | source | what it asks for |\n| --- | --- | --- |\n")
	for _, r := range Rules() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.ID, r.Source, r.Text)
	}
	b.WriteString("\n")
	return b.String()
}
