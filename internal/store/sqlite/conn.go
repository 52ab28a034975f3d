package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// maxStatements is how many compiled statements a connection keeps, of some kB
// each.
const maxStatements = 256

// raw is what modernc's connections can do.
type raw interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn is a connection that keeps its statements compiled: compiling one takes
// SQLite longer than running it. SQLite itself compiles a kept statement anew
// when the schema has changed. As any driver.Conn it is used by one goroutine at
// a time.
type conn struct {
	raw
	kept map[string]*statement
}

// statement is a compiled one. It is busy while rows of it are read.
type statement struct {
	driver.Stmt
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	busy  bool
}

func connect(ctx context.Context, c driver.Connector) (*conn, error) {
	opened, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := opened.(raw)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the SQLite driver's connections (%T) cannot do what is needed", opened), opened.Close())
	}
	return &conn{raw: able, kept: map[string]*statement{}}, nil
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.raw.ExecContext(ctx, query, args)
	}
	return s.exec.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.raw.QueryContext(ctx, query, args)
	}
	r, err := s.query.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &rows{Rows: r, end: func() { s.busy = false }}, nil
}

// statement returns the query compiled, or nil when it is to be run as text: it
// is a script, or its rows are being read.
func (c *conn) statement(ctx context.Context, query string) (*statement, error) {
	if s := c.kept[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if !keepable(query) {
		return nil, nil
	}
	prepared, err := c.raw.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &statement{Stmt: prepared}
	var execs, queries bool
	s.exec, execs = prepared.(driver.StmtExecContext)
	s.query, queries = prepared.(driver.StmtQueryContext)
	if !execs || !queries {
		return nil, prepared.Close()
	}
	if len(c.kept) >= maxStatements {
		c.forgetOne()
	}
	c.kept[query] = s
	return s, nil
}

// keepable says whether the query is one statement that reads or writes rows, or
// one of the group's own.
func keepable(query string) bool {
	if strings.Contains(query, ";") {
		return false
	}
	word, _, _ := strings.Cut(strings.TrimLeft(query, " \t\r\n"), " ")
	switch word = strings.ToUpper(word); {
	case word == "SELECT", word == "INSERT", word == "UPDATE", word == "DELETE", word == "WITH":
		return true
	case strings.HasPrefix(word, "--"): // sqlc puts the query's name in front
		return true
	}
	return query == sqlBegin || query == sqlCommit || query == sqlMark || query == sqlRelease
}

// forgetOne makes room for another statement.
func (c *conn) forgetOne() {
	for query, s := range c.kept {
		if !s.busy {
			delete(c.kept, query)
			_ = s.Close()
			return
		}
	}
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	var failures []error
	for _, s := range c.kept {
		failures = append(failures, s.Close())
	}
	return errors.Join(append(failures, c.raw.Close())...)
}

// rows says when nobody reads it any more.
type rows struct {
	driver.Rows
	end func()
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if r.end != nil {
		r.end()
		r.end = nil
	}
	return err
}
