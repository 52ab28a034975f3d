package store_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// Who wants a name alone waits for the commit of those who share it, and those who
// come later wait for that commit.
func TestShareAndAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		var all sync.WaitGroup
		begin := func(what string, take func(*store.Tx, context.Context, string) error, hold <-chan struct{}) (has <-chan struct{}) {
			took := make(chan struct{})
			all.Go(func() {
				err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					if err := take(tx, ctx, "st-1"); err != nil {
						return err
					}
					close(took)
					<-hold
					note(what) // before the commit, after which the next one can have it
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			return took
		}
		first, second := make(chan struct{}), make(chan struct{})
		<-begin("shared", (*store.Tx).Share, first)
		alone := begin("alone", (*store.Tx).Alone, second)
		select {
		case <-alone:
			t.Error("it is had alone while somebody shares it")
		case <-time.After(100 * time.Millisecond):
		}
		close(first)
		<-alone
		later := begin("shared later", (*store.Tx).Share, second)
		select {
		case <-later:
			t.Error("it is shared while somebody has it alone")
		case <-time.After(100 * time.Millisecond):
		}
		close(second)
		all.Wait()
		if want := []string{"shared", "alone", "shared later"}; !slices.Equal(order, want) {
			t.Errorf("the order is %v, want %v", order, want)
		}
	})
}
