package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	claimName  = "node"
	claimTime  = 30 * time.Second // how long a node that is silent keeps others out
	claimRenew = claimTime / 3
	// claimLock is the advisory lock under which a node takes the database and
	// brings its tables up to date: no node migrates what another one works on.
	// Locks are the database's, so it is another one than those of package flow.
	claimLock = 724110513
	// serverNow is PostgreSQL's clock in ms: nodes' clocks differ.
	serverNow = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
)

// claim is a node's right to work alone on a PostgreSQL database. Nodes do not
// share a bus or objects, so two on one database would each hear half of what
// happens. A node that was killed has its claim back at once under its id;
// another one may take it when it ran out.
type claim struct {
	db     *sql.DB
	node   string
	log    *slog.Logger
	lost   chan struct{} // closed when another node has taken the database
	cancel context.CancelFunc
	done   chan struct{}
}

// takeAndMigrate claims the database before it changes anything in it.
func (db *DB) takeAndMigrate(ctx context.Context, cfg Config) error {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, claimLock); err != nil {
		return fmt.Errorf("waiting for another node that is starting: %w", err)
	}
	defer func() { // a connection that broke has lost the lock already
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, claimLock)
	}()
	c := &claim{db: db.write, node: cfg.Node, log: log, lost: make(chan struct{}), done: make(chan struct{})}
	if err := c.mayTake(ctx); err != nil {
		return err
	}
	if err := db.migrate(ctx); err != nil {
		return err
	}
	if mine, err := c.renew(ctx); err != nil || !mine {
		return errors.Join(fmt.Errorf("the database is not claimed for node %s", c.node), err)
	}
	keep, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	db.claim = c
	go c.keep(keep)
	return nil
}

// mayTake says who has the database, if it is another node that is alive. The
// table is missing in a new database, which is everybody's.
func (c *claim) mayTake(ctx context.Context) error {
	var table sql.NullString
	if err := c.db.QueryRowContext(ctx, `SELECT to_regclass('leases')::text`).Scan(&table); err != nil || !table.Valid {
		return err
	}
	var holder string
	var until, left int64
	err := c.db.QueryRowContext(ctx,
		`SELECT holder, expires_at, expires_at - `+serverNow+` FROM leases WHERE name = $1`, claimName).Scan(&holder, &until, &left)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("looking who works on the database: %w", err)
	case holder == c.node:
		return nil
	case left > 0:
		return errs.Newf(errs.Conflict,
			"node %s works on this database and has it until %s at least (%.0f s from now); one node has a database to itself: stop that node, or give this one a database of its own",
			holder, Time(until).Format(time.RFC3339), float64(left)/1000)
	}
	c.log.Warn("another node worked on this database before: its recordings and its key lie in that node's data folder",
		"node", holder, "until", Time(until).Format(time.RFC3339))
	return nil
}

// renew takes the database for a while, or says that another node has it.
func (c *claim) renew(ctx context.Context) (mine bool, err error) {
	res, err := c.db.ExecContext(ctx,
		`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, `+serverNow+` + $3)
		 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
		 WHERE leases.holder = excluded.holder OR leases.expires_at < `+serverNow,
		claimName, c.node, claimTime.Milliseconds())
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// keep renews the claim until ctx is done or another node has it.
func (c *claim) keep(ctx context.Context) {
	defer close(c.done)
	every := time.NewTicker(claimRenew)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		renewing, cancel := context.WithTimeout(ctx, claimRenew)
		mine, err := c.renew(renewing)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.log.Warn("the claim on the database is not renewed; another node may take it when it has run out", "err", err)
		case !mine:
			c.log.Error("another node has taken the database: this one did not reach it for too long")
			close(c.lost)
			return
		}
	}
}

// release lets other nodes have the database. A claim that was lost is not
// touched.
func (c *claim) release() error {
	if c == nil {
		return nil
	}
	c.cancel()
	<-c.done
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := c.db.ExecContext(ctx, `DELETE FROM leases WHERE name = $1 AND holder = $2`, claimName, c.node)
	if err != nil {
		return fmt.Errorf("giving up the claim on the database: %w", err)
	}
	return nil
}

// Lost is closed when another node has taken the database, so that this one
// must end. It never is on SQLite.
func (db *DB) Lost() <-chan struct{} {
	if db.claim == nil {
		return nil
	}
	return db.claim.lost
}
