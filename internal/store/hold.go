package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
)

// A service adds rows about something after it has asked whether that is still
// there, and removes them when it hears that it is gone. Between the question and
// the commit both may happen on PostgreSQL, where transactions do not wait for each
// other, and the rows would stay. So who adds shares a name before it asks, and who
// removes has it alone: it waits for those who have asked before, and who asks
// later is told.

// Share has name, together with others, until the transaction ends. It waits while
// somebody has it alone. Call it before asking, and whoever calls Alone does so
// before taking rows that others hold while they share: else the two wait for each
// other until PostgreSQL breaks it off.
func (tx *Tx) Share(ctx context.Context, name string) error { return tx.hold(ctx, name, false) }

// Alone has name until the transaction ends, when nobody else has it any more.
func (tx *Tx) Alone(ctx context.Context, name string) error { return tx.hold(ctx, name, true) }

func (tx *Tx) hold(ctx context.Context, name string, alone bool) error {
	if tx.db.dialect.hold == nil {
		return nil
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // it never fails
	// Two names with the same number wait for each other without need, no more.
	if err := tx.db.dialect.hold(ctx, tx.Tx, int64(sum.Sum64()), alone); err != nil {
		return fmt.Errorf("waiting for %s: %w", name, err)
	}
	return nil
}

func postgresHold(ctx context.Context, tx *sql.Tx, key int64, alone bool) error {
	lock := `SELECT pg_advisory_xact_lock_shared($1)`
	if alone {
		lock = `SELECT pg_advisory_xact_lock($1)`
	}
	_, err := tx.ExecContext(ctx, lock, key)
	return err
}
