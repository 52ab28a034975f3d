package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"

	"github.com/pressly/goose/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/store/sqlite"
)

// dialect holds all that differs between the two databases.
type dialect struct {
	goose    goose.Dialect
	folder   string           // of the migrations that only this dialect has
	collided func(error) bool // the transaction may succeed when tried again
	isUnique func(error) bool
	away     func(error) bool // it cannot be used just now, whatever is asked
	// hold has a number until the transaction ends; nil where only one transaction
	// writes at a time.
	hold func(ctx context.Context, tx *sql.Tx, key int64, alone bool) error
}

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
	db.dialect = dialect{goose: goose.DialectSQLite3, folder: "sqlite", collided: sqlite.Retryable, isUnique: sqlite.IsUnique, away: sqlite.Away}
	return nil
}

// IsUnique says whether err is a violated primary key or unique index. On
// PostgreSQL the transaction is over then.
func (db *DB) IsUnique(err error) bool { return db.dialect.isUnique(err) }
