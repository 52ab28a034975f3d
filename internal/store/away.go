package store

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// told gives an error that is nobody's mistake a code and words for people: the
// disk is full, or the database is away. It may go well a moment later.
func (db *DB) told(err error) error {
	var coded *errs.Error
	if err == nil || errors.As(err, &coded) || !db.dialect.away(err) {
		return err
	}
	return errs.Wrap(err, errs.Unavailable, "the server cannot store anything just now; try again in a while")
}

// postgresAway is about connections that cannot be made or were cut, and the
// server's classes 08 (connection), 53 (resources: its disk is full), 57P (it is
// stopped) and 58 (input and output), and a server that is read-only.
func postgresAway(err error) bool {
	var connecting *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) {
		return true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	return slices.ContainsFunc([]string{"08", "53", "57P", "58", "25006"}, func(class string) bool { return strings.HasPrefix(e.Code, class) })
}
