package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// Emit says events with the transaction: they reach the bus, soon after the
// commit, if and only if it commits. Saying an event id again while it waits
// does nothing. An event that breaks its schema is refused here, where its
// author learns of it: what is in the outbox is published as it stands, for an
// older build may have said it. Errors: errs.Internal.
func (tx *Tx) Emit(ctx context.Context, events ...event.Envelope) error {
	for _, e := range events {
		if err := tx.db.schemas.Check(e); err != nil {
			return errs.Wrap(err, errs.Internal, "an event cannot be said")
		}
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
	relayLease  = "outbox"
	leaseTime   = 30 * time.Second // the relay's claim on the outbox
	publishTime = 20 * time.Second // less than leaseTime: a late publish ends before the claim does
	relayPoll   = time.Second      // the net under Wake, and the pause after a failure
	relayBatch  = 100
	pruneEvery  = time.Hour
)

// Relay carries events from the outbox to the bus in the order in which they
// were said. Of all nodes on one database one relays at a time.
type Relay struct {
	DB      *DB
	Holder  string // this node's id
	Publish func(ctx context.Context, e event.Envelope) error
	// PublishAll publishes events so that several are under way at a time, and
	// returns how many of the first are stored. nil: Publish does, one by one.
	PublishAll func(ctx context.Context, events []event.Envelope) (int, error)
	Logger     *slog.Logger

	leased time.Time // until then the outbox is ours to publish from
	gone   deletion  // the last one
}

// Run relays until ctx is done.
func (r *Relay) Run(ctx context.Context) {
	poll := time.NewTicker(relayPoll)
	defer poll.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for {
		if err := r.drain(ctx); err != nil && ctx.Err() == nil {
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
			if err := r.DB.PruneReceipts(ctx, ReceiptsKept); err != nil {
				r.Logger.Warn("old receipts are not pruned", "err", err)
			}
		case <-ctx.Done():
			if err := r.gone.wait(); err != nil {
				r.Logger.Warn("outbox: what is published will be published again", "err", err)
			}
			return
		}
	}
}

// Drain publishes what waits, stopping at the first failure so that the order
// stays. A node that stops calls it once more after Run has ended.
func (r *Relay) Drain(ctx context.Context) error {
	err := r.drain(ctx)
	return errors.Join(err, r.gone.wait())
}

// drain is Drain without the deletion of the last rows, which goes on: nobody
// waits for it but the next deletion.
func (r *Relay) drain(ctx context.Context) error {
	if err := r.gone.failed(); err != nil {
		return err
	}
	for {
		waiting, err := r.DB.waiting(ctx, r.gone.seqs)
		if err != nil || len(waiting) == 0 {
			return err
		}
		mine, err := r.lease(ctx)
		if err != nil || !mine {
			return err
		}
		published, failure := r.publish(ctx, waiting)
		if err := r.gone.wait(); err != nil {
			return err
		}
		r.gone = r.DB.deletePublished(ctx, published)
		if failure != nil {
			return failure
		}
	}
}

// lease says whether this node has the outbox for at least publishTime, and asks
// the database only when it is not sure.
func (r *Relay) lease(ctx context.Context) (mine bool, err error) {
	now := time.Now()
	if now.Before(r.leased) {
		return true, nil
	}
	mine, err = r.DB.Lease(ctx, relayLease, r.Holder, leaseTime)
	if mine {
		r.leased = now.Add(leaseTime - publishTime)
	}
	return mine, err
}

// publish returns the rows that the bus has acknowledged, and why it stopped.
func (r *Relay) publish(ctx context.Context, rows []waitingRow) (published []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	var seqs []string
	var events []event.Envelope
	for _, row := range rows {
		e, err := event.Parse([]byte(row.body))
		if err != nil {
			// Emit wrote it, so this cannot be mended by waiting: the rest
			// must not wait behind it for ever.
			r.Logger.Error("outbox: dropping what is no event", "seq", row.seq, "body", row.body, "err", err)
			published = append(published, row.seq)
			continue
		}
		seqs, events = append(seqs, row.seq), append(events, e)
	}
	failpoint.Pass("relay.publish")
	n, err := r.publishAll(ctx, events)
	if n > 0 {
		failpoint.Pass("relay.published")
	}
	if err != nil && n < len(events) {
		err = fmt.Errorf("publishing %s %s: %w", events[n].DetailType, events[n].ID, err)
	}
	return append(published, seqs[:n]...), err
}

func (r *Relay) publishAll(ctx context.Context, events []event.Envelope) (int, error) {
	if r.PublishAll != nil {
		return r.PublishAll(ctx, events)
	}
	for i, e := range events {
		if err := r.Publish(ctx, e); err != nil {
			return i, err
		}
	}
	return len(events), nil
}

type waitingRow struct{ seq, body string }

// waiting returns the first rows of the outbox, without those that are published
// and about to be deleted.
func (db *DB) waiting(ctx context.Context, but map[string]struct{}) ([]waitingRow, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT seq, body FROM outbox ORDER BY seq LIMIT $1`, relayBatch+len(but))
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
		if _, done := but[row.seq]; !done {
			out = append(out, row)
		}
	}
	return out, rows.Err()
}

// deletion deletes published rows while others are published.
type deletion struct {
	seqs map[string]struct{}
	done chan error
}

// wait returns when the rows are gone. When they could not be deleted they are
// published again, which the bus knows.
func (d *deletion) wait() error {
	if d.done == nil {
		return nil
	}
	err := <-d.done
	*d = deletion{}
	return err
}

// failed says why the rows are still there, if that is known by now: else nobody
// would learn of it until the next event.
func (d *deletion) failed() error {
	select {
	case err := <-d.done: // never of one that is not under way
		*d = deletion{}
		return err
	default:
		return nil
	}
}

// deletePublished runs to its end even when the node is stopping: an event
// that is published need not be published again.
func (db *DB) deletePublished(ctx context.Context, seqs []string) deletion {
	if len(seqs) == 0 {
		return deletion{}
	}
	d := deletion{seqs: map[string]struct{}{}, done: make(chan error, 1)}
	for _, seq := range seqs {
		d.seqs[seq] = struct{}{}
	}
	go func() {
		err := db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *Tx) error {
			for _, seq := range seqs {
				if _, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE seq = $1`, seq); err != nil {
					return fmt.Errorf("deleting from the outbox: %w", err)
				}
			}
			return nil
		})
		failpoint.Pass("relay.deleted")
		d.done <- err
	}()
	return d
}

// Pending returns how many events wait in the outbox.
func (db *DB) Pending(ctx context.Context) (int64, error) {
	var n int64
	err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM outbox`).Scan(&n)
	return n, err
}

// Lease takes or renews a claim by name and says whether holder has it now. A
// claim that ran out may be taken by anybody.
func (db *DB) Lease(ctx context.Context, name, holder string, length time.Duration) (mine bool, err error) {
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
