package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
)

// member is a connection of database/sql: one of many that share the group's.
type member struct {
	g  *group
	tx *tx // its transaction, while one is under way
}

// BeginTx implements driver.ConnBeginTx.
func (m *member) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o.ReadOnly || o.Isolation != driver.IsolationLevel(0) {
		return nil, errors.New("sqlite: a writer's transactions write and are serializable")
	}
	if m.tx != nil {
		return nil, errors.New("sqlite: the transaction before has not ended")
	}
	t, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	t.ended = func() { m.tx = nil }
	m.tx = t
	return t, nil
}

func (m *member) begin(ctx context.Context) (*tx, error) {
	if err := m.g.turn(ctx); err != nil {
		return nil, err
	}
	return m.g.begin(ctx)
}

// ExecContext implements driver.ExecerContext. Outside a transaction it is one of
// its own.
func (m *member) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if m.tx != nil {
		return m.tx.exec(ctx, query, args)
	}
	t, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	result, err := t.exec(ctx, query, args)
	if err != nil {
		return nil, undo(t, err)
	}
	return result, t.Commit()
}

// QueryContext implements driver.QueryerContext. Outside a transaction it reads
// what is committed; a statement that writes is a transaction of its own.
func (m *member) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	switch {
	case m.tx != nil:
		return m.tx.query(ctx, query, args)
	case reads(query):
		return m.read(ctx, query, args)
	}
	t, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	all, err := t.query(ctx, query, args)
	var kept *memory
	if err == nil {
		kept, err = drain(all)
	}
	if err != nil {
		return nil, undo(t, err)
	}
	return kept, t.Commit()
}

// undo rolls back because of err. What was read in a batch that is undone, too,
// was never so: then the code of err must not count.
func undo(t *tx, err error) error {
	if undone := t.Rollback(); undone != nil {
		return fmt.Errorf("rolling back because of %q: %w", err.Error(), undone)
	}
	return err
}

// reads says whether the query certainly writes nothing.
func reads(query string) bool {
	word := strings.TrimLeft(query, " \t\r\n")
	return len(word) > 6 && strings.EqualFold(word[:6], "SELECT")
}

func (m *member) read(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c, err := m.g.reader(ctx)
	if err != nil {
		return nil, err
	}
	r, err := c.QueryContext(ctx, query, args)
	if err != nil {
		m.g.giveBack(c)
		return nil, err
	}
	return &rows{Rows: r, end: func() { m.g.giveBack(c) }}, nil
}

// Ping implements driver.Pinger.
func (m *member) Ping(ctx context.Context) error {
	r, err := m.read(ctx, "SELECT 1", nil)
	if err != nil {
		return err
	}
	return r.Close()
}

// Begin implements driver.Conn.
func (m *member) Begin() (driver.Tx, error) {
	return m.BeginTx(context.Background(), driver.TxOptions{})
}

// Prepare implements driver.Conn.
func (m *member) Prepare(query string) (driver.Stmt, error) { return &text{m, query}, nil }

// Close implements driver.Conn. The group's connections stay.
func (m *member) Close() error {
	if m.tx == nil {
		return nil
	}
	return m.tx.Rollback()
}

// text is a prepared statement of a member: the group's connections keep it
// compiled by its text.
type text struct {
	m     *member
	query string
}

// Close implements driver.Stmt.
func (t *text) Close() error { return nil }

// NumInput implements driver.Stmt: SQLite counts the arguments.
func (t *text) NumInput() int { return -1 }

// ExecContext implements driver.StmtExecContext.
func (t *text) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return t.m.ExecContext(ctx, t.query, args)
}

// QueryContext implements driver.StmtQueryContext.
func (t *text) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return t.m.QueryContext(ctx, t.query, args)
}

// Exec implements driver.Stmt.
func (t *text) Exec(args []driver.Value) (driver.Result, error) {
	return t.ExecContext(context.Background(), named(args))
}

// Query implements driver.Stmt.
func (t *text) Query(args []driver.Value) (driver.Rows, error) {
	return t.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}

// memory are rows that were read.
type memory struct {
	columns []string
	rows    [][]driver.Value
}

func drain(r driver.Rows) (*memory, error) {
	all := &memory{columns: r.Columns()}
	for {
		row := make([]driver.Value, len(all.columns))
		err := r.Next(row)
		if errors.Is(err, io.EOF) {
			return all, r.Close()
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		all.rows = append(all.rows, row)
	}
}

// Columns implements driver.Rows.
func (m *memory) Columns() []string { return m.columns }

// Close implements driver.Rows.
func (m *memory) Close() error { return nil }

// Next implements driver.Rows.
func (m *memory) Next(dest []driver.Value) error {
	if len(m.rows) == 0 {
		return io.EOF
	}
	copy(dest, m.rows[0])
	m.rows = m.rows[1:]
	return nil
}
