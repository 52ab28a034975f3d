package flow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // lets DBOS read modernc's error codes
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/serverlessvideo/serverlessvideo/internal/store/sqlite"
)

// schema is the PostgreSQL schema of the flows' tables.
const schema = "flow"

// open connects twice: DBOS closes its connections when it shuts down, and the
// lease is given back after that.
func (e *Engine) open(ctx context.Context) error {
	cfg := dbos.Config{
		AppName:            appName,
		ApplicationVersion: appVersion,
		ExecutorID:         e.cfg.NodeID,
		DatabaseSchema:     schema,
		// DBOS reports its own routine as information.
		Logger: slog.New(quiet{e.log.Handler()}).With("part", "dbos"),
	}
	leaseDB, now, closeDBOS, err := e.connect(ctx, &cfg)
	if err != nil {
		return err
	}
	e.lease = &leases{db: leaseDB, now: now, postgres: e.cfg.URL != "", table: "node_leases", node: e.cfg.NodeID, length: e.cfg.LeaseTime}
	if e.cfg.URL != "" {
		e.lease.table = schema + ".node_leases"
	}
	// Two nodes that make or change the same tables at once collide without it.
	release, err := e.lease.lock(ctx, openLock)
	if err != nil {
		closeDBOS()
		return errors.Join(err, leaseDB.Close())
	}
	defer release()
	// WithoutCancel: a parent that is cancelled marks all flows as cancelled.
	e.dbos, err = dbos.NewContext(context.WithoutCancel(ctx), cfg)
	if err != nil {
		closeDBOS()
		return errors.Join(err, leaseDB.Close())
	}
	if err := errors.Join(e.check(), e.lease.create(ctx)); err != nil {
		return errors.Join(err, dbos.Shutdown(e.dbos, e.cfg.LeaseTime), leaseDB.Close())
	}
	return nil
}

// check makes sure that DBOS took what it was told: environment variables
// override its configuration.
func (e *Engine) check() error {
	if got := e.dbos.GetExecutorID(); got != e.cfg.NodeID {
		return fmt.Errorf("the environment variable DBOS__VMID makes this node %q instead of %q: unset it", got, e.cfg.NodeID)
	}
	if got := e.dbos.GetApplicationVersion(); got != appVersion {
		return fmt.Errorf("the environment variable DBOS__APPVERSION changes the version of flows to %q: unset it", got)
	}
	if _, ok := e.dbos.(recoverer); !ok {
		return errors.New("this version of DBOS cannot take up the flows of another node")
	}
	return nil
}

func (e *Engine) connect(ctx context.Context, cfg *dbos.Config) (lease *sql.DB, now string, closeDBOS func(), err error) {
	if e.cfg.URL != "" {
		return e.connectPostgres(ctx, cfg)
	}
	db, err := sqlite.OpenWriter(e.cfg.Path)
	if err != nil {
		return nil, "", nil, err
	}
	lease, err = sqlite.OpenWriter(e.cfg.Path)
	if err != nil {
		return nil, "", nil, errors.Join(err, db.Close())
	}
	cfg.SQLiteSystemDB = db
	return lease, "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", func() { _ = db.Close() }, nil
}

func (e *Engine) connectPostgres(ctx context.Context, cfg *dbos.Config) (*sql.DB, string, func(), error) {
	conf, err := pgxpool.ParseConfig(e.cfg.URL)
	if err != nil {
		return nil, "", nil, fmt.Errorf("the database URL: %w", err)
	}
	conf.MaxConns = max(conf.MaxConns, 10)
	conf.ConnConfig.RuntimeParams["application_name"] = appName + "-flow"
	conf.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, "", nil, err
	}
	lease := stdlib.OpenDB(*conf.ConnConfig)
	lease.SetMaxOpenConns(2) // one may hold a lock (retain.go)
	cfg.SystemDBPool = pool
	return lease, "(extract(epoch FROM clock_timestamp()) * 1000)::bigint", pool.Close, nil
}

// quiet drops what is less than a warning, and what DBOS says of runs that were
// not to be recorded.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	parked := false
	r.Attrs(func(a slog.Attr) bool {
		err, _ := a.Value.Any().(error)
		parked = errors.Is(err, errParked)
		return !parked
	})
	if parked {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
