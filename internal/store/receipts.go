package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
)

// ReceiptsKept is how long receipts are kept, and with them all that tells late
// news from new: the rows that say of something that it was deleted.
const ReceiptsKept = 60 * 24 * time.Hour

// consumerScope begins the scopes of consumers' receipts; those of flows begin with
// "flow:".
const consumerScope = "consumer:"

// Once runs fn for the first delivery of an event to a consumer, in one
// transaction with the receipt for it. For a second delivery it does nothing.
func (db *DB) Once(ctx context.Context, consumer, eventID string, fn func(ctx context.Context, tx *Tx) error) error {
	return db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		first, err := tx.receipt(ctx, consumerScope+consumer, eventID)
		if err != nil || !first {
			return err
		}
		failpoint.Pass("receipt")
		return fn(ctx, tx)
	})
}

// Step runs fn as the named step of a flow: its rows, its events and a receipt
// with its result in one transaction. A second run returns the stored result.
func Step[T any](ctx context.Context, db *DB, flowID, step string, fn func(ctx context.Context, tx *Tx) (T, error)) (T, error) {
	var result T
	err := db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		scope := "flow:" + flowID
		first, err := tx.receipt(ctx, scope, step)
		if err != nil {
			return err
		}
		if !first {
			return tx.storedResult(ctx, scope, step, &result)
		}
		if result, err = fn(ctx, tx); err != nil {
			return err
		}
		return tx.storeResult(ctx, scope, step, result)
	})
	return result, err
}

var errNoReceipt = errors.New("there is no receipt")

// Stepped says whether the named step of a flow has counted. It waits for a
// transaction in which it is about to.
func Stepped(ctx context.Context, db *DB, flowID, step string) (bool, error) {
	err := db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		first, err := tx.receipt(ctx, "flow:"+flowID, step)
		if err == nil && first {
			err = errNoReceipt // and takes the claim back
		}
		return err
	})
	if errors.Is(err, errNoReceipt) {
		return false, nil
	}
	return err == nil, err
}

// receipt claims (scope, name) and says whether it is the first to do so. A
// rival transaction waits here until this one is over.
func (tx *Tx) receipt(ctx context.Context, scope, name string) (first bool, err error) {
	res, err := tx.ExecContext(ctx,
		`INSERT INTO receipts (scope, name, result, created_at) VALUES ($1, $2, '', $3) ON CONFLICT DO NOTHING`,
		scope, name, Now())
	if err != nil {
		return false, fmt.Errorf("writing a receipt: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func (tx *Tx) storeResult(ctx context.Context, scope, name string, result any) error {
	b, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding the result of %s: %w", name, err)
	}
	_, err = tx.ExecContext(ctx,
		`UPDATE receipts SET result = $1 WHERE scope = $2 AND name = $3`, string(b), scope, name)
	return err
}

func (tx *Tx) storedResult(ctx context.Context, scope, name string, result any) error {
	var text string
	err := tx.QueryRowContext(ctx,
		`SELECT result FROM receipts WHERE scope = $1 AND name = $2`, scope, name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the receipt of %s went away", name)
	}
	if err != nil {
		return fmt.Errorf("reading the receipt of %s: %w", name, err)
	}
	return json.Unmarshal([]byte(text), result)
}

// HasSteps says whether there are receipts of a flow's steps. It costs no
// transaction.
func (db *DB) HasSteps(ctx context.Context, flowID string) (there bool, err error) {
	err = db.Read().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM receipts WHERE scope = $1)`, "flow:"+flowID).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("looking for the receipts of flow %s: %w", flowID, err)
	}
	return there, nil
}

// ForgetFlows forgets the receipts of flows that are gone, and their results.
func (tx *Tx) ForgetFlows(ctx context.Context, flowIDs ...string) error {
	for _, flowID := range flowIDs {
		if _, err := tx.ExecContext(ctx, `DELETE FROM receipts WHERE scope = $1`, "flow:"+flowID); err != nil {
			return fmt.Errorf("forgetting the receipts of %s: %w", flowID, err)
		}
	}
	return nil
}

// ForgetEvents forgets that consumers have heard these events: they count again
// when they are said anew.
func (tx *Tx) ForgetEvents(ctx context.Context, eventIDs ...string) error {
	consumers, err := tx.consumers(ctx)
	if err != nil {
		return fmt.Errorf("reading which consumers have receipts: %w", err)
	}
	for _, eventID := range eventIDs {
		for _, scope := range consumers {
			if _, err := tx.ExecContext(ctx, `DELETE FROM receipts WHERE scope = $1 AND name = $2`, scope, eventID); err != nil {
				return fmt.Errorf("forgetting the receipts of the event %s: %w", eventID, err)
			}
		}
	}
	return nil
}

// consumers returns the scopes of all consumers that have receipts. It jumps from
// one to the next in the primary key, whose order has the scopes of consumers before
// those of flows: an index by name alone would have to be written with each event.
func (tx *Tx) consumers(ctx context.Context) ([]string, error) {
	var scopes []string
	for last := consumerScope; ; {
		err := tx.QueryRowContext(ctx, `SELECT scope FROM receipts WHERE scope > $1 ORDER BY scope LIMIT 1`, last).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !strings.HasPrefix(last, consumerScope) {
			return scopes, nil
		}
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, last)
	}
}

// PruneReceipts forgets receipts older than age. It must be longer than the
// bus may deliver an event again and than a flow may last.
func (db *DB) PruneReceipts(ctx context.Context, age time.Duration) error {
	return db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM receipts WHERE created_at < $1`, Now()-age.Milliseconds())
		return err
	})
}
