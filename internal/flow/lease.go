package flow

import (
	"context"
	"database/sql"
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
	db     *sql.DB
	now    string // the database's clock in ms, as SQL
	table  string
	node   string
	length time.Duration
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

func (l *leases) create(ctx context.Context, postgres bool) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if postgres {
		// Two nodes that create the same table at once collide without it.
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(724110511)`); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+l.table+` (node TEXT PRIMARY KEY, expires_at BIGINT NOT NULL)`)
	if err != nil {
		return fmt.Errorf("making the table of nodes: %w", err)
	}
	return tx.Commit()
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

// prune forgets nodes that are long dead. Those of a day stay: one that was
// only slow may have begun a flow before it renewed its lease and died.
func (l *leases) prune(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, `DELETE FROM `+l.table+` WHERE expires_at < `+l.now+` - $1`,
		(24 * time.Hour).Milliseconds())
	return err
}

func (l *leases) close() error { return l.db.Close() }
