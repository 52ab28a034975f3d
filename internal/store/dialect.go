package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/store/sqlite"
)

// dialect holds all that differs between the two databases.
type dialect struct {
	goose    goose.Dialect
	folder   string           // of the migrations that only this dialect has
	collided func(error) bool // the transaction may succeed when tried again
	isUnique func(error) bool
}

// tables is the PostgreSQL schema of all services' tables.
const tables = "app"

func (db *DB) openSQLite(path string) error {
	write, err := sqlite.OpenWriter(path)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	read, err := sqlite.OpenReader(path, max(4, runtime.GOMAXPROCS(0)))
	if err != nil {
		return errors.Join(fmt.Errorf("opening %s: %w", path, err), write.Close())
	}
	db.write, db.read = write, read
	db.dialect = dialect{goose: goose.DialectSQLite3, folder: "sqlite", collided: sqlite.Retryable, isUnique: sqlite.IsUnique}
	return nil
}

func (db *DB) openPostgres(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("the database URL: %w", err)
	}
	cfg.RuntimeParams["search_path"] = tables
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(16)
	if _, err := pool.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+tables); err != nil {
		return errors.Join(fmt.Errorf("connecting to the database: %w", err), pool.Close())
	}
	db.write, db.read = pool, pool
	db.dialect = dialect{goose: goose.DialectPostgres, folder: "postgres", collided: postgresCollided, isUnique: postgresUnique}
	return nil
}

func postgresCollided(err error) bool {
	// 40001 serialization_failure, 40P01 deadlock_detected.
	return hasSQLState(err, "40001", "40P01")
}

func postgresUnique(err error) bool { return hasSQLState(err, "23505") }

func hasSQLState(err error, states ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range states {
		if e.Code == s {
			return true
		}
	}
	return false
}

// IsUnique says whether err is a violated primary key or unique index. On
// PostgreSQL the transaction is over then.
func (db *DB) IsUnique(err error) bool { return db.dialect.isUnique(err) }
