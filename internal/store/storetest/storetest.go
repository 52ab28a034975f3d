// Package storetest gives tests databases: each test its own, on SQLite and on
// PostgreSQL.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Each runs a test on a fresh SQLite file and on a fresh PostgreSQL database.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachConfig(t, func(t *testing.T, cfg store.Config) { test(t, Open(t, cfg)) })
}

// EachConfig is Each for tests that open the database themselves, perhaps
// several times. It has the tables, and nothing in them.
func EachConfig(t *testing.T, test func(t *testing.T, cfg store.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		test(t, store.Config{URL: database(t)})
	})
}

// SQLite returns a fresh SQLite file with the tables.
func SQLite(t testing.TB) store.Config {
	t.Helper()
	cfg := store.Config{Path: filepath.Join(t.TempDir(), "app.db")}
	file(t, cfg.Path)
	return cfg
}

// EachEmpty is EachConfig for tests of how the tables are made.
func EachEmpty(t *testing.T, test func(t *testing.T, cfg store.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, store.Config{Path: filepath.Join(t.TempDir(), "app.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, store.Config{URL: PostgresURL(t)})
	})
}

// Schemas are the same for all databases of a test process: making them takes
// longer than opening one.
var Schemas = sync.OnceValue(schema.New)

var (
	file     = File(func(path string) error { return MakeTables(store.Config{Path: path}) })
	database = Postgres("app", func(url string) error { return MakeTables(store.Config{URL: url}) })
)

// MakeTables makes the tables of all services.
func MakeTables(cfg store.Config) error {
	cfg.Schemas = Schemas()
	db, err := store.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	return db.Close()
}

// Open opens a database until the end of the test. A SQLite file that is not
// there is made with the tables.
func Open(t testing.TB, cfg store.Config) *store.DB {
	t.Helper()
	if cfg.Schemas == nil {
		cfg.Schemas = Schemas()
	}
	if cfg.URL == "" {
		file(t, cfg.Path)
	}
	db, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// PostgresURL makes an empty PostgreSQL database that goes with the test, on a
// server that all tests share and that is started when need be.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server, err := startPostgres()
	if err != nil {
		t.Fatalf("PostgreSQL for the tests: %v", err)
	}
	return server.database(t, "")
}

// SyncedPostgresURL is PostgresURL on a server of its own that syncs what it
// commits, as it does by default and that of the tests does not: for benchmarks.
func SyncedPostgresURL(t testing.TB) string {
	t.Helper()
	// Not below the folder of t, whose parents the server's user may not enter,
	// and whose path may be too long for a socket.
	dir, err := os.MkdirTemp("", "serverlessvideo-synced-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server, err := startSynced(dir)
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatalf("PostgreSQL for the benchmark: %v", err)
	}
	return server.database(t, "")
}

// database makes a database that goes with the test, empty unless like says
// something else.
func (p postgres) database(t testing.TB, like string) string {
	t.Helper()
	name := "t" + id.New()
	p.exec(t, "CREATE DATABASE "+name+like)
	t.Cleanup(func() { p.exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return p.url(name)
}

func (p postgres) exec(t testing.TB, statement string) {
	t.Helper()
	if err := p.do(statement); err != nil {
		t.Fatal(err)
	}
}

// do runs statements that are about databases.
func (p postgres) do(statements ...string) error {
	return p.connected(func(db *sql.DB) error {
		for _, s := range statements {
			if _, err := db.ExecContext(context.Background(), s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

// has says whether there is a database of this name.
func (p postgres) has(name string) (there bool, err error) {
	err = p.connected(func(db *sql.DB) error {
		const q = `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`
		return db.QueryRowContext(context.Background(), q, name).Scan(&there)
	})
	return there, err
}

func (p postgres) connected(use func(db *sql.DB) error) error {
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		return err
	}
	return errors.Join(use(db), db.Close())
}
