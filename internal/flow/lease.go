package flow

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

// leases is the table of the nodes that are alive, by the database's clock.
// Every node renews its row; whoever sees one that ran out takes up that
// node's flows.
//
// A node that was only slow may find its flows taken. DBOS refuses what it
// then wants to record, and the receipts of its steps refuse a second effect.
type leases struct {
	db       *sql.DB
	postgres bool   // else SQLite, which has one node
	now      string // the database's clock in ms, as SQL
	table    string
	node     string
	length   time.Duration
}

// recoverer is the part of DBOS that hands a node's unfinished flows to the
// queue from which all nodes draw, in one statement. Two nodes may do it at
// once: the second finds nothing left.
type recoverer interface {
	RecoverPendingWorkflows(executorIDs []string) ([]dbos.WorkflowHandle[any], error)
}

// keepAlive renews this node's lease and takes up the flows of dead nodes.
func (e *Engine) keepAlive(ctx context.Context) {
	if err := e.lease.renew(ctx); err != nil {
		if ctx.Err() == nil {
			e.log.Error("the node's lease is not renewed: others may take up its flows", "err", err)
		}
		return
	}
	if e.dbos.Err() != nil {
		return // shutting down
	}
	dead, err := e.lease.expired(ctx)
	if err != nil || len(dead) == 0 {
		if err != nil && ctx.Err() == nil {
			e.log.Warn("cannot see which nodes are alive", "err", err)
		}
		return
	}
	taken, err := e.dbos.(recoverer).RecoverPendingWorkflows(dead)
	if err != nil {
		e.log.Error("the flows of dead nodes are not taken up", "nodes", dead, "err", err)
		return
	}
	if len(taken) > 0 {
		e.log.Info("took up the flows of dead nodes", "nodes", dead, "flows", len(taken))
	}
	if err := e.lease.prune(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("dead nodes are not forgotten", "err", err)
	}
}

// The locks that the nodes on one database share. Package store has 724110513.
const (
	openLock  = 724110511 // making the tables
	finalLock = 724110512 // changing what is final, cancelling and waking
)

// lockPause is how often a lock that another node has is asked for.
const lockPause = 50 * time.Millisecond

// lock takes a lock that all nodes share. A file of SQLite has one node alone.
//
// It neither holds nor waits in a transaction: DBOS makes some indexes
// concurrently, which waits until older transactions are over.
func (l *leases) lock(ctx context.Context, key int) (release func(), err error) {
	if !l.postgres {
		return func() {}, nil
	}
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for {
		var mine bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, key).Scan(&mine); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		if mine {
			return func() { unlock(conn, key) }, nil
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), conn.Close())
		}
	}
}

func unlock(conn *sql.Conn, key int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, key); err != nil {
		// A connection that is closed for good gives it back, too.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = conn.Close()
}

func (l *leases) create(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+l.table+` (node TEXT PRIMARY KEY, expires_at BIGINT NOT NULL)`)
	if err != nil {
		return fmt.Errorf("making the table of nodes: %w", err)
	}
	return nil
}

func (l *leases) renew(ctx context.Context) error {
	return l.set(ctx, l.length)
}

// release says that this node's flows need nobody to wait for it.
func (l *leases) release(ctx context.Context) error {
	return l.set(ctx, -time.Millisecond)
}

func (l *leases) set(ctx context.Context, length time.Duration) error {
	_, err := l.db.ExecContext(ctx,
		`INSERT INTO `+l.table+` (node, expires_at) VALUES ($1, `+l.now+` + $2)
		 ON CONFLICT (node) DO UPDATE SET expires_at = excluded.expires_at`,
		l.node, length.Milliseconds())
	if err != nil {
		return fmt.Errorf("writing the node's lease: %w", err)
	}
	return nil
}

func (l *leases) expired(ctx context.Context) ([]string, error) {
	rows, err := l.db.QueryContext(ctx,
		`SELECT node FROM `+l.table+` WHERE expires_at < `+l.now+` AND node <> $1`, l.node)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var nodes []string
	for rows.Next() {
		var node string
		if err := rows.Scan(&node); err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, rows.Err()
}

// Node is a node that runs flows, or has within the last day.
type Node struct {
	ID        string
	Self      bool      // it is this one
	Alive     bool      // its lease has not run out, by the database's clock
	ExpiresAt time.Time // of its lease
}

// Nodes returns the nodes on this database.
func (e *Engine) Nodes(ctx context.Context) ([]Node, error) {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return nil, err
	}
	nodes, err := e.lease.nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the nodes: %w", err)
	}
	return nodes, nil
}

func (l *leases) nodes(ctx context.Context) ([]Node, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT node, expires_at, expires_at >= `+l.now+` FROM `+l.table+` ORDER BY node`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var nodes []Node
	for rows.Next() {
		var n Node
		var expires int64
		if err := rows.Scan(&n.ID, &expires, &n.Alive); err != nil {
			return nil, err
		}
		n.Self, n.ExpiresAt = n.ID == l.node, time.UnixMilli(expires).UTC()
		nodes = append(nodes, n)
	}
	return nodes, rows.Err()
}

// prune forgets nodes that are long dead. Those of a day stay: one that was
// only slow may have begun a flow before it renewed its lease and died.
func (l *leases) prune(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, `DELETE FROM `+l.table+` WHERE expires_at < `+l.now+` - $1`,
		(24 * time.Hour).Milliseconds())
	return err
}

func (l *leases) close() error { return l.db.Close() }
