package hlstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// knownBad is something that breaks a rule.
type knownBad struct {
	rule, name string
	err        error // what the check says of it
}

// broke says whether an error has a finding of a rule.
func broke(err error, rule string) bool {
	return slices.ContainsFunc(FindingsOf(err), func(f Finding) bool { return f.Rule == rule })
}

// Every known-bad playlist, pair of playlists, piece of media and answer is
// caught by the rule that it breaks; and every rule has one.
func TestKnownBad(t *testing.T) {
	tables := map[string][]knownBad{
		"syntax": badSyntax(), "media": badMedia(), "live": badLive(), "parts": badParts(), "reload": badReload(),
		"delta": badDelta(), "multivariant": badMultivariant(), "renditions": badRenditions(t), "content": badContent(t), "answers": badAnswers(),
	}
	caught := map[string]bool{}
	for table, cases := range tables {
		for _, c := range cases {
			t.Run(table+"/"+c.rule+"/"+c.name, func(t *testing.T) {
				if !broke(c.err, c.rule) {
					t.Errorf("it is not caught by %s; found: %v", c.rule, c.err)
				}
			})
			caught[c.rule] = true
		}
	}
	seen := map[string]bool{}
	for _, r := range Rules() {
		if !caught[r.ID] {
			t.Errorf("the rule %s has no known-bad case", r.ID)
		}
		if seen[r.ID] || r.Source == "" || !strings.HasSuffix(r.Text, ".") && !strings.HasSuffix(r.Text, ": 200.") {
			t.Errorf("the rule %+v stands twice, or lacks source or text", r)
		}
		seen[r.ID] = true
		delete(caught, r.ID)
	}
	for id := range caught {
		t.Errorf("there is no rule %q", id)
	}
}

// Every finding in the code names a rule that there is.
func TestFindingsNameRules(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?:\.add\(|broken\(|rule(?:, want)? :?= )"([a-z0-9.-]+)"`)
	known := map[string]bool{}
	for _, r := range Rules() {
		known[r.ID] = true
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllSubmatch(source, -1) {
			found++
			if !known[string(m[1])] {
				t.Errorf("%s: there is no rule %q", name, m[1])
			}
		}
	}
	if found < len(known) {
		t.Errorf("only %d findings for %d rules", found, len(known))
	}
}

// edit is an old text and what stands in its place, in pairs.
func edit(playlist string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(playlist, pairs[i]) {
			panic("the playlist has no " + pairs[i])
		}
		playlist = strings.Replace(playlist, pairs[i], pairs[i+1], 1)
	}
	return playlist
}

// bad returns a case of an edited playlist.
func bad(rule, name, playlist string, pairs ...string) knownBad {
	return knownBad{rule, name, CheckMedia([]byte(edit(playlist, pairs...)))}
}

// good fails the test if something good is refused.
func good(t *testing.T, name string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s is refused: %v", name, err)
	}
}
