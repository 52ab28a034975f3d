// Package store opens the database and offers what all services need of it:
// transactions, events that are said with the rows they belong to (outbox.go),
// and receipts that make repeated work count once (receipts.go). The tables of
// a service are its own and are named in its package alone.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
)

//go:embed migrations
var migrations embed.FS

// Config says which database is used: PostgreSQL when URL is set, else the
// SQLite file at Path.
type Config struct {
	Path    string
	URL     string
	Schemas *schema.Registry // that events are held to; nil: one of its own
	// Node is who works on a PostgreSQL database: while it is open no other
	// node may open it. Nobody is kept out when it is empty. A SQLite file is
	// guarded by the lock of its data folder.
	Node   string
	Logger *slog.Logger // of the claim that Node has; none when nil
}

// DB is the open database with all services' tables.
type DB struct {
	write, read *sql.DB
	dialect     dialect
	sequence    *id.Sequence
	wake        chan struct{}
	schemas     *schema.Registry
	claim       *claim // nil when nobody is kept out
}

// Open opens the database, making it if it is a file that does not exist, and
// brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db := &DB{sequence: id.NewSequence(), wake: make(chan struct{}, 1), schemas: cfg.Schemas}
	if db.schemas == nil {
		db.schemas = schema.New()
	}
	var err error
	if cfg.URL != "" {
		err = db.openPostgres(ctx, cfg.URL)
	} else {
		err = db.openSQLite(cfg.Path)
	}
	if err != nil {
		return nil, err
	}
	prepare := db.migrate
	if cfg.URL != "" && cfg.Node != "" {
		prepare = func(ctx context.Context) error { return db.takeAndMigrate(ctx, cfg) }
	}
	if err := prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close closes the database, and lets other nodes have it.
func (db *DB) Close() error {
	return errors.Join(db.claim.release(), db.closeConnections())
}

func (db *DB) closeConnections() error {
	return errors.Join(db.read.Close(), db.write.Close())
}

func (db *DB) migrate(ctx context.Context) error {
	files, err := db.dialect.migrations()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(db.dialect.goose, db.write, files, goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

// Read returns the database for queries outside a transaction. On SQLite it is
// read-only and sees everything that is committed.
func (db *DB) Read() *sql.DB { return db.read }

// Tx is a write transaction.
type Tx struct {
	*sql.Tx
	db      *DB
	emitted bool
}

// maxTries is how often a transaction is tried that PostgreSQL ended because
// it collided with another.
const maxTries = 5

// Tx runs fn in a write transaction, committed when fn returns nil. When the
// transaction collides with another one fn runs again, so it must not change
// anything but the database.
func (db *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	for try := 1; ; try++ {
		err := db.tryTx(ctx, fn)
		if err == nil || try == maxTries || !db.dialect.collided(err) {
			return err
		}
	}
}

func (db *DB) tryTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.told(db.runTx(ctx, fn))
}

func (db *DB) runTx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	raw, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	tx := &Tx{Tx: raw, db: db}
	// After a commit this does nothing; on any other way out, a panic too, it
	// gives the turn to write to the next.
	defer func() { _ = raw.Rollback() }()
	if err := fn(ctx, tx); err != nil {
		undone := raw.Rollback()
		if undone != nil && !errors.Is(undone, sql.ErrTxDone) {
			if db.dialect.away(err) { // it says why there was nothing to roll back
				return fmt.Errorf("%w; rolling back: %w", err, undone)
			}
			// The reason for err may have been read of a transaction that is
			// undone, too: its code must not count.
			return fmt.Errorf("rolling back because of %q: %w", err.Error(), undone)
		}
		return err
	}
	if tx.emitted {
		failpoint.Pass("outbox.commit")
	}
	if err := raw.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if tx.emitted {
		failpoint.Pass("outbox.committed")
		db.Wake()
	}
	return nil
}

// Now returns the time as the tables hold it: ms since 1970, UTC.
func Now() int64 { return time.Now().UnixMilli() }

// Timestamp returns a table's ms as answers show them: RFC 3339 in UTC, with ms.
func Timestamp(ms int64) string { return Time(ms).Format("2006-01-02T15:04:05.000Z07:00") }

// Time returns a table's ms as a time in UTC.
func Time(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
