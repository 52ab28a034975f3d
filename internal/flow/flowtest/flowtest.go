// Package flowtest gives tests databases for flows: each test its own, on SQLite
// and on PostgreSQL, with the engine's tables in them.
package flowtest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// Each is storetest.EachConfig for tests with flows. Theirs are in the same
// database on PostgreSQL, else in the file flow.db of dir.
func Each(t *testing.T, test func(t *testing.T, cfg store.Config, dir string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		dir := t.TempDir()
		File(t, filepath.Join(dir, "flow.db"))
		test(t, storetest.SQLite(t), dir)
	})
	t.Run("postgres", func(t *testing.T) { test(t, store.Config{URL: Database(t)}, t.TempDir()) })
}

var (
	// File puts a file with the engine's tables at a path where there is none.
	File = storetest.File(func(path string) error { return makeTables(flow.Config{Path: path}) })

	// Database makes a PostgreSQL database with the tables of the engine and of all
	// services, and returns its URL.
	Database = storetest.Postgres("flow", func(url string) error {
		return errors.Join(storetest.MakeTables(store.Config{URL: url}), makeTables(flow.Config{URL: url}))
	})
)

func makeTables(cfg flow.Config) error {
	cfg.NodeID, cfg.Logger = "template", slog.New(slog.DiscardHandler)
	e, err := flow.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	return e.Shutdown(10 * time.Second)
}
