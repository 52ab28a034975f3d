package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

// Making the tables takes seconds of a test's time with the race detector, and
// copying a database that has them hardly any: so they are made once.

// File returns what puts a copy of a SQLite file at a path where there is none.
// fill makes the file, once in a test process, and closes it.
func File(fill func(path string) error) func(t testing.TB, path string) {
	made := sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "serverlessvideo-template-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		path := filepath.Join(dir, "template.db")
		if err := fill(path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(path + "-wal"); err == nil {
			return nil, errors.New("the file was not closed: its log is still there")
		}
		return os.ReadFile(path)
	})
	return func(t testing.TB, path string) {
		t.Helper()
		text, err := made()
		if err == nil {
			err = writeNew(path, text)
		}
		if err != nil {
			t.Fatalf("a copy of the tables: %v", err)
		}
	}
}

// writeNew writes a file, unless there is one.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// Postgres returns what makes copies of a PostgreSQL database, each going with
// its test. fill makes its tables, once for all test processes that have the same
// sources, and closes it. Names are of a-z.
func Postgres(name string, fill func(url string) error) func(t testing.TB) string {
	made := sync.OnceValues(func() (string, error) {
		server, err := startPostgres()
		if err != nil {
			return "", err
		}
		full := name + "_" + sources()
		return full, server.template(full, fill)
	})
	return func(t testing.TB) string {
		t.Helper()
		template, err := made()
		if err != nil {
			t.Fatalf("PostgreSQL with tables for the tests: %v", err)
		}
		return folder().database(t, " TEMPLATE "+template)
	}
}

// template makes a database that others are copied from, unless it is there.
func (p postgres) template(name string, fill func(url string) error) error {
	lock := flock.New(filepath.Join(p.dir, name+".lock"))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	there, err := p.has(name)
	if err != nil || there {
		return err
	}
	// It gets its name when it is whole: a test process may end at any time.
	making := name + "_in_the_making"
	if err := p.do("DROP DATABASE IF EXISTS "+making+" WITH (FORCE)", "CREATE DATABASE "+making); err != nil {
		return err
	}
	if err := fill(p.url(making)); err != nil {
		return err
	}
	return p.do("ALTER DATABASE "+making+" ALLOW_CONNECTIONS false", "ALTER DATABASE "+making+" RENAME TO "+name)
}

// sources names what the tables are made by: the migrations, the engine of the
// flows, and the libraries. Without the sources the name is new each time.
var sources = sync.OnceValue(func() string {
	sum := sha256.New()
	add := func(path string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if err != nil || d.IsDir() || ext != ".sql" && ext != ".sum" && (ext != ".go" || strings.HasSuffix(path, "_test.go")) {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			_, _ = fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(path), len(text), text)
		}
		return err
	}
	_, self, _, ok := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "..", "..", "..")
	for _, part := range []string{"go.sum", "internal/store", "internal/flow"} {
		ok = ok && filepath.WalkDir(filepath.Join(root, part), add) == nil
	}
	if !ok {
		return id.New()
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
})
