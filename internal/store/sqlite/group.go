package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// The statements that frame transactions. Each begins with the file's write lock.
const (
	sqlBegin    = "BEGIN IMMEDIATE"
	sqlCommit   = "COMMIT"
	sqlRollback = "ROLLBACK"
	sqlMark     = "SAVEPOINT member"
	sqlRelease  = "RELEASE member"
	sqlUndo     = "ROLLBACK TO member"
)

const (
	maxBatch    = 64                    // transactions that are committed together
	maxBatchAge = 10 * time.Millisecond // after it no other one joins
	idleReaders = 4
)

// errUndone is in the chain of what a commit returns when SQLite has undone the
// transaction because of another one's failure.
var errUndone = errors.New("another transaction's failure undid this one")

// group commits transactions together. It has the one connection that writes,
// and whoever has the turn uses it: from the beginning of a transaction to its
// end. When others wait for their turn by then, the transaction is not yet
// committed: the next one joins it, behind a savepoint of its own, so that it
// can be rolled back alone. The one behind which nobody waits commits them all.
// A commit returns when that is done. So a transaction that is alone is
// committed at once, and the more are under way the fewer syncs each costs.
//
// A transaction sees what those before it in the batch have written, and if the
// batch then fails, it fails as well: nobody has been told anything by then.
// Rolling back waits for the same end, as the reason for it may be something
// that was read there.
type group struct {
	write, read driver.Connector

	mu    sync.Mutex
	busy  bool            // somebody has the turn
	queue []chan struct{} // who waits for it, the first comes next
	free  []*conn         // for reading, none in use
	ended bool

	// With the turn alone:
	conn  *conn  // nil until the first turn
	batch *batch // what is begun and not committed; nil when nothing is
}

// batch is one transaction of SQLite and of those who share it.
type batch struct {
	began   time.Time
	members int           // that want it committed, the first one always
	done    chan struct{} // closed when err stands
	err     error
}

func newGroup(write, read driver.Connector) *group { return &group{write: write, read: read} }

// Connect implements driver.Connector.
func (g *group) Connect(context.Context) (driver.Conn, error) { return &member{g: g}, nil }

// Driver implements driver.Connector.
func (g *group) Driver() driver.Driver { return g.write.Driver() }

// Close implements io.Closer; database/sql calls it when it has closed its
// connections.
func (g *group) Close() error {
	g.mu.Lock()
	free := g.free
	g.free, g.ended = nil, true
	g.mu.Unlock()
	var failures []error
	for _, c := range free {
		failures = append(failures, c.Close())
	}
	if err := g.turn(context.Background()); err != nil {
		return err
	}
	if g.batch != nil { // this turn was what it waited for
		g.commit()
	}
	if g.conn != nil {
		failures = append(failures, g.conn.Close())
		g.conn = nil
	}
	g.endTurn()
	return errors.Join(failures...)
}

// turn waits until the caller may use the writing connection.
func (g *group) turn(ctx context.Context) error {
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	g.queue = append(g.queue, mine)
	g.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(g.queue, mine)
	if i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
	}
	g.mu.Unlock()
	if i < 0 {
		// It came just now, perhaps with a batch that counts on its end.
		g.endTurn()
	}
	return ctx.Err()
}

// endTurn commits the batch, unless the next one may join it, and gives the turn
// to the next.
func (g *group) endTurn() {
	if g.batch != nil {
		// Whoever can run now comes to its own transaction first and joins this one.
		runtime.Gosched()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.batch; b != nil && (len(g.queue) == 0 || b.members >= maxBatch || time.Since(b.began) >= maxBatchAge) {
		g.mu.Unlock()
		g.commit()
		g.mu.Lock()
	}
	if len(g.queue) == 0 {
		g.busy = false
		return
	}
	next := g.queue[0]
	g.queue = g.queue[1:]
	close(next)
}

// commit ends the batch and tells its members.
func (g *group) commit() {
	b := g.batch
	if b.err = g.do(sqlCommit); b.err != nil {
		_ = g.do(sqlRollback) // SQLite may have done it already
	}
	g.batch = nil
	close(b.done)
}

// undone tells the members that there is nothing left to commit.
func (g *group) undone(cause error) {
	_ = g.do(sqlRollback) // SQLite has done it already, mostly
	g.batch.err = fmt.Errorf("%w: %w", errUndone, cause)
	close(g.batch.done)
	g.batch = nil
}

// do runs a statement on the writing connection, whatever becomes of the caller:
// a statement that is broken off may undo the whole batch.
func (g *group) do(query string) error {
	_, err := g.conn.ExecContext(context.Background(), query, nil)
	return err
}

// begin joins the batch or begins one. The caller has the turn, and keeps it
// unless there is an error.
func (g *group) begin(ctx context.Context) (*tx, error) {
	t, err := g.join(ctx)
	if err != nil {
		g.endTurn()
	}
	return t, err
}

func (g *group) join(ctx context.Context) (*tx, error) {
	if g.batch != nil {
		if err := g.do(sqlMark); err != nil {
			return nil, err
		}
		return &tx{g: g, batch: g.batch, marked: true}, nil
	}
	if g.conn == nil {
		if g.isEnded() {
			return nil, errors.New("sqlite: the database is closed")
		}
		c, err := connect(ctx, g.write)
		if err != nil {
			return nil, err
		}
		g.conn = c
	}
	if err := g.do(sqlBegin); err != nil {
		return nil, err
	}
	g.batch = &batch{began: time.Now(), done: make(chan struct{})}
	return &tx{g: g, batch: g.batch}, nil
}

func (g *group) isEnded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// reader returns a connection for reading what is committed, to be given back.
func (g *group) reader(ctx context.Context) (*conn, error) {
	g.mu.Lock()
	if n := len(g.free); n > 0 {
		c := g.free[n-1]
		g.free = g.free[:n-1]
		g.mu.Unlock()
		return c, nil
	}
	g.mu.Unlock()
	return connect(ctx, g.read)
}

func (g *group) giveBack(c *conn) {
	g.mu.Lock()
	keep := !g.ended && len(g.free) < idleReaders && c.IsValid()
	if keep {
		g.free = append(g.free, c)
	}
	g.mu.Unlock()
	if !keep {
		_ = c.Close()
	}
}
