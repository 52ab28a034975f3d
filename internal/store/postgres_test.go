package store_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// A connection is a process of PostgreSQL, which takes longer to make than most
// transactions last: those that were needed at a time are used again.
func TestConnectionsStay(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, cfg store.Config) {
		if cfg.URL == "" {
			t.Skip("SQLite's connections are no processes")
		}
		db := storetest.Open(t, cfg)
		first := atOnce(t, db, 8)
		for range 3 {
			again := atOnce(t, db, 8)
			if !slices.Equal(first, again) {
				t.Fatalf("eight transactions used the processes %v, and later %v", first, again)
			}
		}
	})
}

// atOnce returns the ids of the processes that several transactions had at a time.
func atOnce(t *testing.T, db *store.DB, transactions int) []int {
	t.Helper()
	var wg, all sync.WaitGroup
	var mu sync.Mutex
	pids := map[int]bool{}
	all.Add(transactions)
	for range transactions {
		wg.Go(func() {
			arrived := sync.OnceFunc(all.Done)
			defer arrived()
			err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				var pid int
				if err := tx.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
					return err
				}
				arrived()
				all.Wait()
				mu.Lock()
				defer mu.Unlock()
				pids[pid] = true
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return slices.Sorted(maps.Keys(pids))
}
