package archive

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/failpoint"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// mostAtOnce is how many events one transaction adds.
const mostAtOnce = 100

// writer adds events to the archive, those that come at the same time in one
// transaction: who comes first writes, who comes meanwhile is written by the next
// of them. Nobody waits for more to come, and nobody returns before the commit.
type writer struct {
	db   *store.DB
	turn chan struct{} // full while somebody writes

	mu      sync.Mutex
	waiting []*entry
}

type entry struct {
	row  sqlc.AddEventParams
	done chan error // of 1
}

func newWriter(db *store.DB) *writer { return &writer{db: db, turn: make(chan struct{}, 1)} }

// add returns when the event is in the archive.
func (w *writer) add(ctx context.Context, row sqlc.AddEventParams) error {
	e := &entry{row, make(chan error, 1)}
	w.mu.Lock()
	w.waiting = append(w.waiting, e)
	w.mu.Unlock()
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		w.forget(e)
		return ctx.Err()
	case w.turn <- struct{}{}:
	}
	defer func() { <-w.turn }()
	for {
		select {
		case err := <-e.done:
			return err
		default:
		}
		batch := w.take()
		err := w.write(ctx, batch)
		for _, written := range batch {
			written.done <- err
		}
	}
}

// take returns those that are next.
func (w *writer) take() []*entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.waiting), mostAtOnce)
	batch := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	return batch
}

// forget takes one out that nobody waits for any more, if nobody has it.
func (w *writer) forget(e *entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(other *entry) bool { return other == e })
}

func (w *writer) write(ctx context.Context, batch []*entry) error {
	err := w.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q := sqlc.New(tx)
		var events, size int64
		for _, e := range batch {
			n, err := q.AddEvent(ctx, e.row)
			if err != nil {
				return fmt.Errorf("keeping %s %s: %w", e.row.DetailType, e.row.ID, err)
			}
			events += n
			size += n * e.row.Size
		}
		if events == 0 {
			return nil
		}
		if err := q.AddToTotals(ctx, sqlc.AddToTotalsParams{Events: events, Size: size}); err != nil {
			return fmt.Errorf("counting what is kept: %w", err)
		}
		failpoint.Pass("archive.keep")
		return nil
	})
	failpoint.Pass("archive.kept")
	return err
}
