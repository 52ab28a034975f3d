package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// tables is the PostgreSQL schema of all services' tables.
const tables = "app"

const (
	postgresConnections = 16
	connectionIdle      = 5 * time.Minute // then it is closed
	// connectTime is how long one attempt to connect may take when the URL does
	// not say it (connect_timeout).
	connectTime = 10 * time.Second
)

func (db *DB) openPostgres(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// The parser's own message repeats the URL.
		return fmt.Errorf("the database URL: %w", errors.Unwrap(err))
	}
	cfg.RuntimeParams["search_path"] = tables
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTime
	}
	db.write, db.read = stdlib.OpenDB(*cfg), stdlib.OpenDB(*cfg)
	// Two pools: who has a transaction may read beside it, and would wait for
	// ever for a connection that others in transactions wait for, too.
	for _, pool := range []*sql.DB{db.write, db.read} {
		pool.SetMaxOpenConns(postgresConnections)
		// A new connection is a new process there, which knows no statement yet.
		pool.SetMaxIdleConns(postgresConnections)
		pool.SetConnMaxIdleTime(connectionIdle)
	}
	db.dialect = dialect{
		goose: goose.DialectPostgres, folder: "postgres", collided: postgresCollided, isUnique: postgresUnique, away: postgresAway,
		hold: postgresHold,
	}
	if err := db.makeSchema(ctx); err != nil {
		return errors.Join(explained(err, cfg), db.closeConnections())
	}
	return nil
}

// makeSchema makes the schema that is not there. One that somebody else made
// for us needs no right to make schemas, which IF NOT EXISTS would ask for.
func (db *DB) makeSchema(ctx context.Context) error {
	var there bool
	err := db.write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, tables).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = db.write.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+tables)
	return err
}

// explained says what is wrong with a database that cannot be used, and what
// would be right. It never repeats the password.
func explained(err error, cfg *pgx.ConnConfig) error {
	at := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	say := func(format string, args ...any) error {
		return errs.Wrap(err, errs.Unavailable, fmt.Sprintf("PostgreSQL at "+at+" "+format, args...))
	}
	var connecting *pgconn.ConnectError
	switch {
	case hasSQLState(err, "28P01"): // invalid_password
		return say("refuses the password of user %s: mend it in database.url", cfg.User)
	case hasSQLState(err, "28000"): // invalid_authorization_specification
		return say("does not let user %s in: make the user there, and see to it that its pg_hba.conf has a line for it", cfg.User)
	case hasSQLState(err, "3D000"): // invalid_catalog_name
		return say("has no database %s: make it (CREATE DATABASE %s), or name another one in database.url",
			cfg.Database, pgx.Identifier{cfg.Database}.Sanitize())
	case hasSQLState(err, "42501"): // insufficient_privilege
		return say("does not let user %s make what the node needs: GRANT CREATE ON DATABASE %s TO %s",
			cfg.User, pgx.Identifier{cfg.Database}.Sanitize(), pgx.Identifier{cfg.User}.Sanitize())
	case hasSQLState(err, "57P03"): // cannot_connect_now
		return say("is starting or stopping: start the node when it is there")
	case errors.As(err, &connecting):
		return say("cannot be reached: start it, or mend host and port in database.url")
	default:
		return say("does not answer as it should")
	}
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
