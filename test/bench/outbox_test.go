package bench

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// One sync of a file that grows, the yardstick of the others: how fast a disk
// syncs differs a hundredfold.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 4096)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	report(b, took)
}

// rate is how many events a second BenchmarkOutbox says.
const rate = 200

// From the commit of an event to its consumer, who writes a receipt, at 200
// events a second.
func BenchmarkOutbox(b *testing.B) {
	on(b, pluginmanager.Options{}, func(b *testing.B, n *node) {
		var mu sync.Mutex
		heard := map[string]time.Time{}
		all := make(chan struct{}, 1)
		n.hear(event.Consumer{
			Name: "bench", Filters: []event.Filter{{Source: event.SourceChannel}},
			Handle: func(ctx context.Context, e event.Envelope) error {
				at := time.Now()
				mu.Lock()
				if _, again := heard[e.ID]; !again {
					heard[e.ID] = at
				}
				done := len(heard) == b.N
				mu.Unlock()
				if err := n.db.Once(ctx, "bench", e.ID, func(context.Context, *store.Tx) error { return nil }); err != nil {
					return err
				}
				if done {
					all <- struct{}{}
				}
				return nil
			},
		})
		committed := make(map[string]time.Time, b.N)
		next := time.NewTicker(time.Second / rate)
		defer next.Stop()
		b.ResetTimer()
		for range b.N {
			<-next.C
			e := event.NewWithID(id.Event(), event.ChannelUpdated{ChannelName: "alice"})
			n.say(e)
			committed[e.ID] = time.Now()
		}
		<-all
		b.StopTimer()
		took := make([]time.Duration, 0, b.N)
		for id, at := range committed {
			took = append(took, heard[id].Sub(at))
		}
		report(b, took)
	})
}
