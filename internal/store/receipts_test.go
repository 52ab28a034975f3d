package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// TestForgetEvents: every consumer hears these events again, and nothing else
// counts again: other events, and steps of flows that are called like the event.
func TestForgetEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		var heard []string
		hear := func(consumers, events []string) {
			for _, consumer := range consumers {
				for _, e := range events {
					err := db.Once(ctx, consumer, e, func(context.Context, *store.Tx) error {
						heard = append(heard, consumer+" "+e)
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		steps := 0
		step := func(flow string) {
			_, err := store.Step(ctx, db, flow, "e1", func(context.Context, *store.Tx) (int, error) { steps++; return steps, nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		consumers, events := []string{"a", "Video-Catalogue", "video-catalogue", "zz"}, []string{"e1", "e2", "e10"}
		hear(consumers, events)
		for _, flow := range []string{"a", "consumer:a", "post-1"} {
			step(flow)
		}
		forget := func(ids ...string) {
			if err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetEvents(ctx, ids...) }); err != nil {
				t.Fatal(err)
			}
		}
		forget()
		forget("none", "a", "e")
		heard = nil
		hear(consumers, events)
		if len(heard) != 0 {
			t.Errorf("heard again: %q", heard)
		}
		forget("e1", "e10")
		hear(consumers, events)
		var want []string
		for _, c := range consumers {
			want = append(want, c+" e1", c+" e10")
		}
		if !slices.Equal(heard, want) {
			t.Errorf("heard again: %q, want %q", heard, want)
		}
		for _, flow := range []string{"a", "consumer:a", "post-1"} {
			step(flow)
		}
		if steps != 3 {
			t.Errorf("%d steps were run", steps)
		}
	})
}

// BenchmarkForgetEvents forgets four events among 100,000 receipts, half of them
// of 20 consumers and half of flows.
func BenchmarkForgetEvents(b *testing.B) {
	for name, cfg := range map[string]store.Config{
		"sqlite":   {Path: filepath.Join(b.TempDir(), "app.db")},
		"postgres": {URL: storetest.PostgresURL(b)},
	} {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b, cfg)
			ctx := b.Context()
			err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				for i := range 50_000 {
					for _, scope := range []string{fmt.Sprintf("consumer:c%02d", i%20), fmt.Sprintf("flow:post-%d", i/10)} {
						_, err := tx.ExecContext(ctx, `INSERT INTO receipts (scope, name, result, created_at) VALUES ($1, $2, '', $3)`, scope, fmt.Sprintf("e%d", i), store.Now())
						if err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					return tx.ForgetEvents(ctx, "e1", "e20001", "e49999", "none")
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
