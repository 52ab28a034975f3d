package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect holds all that differs between the two databases.
type dialect struct {
	goose    goose.Dialect
	folder   string           // of the migrations that only this dialect has
	collided func(error) bool // the transaction may succeed when tried again
	isUnique func(error) bool
	away     func(error) bool // it cannot be used just now, whatever is asked
}

func (db *DB) openSQLite(path string) error {
	write, err := sql.Open("sqlite", sqliteDSN(path, "_txlock=immediate"))
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	// SQLite has one writer at a time: queueing in Go is fair and never busy.
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", sqliteDSN(path, "_pragma=query_only(1)"))
	if err != nil {
		return errors.Join(fmt.Errorf("opening %s: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	db.write, db.read = write, read
	db.dialect = dialect{goose: goose.DialectSQLite3, folder: "sqlite", collided: sqliteBusy, isUnique: sqliteUnique, away: sqliteAway}
	return nil
}

// sqliteDSN names the file as a URI, so that any byte may stand in its path.
// synchronous=FULL: a commit survives a power cut.
func sqliteDSN(path, extra string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + extra
}

func sqliteBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func sqliteUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsUnique says whether err is a violated primary key or unique index. On
// PostgreSQL the transaction is over then.
func (db *DB) IsUnique(err error) bool { return db.dialect.isUnique(err) }
