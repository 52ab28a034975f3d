package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// Emit says events with the transaction: they reach the bus, soon after the
// commit, if and only if it commits. Saying an event id again while it waits
// does nothing.
func (tx *Tx) Emit(ctx context.Context, events ...event.Envelope) error {
	for _, e := range events {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", e.DetailType, err)
		}
		_, err = tx.ExecContext(ctx,
			`INSERT INTO outbox (seq, event_id, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			tx.db.sequence.Next(), e.ID, string(body))
		if err != nil {
			return fmt.Errorf("writing %s to the outbox: %w", e.DetailType, err)
		}
		tx.emitted = true
		failpoint.Pass("emit")
	}
	return nil
}

// Wake makes the relay look into the outbox now.
func (db *DB) Wake() {
	select {
	case db.wake <- struct{}{}:
	default:
	}
}

const (
	relayLease   = "outbox"
	leaseTime    = 30 * time.Second // the relay's claim on the outbox
	publishTime  = 20 * time.Second // less than leaseTime: a late publish ends before the claim does
	relayPoll    = time.Second      // the net under Wake, and the pause after a failure
	relayBatch   = 100
	pruneEvery   = time.Hour
	receiptsKept = 60 * 24 * time.Hour
)

// Relay carries events from the outbox to the bus in the order in which they
// were said. Of all nodes on one database one relays at a time.
type Relay struct {
	DB      *DB
	Holder  string // this node's id
	Publish func(ctx context.Context, e event.Envelope) error
	Logger  *slog.Logger
}

// Run relays until ctx is done.
func (r *Relay) Run(ctx context.Context) {
	poll := time.NewTicker(relayPoll)
	defer poll.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for {
		if err := r.Drain(ctx); err != nil && ctx.Err() == nil {
			r.Logger.Error("outbox: events wait", "err", err)
			// A failure is not retried at once, whoever wakes the relay.
			select {
			case <-poll.C:
			case <-ctx.Done():
			}
		}
		select {
		case <-r.DB.wake:
		case <-poll.C:
		case <-prune.C:
			if err := r.DB.PruneReceipts(ctx, receiptsKept); err != nil {
				r.Logger.Warn("old receipts are not pruned", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Drain publishes what waits, stopping at the first failure so that the order
// stays. A node that stops calls it once more after Run has ended.
func (r *Relay) Drain(ctx context.Context) error {
	for {
		waiting, err := r.DB.waiting(ctx)
		if err != nil || len(waiting) == 0 {
			return err
		}
		mine, err := r.DB.lease(ctx, relayLease, r.Holder, leaseTime)
		if err != nil || !mine {
			return err
		}
		published, failure := r.publish(ctx, waiting)
		if err := r.DB.deletePublished(ctx, published); err != nil {
			return err
		}
		failpoint.Pass("relay.deleted")
		if failure != nil {
			return failure
		}
	}
}

// publish returns the rows that the bus has acknowledged, and why it stopped.
func (r *Relay) publish(ctx context.Context, rows []waitingRow) (published []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	for _, row := range rows {
		e, err := event.Parse([]byte(row.body))
		if err != nil {
			// Emit wrote it, so this cannot be mended by waiting: the rest
			// must not wait behind it for ever.
			r.Logger.Error("outbox: dropping what is no event", "seq", row.seq, "body", row.body, "err", err)
			published = append(published, row.seq)
			continue
		}
		failpoint.Pass("relay.publish")
		if err := r.Publish(ctx, e); err != nil {
			return published, fmt.Errorf("publishing %s %s: %w", e.DetailType, e.ID, err)
		}
		failpoint.Pass("relay.published")
		published = append(published, row.seq)
	}
	return published, nil
}

type waitingRow struct{ seq, body string }

func (db *DB) waiting(ctx context.Context) ([]waitingRow, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT seq, body FROM outbox ORDER BY seq LIMIT $1`, relayBatch)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []waitingRow
	for rows.Next() {
		var row waitingRow
		if err := rows.Scan(&row.seq, &row.body); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// deletePublished runs to its end even when the node is stopping: an event
// that is published need not be published again.
func (db *DB) deletePublished(ctx context.Context, seqs []string) error {
	if len(seqs) == 0 {
		return nil
	}
	return db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *Tx) error {
		for _, seq := range seqs {
			if _, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE seq = $1`, seq); err != nil {
				return fmt.Errorf("deleting from the outbox: %w", err)
			}
		}
		return nil
	})
}

// Pending returns how many events wait in the outbox.
func (db *DB) Pending(ctx context.Context) (int64, error) {
	var n int64
	err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM outbox`).Scan(&n)
	return n, err
}

// lease takes or renews a claim by name and says whether holder has it now. A
// claim that ran out may be taken by anybody.
func (db *DB) lease(ctx context.Context, name, holder string, length time.Duration) (mine bool, err error) {
	err = db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		now := Now()
		var got string
		err := tx.QueryRowContext(ctx,
			`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
			 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			 WHERE leases.holder = excluded.holder OR leases.expires_at < $4
			 RETURNING holder`,
			name, holder, now+length.Milliseconds(), now).Scan(&got)
		if err == sql.ErrNoRows {
			mine = false
			return nil
		}
		mine = err == nil
		return err
	})
	return mine, err
}
