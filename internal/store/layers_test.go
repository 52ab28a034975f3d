package store

import (
	"io/fs"
	"slices"
	"testing"
)

// Both databases have the same migrations, in their own words where need be.
func TestMigrationsOfBothDialects(t *testing.T) {
	names := map[string][]string{}
	for _, folder := range []string{"sqlite", "postgres"} {
		files, err := dialect{folder: folder}.migrations()
		if err != nil {
			t.Fatal(err)
		}
		found, err := fs.Glob(files, "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if text, err := fs.ReadFile(files, name); err != nil || len(text) == 0 {
				t.Errorf("%s of %s: %d bytes, %v", name, folder, len(text), err)
			}
		}
		slices.Sort(found)
		names[folder] = found
	}
	if !slices.Equal(names["sqlite"], names["postgres"]) {
		t.Errorf("SQLite has %v, PostgreSQL %v", names["sqlite"], names["postgres"])
	}
	if len(names["sqlite"]) < 9 || len(slices.Compact(names["sqlite"])) != len(names["postgres"]) {
		t.Errorf("migrations %v", names["sqlite"])
	}
}
