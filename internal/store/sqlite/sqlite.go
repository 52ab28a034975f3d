// Package sqlite opens SQLite files through database/sql, with two things that
// the driver alone does not do: statements stay compiled (conn.go), and write
// transactions that wait for one another are committed together, with one sync
// of the disk for all of them (group.go).
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxWriters is how many transactions may be begun or wait to be at a time; more
// wait in database/sql.
const maxWriters = 128

// OpenWriter opens the file for writing, making it when it is missing. Who
// writes to the file beside it is waited for by polling, up to 10 s.
//
// Its transactions run one after the other, as SQLite's must, but a commit
// returns only when what it committed is on the disk, together with whatever
// other transactions ran meanwhile. Queries outside a transaction see what is
// on the disk and wait for no writer.
func OpenWriter(path string) (*sql.DB, error) {
	write, err := sqlite.NewConnector(dsn(path, "_txlock=immediate"))
	if err != nil {
		return nil, err
	}
	read, err := readConnector(path)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(newGroup(write, read))
	db.SetMaxOpenConns(maxWriters)
	db.SetMaxIdleConns(maxWriters) // they are small: the file is open once
	return db, nil
}

// OpenReader opens the file for queries, up to most at a time. They see
// everything that is committed.
func OpenReader(path string, most int) (*sql.DB, error) {
	c, err := readConnector(path)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(cached{c})
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

func readConnector(path string) (driver.Connector, error) {
	return sqlite.NewConnector(dsn(path, "_pragma=query_only(1)"))
}

// dsn names the file as a URI, so that any byte may stand in its path.
// synchronous=FULL: a commit survives a power cut.
func dsn(path, extra string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + extra
}

// cached is a connector whose connections keep their statements.
type cached struct{ driver.Connector }

// Connect implements driver.Connector.
func (c cached) Connect(ctx context.Context) (driver.Conn, error) { return connect(ctx, c.Connector) }

// IsUnique says whether err is a violated primary key or unique index.
func IsUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// Retryable says whether a transaction that ended with err may succeed when it
// is run again: the file was locked, or another transaction's failure undid it.
func Retryable(err error) bool {
	return errors.Is(err, errUndone) || primary(err) == sqlite3.SQLITE_BUSY
}

// Away says whether the file cannot be used just now, whatever is asked: its disk
// is full, broken or read-only.
func Away(err error) bool {
	switch primary(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// primary returns SQLite's primary result code of err, 0 when it has none.
func primary(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// undoes says whether SQLite may have rolled back the whole transaction, and not
// the failed statement alone (sqlite.org/lang_transaction.html, section 3).
func undoes(err error) bool {
	switch primary(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ABORT:
		return true
	}
	return false
}
