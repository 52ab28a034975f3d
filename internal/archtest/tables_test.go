package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root       = "../.."
	migrations = "internal/store/migrations"
)

var (
	ownerLine   = regexp.MustCompile(`(?m)^-- owner: (\w+)$`)
	createTable = regexp.MustCompile(`(?i)\bcreate\s+(?:virtual\s+)?table\s+(?:if\s+not\s+exists\s+)?"?(\w+)"?`)
	statement   = regexp.MustCompile(`(?i)^(?:\s|--[^\n]*\n)*(?:select|insert|update|delete|with|create|alter|drop|truncate)\b`)
)

// tables reads the owner of every table from the migrations in dir.
func tables(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	ofDialects, err := filepath.Glob(filepath.Join(dir, "*", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, ofDialects...)
	owners := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		parts := sections(up)
		if len(parts) == 0 {
			t.Errorf("%s has no line \"-- owner: <package>\"", file)
		}
		for _, part := range parts {
			for _, m := range createTable.FindAllStringSubmatch(part.sql, -1) {
				owners[strings.ToLower(m[1])] = part.owner
			}
		}
	}
	return owners
}

// section is what a migration does to the tables of one owner.
type section struct{ owner, sql string }

// sections splits a migration at its owner lines: most have one.
func sections(text string) []section {
	var all []section
	at := ownerLine.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		all = append(all, section{text[m[2]:m[3]], text[m[1]:end]})
	}
	return all
}

// named returns those of the tables that an SQL text names.
func named(sql string, owners map[string]string) []string {
	var found []string
	for table := range owners {
		place := `(?is)(?:\b(?:from|join|into|table|references|truncate)\s+(?:if\s+(?:not\s+)?exists\s+)?|\bfrom\s[^;()]*,\s*)"?` + table + `"?\b` +
			`|\bupdate\s+"?` + table + `"?\b.*\bset\b`
		if regexp.MustCompile(place).MatchString(sql) {
			found = append(found, table)
		}
	}
	return found
}

// sqlOf returns the SQL texts of a file: all of an .sql file, the string
// literals of a .go file that begin like a statement.
func sqlOf(t *testing.T, path string) []string {
	t.Helper()
	if strings.HasSuffix(path, ".sql") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return []string{string(text)}
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Logf("%s is not looked at: %v", path, err)
		return nil
	}
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if s, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(s) {
			texts = append(texts, s)
		}
		return true
	})
	return texts
}

// intruders lists the files below base that name a table of somebody else.
func intruders(t *testing.T, base string, owners map[string]string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "testdata" || rel != "." && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		ext := filepath.Ext(path)
		if ext != ".sql" && ext != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel = filepath.ToSlash(rel)
		var parts []section
		for _, sql := range sqlOf(t, path) {
			if strings.HasPrefix(rel, migrations+"/") {
				parts = append(parts, sections(sql)...)
			} else {
				parts = append(parts, section{topOf(rel), sql})
			}
		}
		for _, part := range parts {
			for _, table := range named(part.sql, owners) {
				if what := rel + " names " + table + " of " + owners[table]; owners[table] != part.owner && !slices.Contains(found, what) {
					found = append(found, what)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryTableHasOneOwner(t *testing.T) {
	owners := tables(t, filepath.Join(root, migrations))
	if len(owners) == 0 {
		t.Fatal("no table was found in the migrations")
	}
	for table, owner := range owners {
		if _, err := os.Stat(filepath.Join(root, "internal", owner)); err != nil {
			t.Errorf("the owner of %s, internal/%s, is not there", table, owner)
		}
	}
	for _, i := range intruders(t, root, owners) {
		t.Errorf("%s: only the owner of a table may name it", i)
	}
}

func TestIntrudersAreFound(t *testing.T) {
	base := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(base, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(migrations+"/00001_video.sql", "-- owner: video\n-- +goose Up\nCREATE TABLE videos (id TEXT);\nCREATE INDEX v ON videos (id);\n")
	write(migrations+"/00002_channel.sql", "-- owner: channel\nCREATE TABLE IF NOT EXISTS channels (id TEXT REFERENCES videos (id));\n")
	write("internal/video/queries.sql", "-- name: Get :one\nSELECT * FROM videos WHERE id = $1;\n")
	write(migrations+"/00003_both.sql", "-- owner: video\n-- +goose Up\nALTER TABLE videos ADD a;\n-- owner: channel\nALTER TABLE channels ADD a;\nDELETE FROM videos;\n")
	write("internal/video/sqlc/q.go", "package sqlc\nconst q = `-- name: Get :one\nSELECT * FROM videos`\n")
	write("internal/history/queries.sql", "SELECT 1 FROM entries e JOIN videos v ON true;\n")
	write("internal/channel/store.go", "package channel\nconst q = \"UPDATE videos SET a = 1\"\n")
	write("internal/gateway/x.go", "package gateway\nconst q, r = \"delete from \\\"channels\\\"\", \"select a from x, videos\"\n")
	write("internal/account/text.go", "package account\nconst q = \"we read from videos and update videos\"\n")
	write("internal/account/a_test.go", "package account\nconst q = \"select 1 from videos\"\n")

	got := strings.Join(intruders(t, base, tables(t, filepath.Join(base, migrations))), "\n")
	want := strings.Join([]string{
		"internal/channel/store.go names videos of video",
		"internal/gateway/x.go names channels of channel",
		"internal/gateway/x.go names videos of video",
		"internal/history/queries.sql names videos of video",
		migrations + "/00002_channel.sql names videos of video",
		migrations + "/00003_both.sql names videos of video",
	}, "\n")
	if got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}
