package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
)

// tx is a member's transaction, which has the turn until it ends.
type tx struct {
	g      *group
	batch  *batch
	marked bool // behind a savepoint: others of the batch came before
	broken error
	over   bool
	ended  func()
}

var errOver = errors.New("sqlite: the transaction has ended")

// exec runs a statement to its end: one that is broken off may undo the whole
// batch.
func (t *tx) exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	result, err := t.g.conn.ExecContext(context.WithoutCancel(ctx), query, args)
	return result, t.note(err)
}

func (t *tx) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	r, err := t.g.conn.QueryContext(context.WithoutCancel(ctx), query, args)
	if err != nil {
		return nil, t.note(err)
	}
	return &noting{r, t}, nil
}

func (t *tx) usable(ctx context.Context) error {
	switch {
	case t.over:
		return errOver
	case t.broken != nil:
		return t.broken
	}
	return ctx.Err()
}

// note remembers an error after which SQLite may have ended the transaction:
// what came after it would be committed by itself.
func (t *tx) note(err error) error {
	if err != nil && undoes(err) {
		t.broken = err
	}
	return err
}

// Commit implements driver.Tx. It returns when the batch is on the disk.
func (t *tx) Commit() error {
	if t.over {
		return errOver
	}
	if t.broken != nil {
		return errors.Join(t.broken, t.Rollback())
	}
	if t.marked {
		if err := t.g.do(sqlRelease); err != nil {
			return errors.Join(err, t.Rollback())
		}
	}
	t.batch.members++
	return t.end()
}

// Rollback implements driver.Tx. When others are in the batch it returns what
// becomes of them: what this one read may have been theirs.
func (t *tx) Rollback() error {
	if t.over {
		return errOver
	}
	switch {
	case !t.marked:
		// The first of the batch takes nobody with it.
		err := t.g.do(sqlRollback)
		if t.broken != nil {
			err = nil // SQLite has done it already, perhaps
		}
		t.batch.err = err
		close(t.batch.done)
		t.g.batch = nil
		return t.end()
	default:
		err := t.g.do(sqlUndo)
		if err == nil {
			err = t.g.do(sqlRelease)
		}
		if err != nil {
			if t.broken != nil {
				err = t.broken
			}
			t.g.undone(err)
		}
		return t.end()
	}
}

// end gives the turn away and waits for the end of the batch.
func (t *tx) end() error {
	t.over = true
	if t.ended != nil {
		t.ended()
	}
	t.g.endTurn()
	<-t.batch.done
	return t.batch.err
}

// noting are rows whose errors the transaction notes.
type noting struct {
	driver.Rows
	tx *tx
}

// Next implements driver.Rows.
func (r *noting) Next(dest []driver.Value) error { return r.tx.note(r.Rows.Next(dest)) }
