package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus collects what is published; it fails while down is set.
type bus struct {
	mu   sync.Mutex
	ids  []string
	down atomic.Bool
}

func (b *bus) publish(_ context.Context, e event.Envelope) error {
	if b.down.Load() {
		return errors.New("the bus is down")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = append(b.ids, e.ID)
	return nil
}

func (b *bus) published() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.ids...)
}

func relay(t *testing.T, db *store.DB, holder string, b *bus) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &store.Relay{DB: db, Holder: holder, Publish: b.publish, Logger: slog.New(slog.DiscardHandler)}
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func numbered(i int) event.Envelope {
	return event.NewWithID(fmt.Sprintf("e%03d", i), event.ChannelUpdated{ChannelName: "c"})
}

// Who says an event that breaks its schema learns of it, and nothing of the
// transaction stays. What an older build left in the outbox goes out.
func TestEmitHoldsToSchemas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		broken := event.New(event.ChannelUpdated{})
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, numbered(1), broken) })
		if errs.CodeOf(err) != errs.Internal || !strings.Contains(err.Error(), "detail.channel_name is empty") {
			t.Errorf("%v", err)
		}
		if n, err := db.Pending(ctx); err != nil || n != 0 {
			t.Errorf("%d events wait, %v", n, err)
		}
		body, err := json.Marshal(broken)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO outbox (seq, event_id, body) VALUES ('0', $1, $2)`, broken.ID, string(body))
			if err != nil {
				return err
			}
			return tx.Emit(ctx, numbered(1))
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &bus{}
		relay(t, db, "n1", b)
		waitFor(t, "both are published", func() bool { return len(b.published()) == 2 })
		if got := b.published(); got[0] != broken.ID {
			t.Errorf("published %v", got)
		}
	})
}

func TestOutboxKeepsOrderAndFollowsTheCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := &bus{}
		relay(t, db, "n1", b)
		for i := range 50 {
			boom := errors.New("rolled back")
			err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.Emit(ctx, numbered(i)); err != nil {
					return err
				}
				if i%5 == 4 {
					return boom
				}
				return nil
			})
			if i%5 == 4 != errors.Is(err, boom) {
				t.Fatal(err)
			}
		}
		waitFor(t, "all published", func() bool { return len(b.published()) == 40 })
		last := ""
		for _, e := range b.published() {
			if e <= last {
				t.Fatalf("%s after %s", e, last)
			}
			if e[3] == '4' || e[3] == '9' {
				t.Fatalf("%s was rolled back and said all the same", e)
			}
			last = e
		}
		waitFor(t, "empty outbox", func() bool { n, err := db.Pending(ctx); return err == nil && n == 0 })
	})
}

func TestOutboxWaitsForTheBus(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := &bus{}
		b.down.Store(true)
		relay(t, db, "n1", b)
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Emit(ctx, numbered(1), numbered(2), numbered(1))
		})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := db.Pending(ctx); err != nil || n != 2 {
			t.Fatalf("%d pending, %v; want 2: the same id counts once", n, err)
		}
		b.down.Store(false)
		waitFor(t, "published", func() bool { return len(b.published()) == 2 })
	})
}

// Several events are published at a time; of those after a failure none is lost
// and none is said twice.
func TestRelayPublishesSeveral(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		var got []string
		calls := 0
		r := &store.Relay{DB: db, Holder: "n1", Logger: slog.New(slog.DiscardHandler),
			PublishAll: func(_ context.Context, events []event.Envelope) (int, error) {
				calls++
				took := min(len(events), 7)
				for _, e := range events[:took] {
					got = append(got, e.ID)
				}
				if took < len(events) {
					return took, errors.New("the bus is down")
				}
				return took, nil
			}}
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for i := range 20 {
				if err := tx.Emit(ctx, numbered(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := r.Drain(ctx); err == nil {
				t.Fatalf("drain %d hides that the bus is down", i)
			}
			if n, err := db.Pending(ctx); err != nil || n != int64(20-7*(i+1)) {
				t.Fatalf("%d wait after drain %d, %v", n, i, err)
			}
		}
		if err := r.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := db.Pending(ctx); err != nil || n != 0 {
			t.Errorf("%d wait at the end, %v", n, err)
		}
		for i, id := range got {
			if id != numbered(i).ID {
				t.Fatalf("published %v", got)
			}
		}
		if len(got) != 20 || calls != 3 {
			t.Errorf("%d events in %d calls, want 20 in 3", len(got), calls)
		}
	})
}

func TestOneNodeRelays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := &bus{}
		relay(t, db, "n1", b)
		relay(t, db, "n2", b)
		for i := range 100 {
			if err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, numbered(i)) }); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, "empty outbox", func() bool { n, err := db.Pending(ctx); return err == nil && n == 0 })
		if got := len(b.published()); got != 100 {
			t.Errorf("%d published, want 100: both nodes relayed", got)
		}
	})
}

func TestOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		var runs atomic.Int32
		work := func(context.Context, *store.Tx) error { runs.Add(1); return nil }
		fails := errors.New("not this time")
		if err := db.Once(ctx, "c", "e1", func(context.Context, *store.Tx) error { return fails }); !errors.Is(err, fails) {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := db.Once(ctx, "c", "e1", work); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := runs.Load(); got != 1 {
			t.Errorf("ran %d times, want once: a failure leaves no receipt, a success leaves one", got)
		}
		if err := db.Once(ctx, "other", "e1", work); err != nil || runs.Load() != 2 {
			t.Errorf("another consumer did not run: %v", err)
		}
	})
}

func TestStepReturnsTheStoredResult(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		type result struct{ N int }
		for want := range 3 {
			got, err := store.Step(ctx, db, "flow", "step", func(context.Context, *store.Tx) (result, error) {
				return result{N: want + 7}, nil
			})
			if err != nil || got.N != 7 {
				t.Fatalf("run %d: %+v, %v; want the first result", want, got, err)
			}
		}
		if err := db.PruneReceipts(ctx, -time.Second); err != nil {
			t.Fatal(err)
		}
		got, err := store.Step(ctx, db, "flow", "step", func(context.Context, *store.Tx) (result, error) { return result{N: 1}, nil })
		if err != nil || got.N != 1 {
			t.Fatalf("after pruning: %+v, %v", got, err)
		}
	})
}

func TestReopenFindsTheTables(t *testing.T) {
	storetest.EachEmpty(t, func(t *testing.T, cfg store.Config) {
		ctx := context.Background()
		first, err := store.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, numbered(1)) }); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := storetest.Open(t, cfg).Pending(ctx); err != nil || n != 1 {
			t.Errorf("%d pending, %v", n, err)
		}
	})
}

func TestIsUnique(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		insert := func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)`, "n", "h", 1)
			return err
		}
		if err := db.Tx(ctx, insert); err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(ctx, insert); !db.IsUnique(err) {
			t.Errorf("%v is not known as a violated key", err)
		}
	})
}

// TestReadingWithinTransactions: who has a transaction may read beside it, however
// many do so at once.
func TestReadingWithinTransactions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				err := db.Once(ctx, "reader", fmt.Sprint("e", n), func(ctx context.Context, _ *store.Tx) error {
					var one int
					return db.Read().QueryRowContext(ctx, `SELECT 1`).Scan(&one)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}
