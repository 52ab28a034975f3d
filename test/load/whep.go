package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
)

// whepViewers measures 1 and 100.
func whepViewers(ctx context.Context, b *bench) (figures, error) {
	const many = 100
	var f figures
	err := b.withStream(ctx, func(n *node, who broadcaster) error {
		o := order{Role: "whep", Endpoints: []string{n.url("/whep/" + who.channel)}, Viewers: 1}
		idle, memory0, err := n.load(ctx)
		if err != nil {
			return err
		}
		one, _, _, err := n.watch(ctx, o)
		if err != nil {
			return err
		}
		o.Viewers = many
		all, cpu, memory, err := n.watch(ctx, o)
		if err != nil {
			return err
		}
		f.atMost("frame with 1 viewer, p50", "ms", percentile(one.Newest, 50), 1.0)
		f.note("frame with 1 viewer, p95", "ms", percentile(one.Newest, 95))
		f.atMost("frame with 100 viewers, p50", "ms", percentile(all.Newest, 50), 8)
		f.note("frame with 100 viewers, p95", "ms", percentile(all.Newest, 95))
		f.atMost("CPU for each of 100 viewers", "%", (cpu-idle)/many, 0.25)
		f.atMost("memory for each of 100 viewers", "MB", (memory-memory0)/many, 2)
		f.atMost("packets lost", "", float64(one.Lost+all.Lost), 0)
		f.note("frames for each of 100 viewers", "/s", float64(all.Frames)/many/window.Seconds())
		return nil
	})
	return f, err
}

// whepJoin lets viewers come one after the other, at all places of the GOP. The
// publisher ignores the server's requests for key frames.
func whepJoin(ctx context.Context, b *bench) (figures, error) {
	const joins = 20
	var f figures
	err := b.withStream(ctx, func(n *node, who broadcaster) error {
		var waits []float64
		for range joins {
			wait, err := join(ctx, n.url("/whep/"+who.channel))
			if err != nil {
				return err
			}
			waits = append(waits, wait)
			// 2 s, a GOP, in 13 steps and something.
			if err := pause(ctx, 154*time.Millisecond); err != nil {
				return err
			}
		}
		f.atMost("join to first key frame, p50", "ms", percentile(waits, 50), 250)
		f.atMost("join to first key frame, the slowest of 20", "ms", percentile(waits, 100), 250)
		return nil
	})
	return f, err
}

// join returns the ms from a viewer's wish to its first complete key frame.
func join(ctx context.Context, endpoint string) (float64, error) {
	began := time.Now()
	v, err := wheptest.Watch(ctx, endpoint, wheptest.Options{Client: &http.Client{Timeout: childPatience}})
	if err != nil {
		return 0, err
	}
	wait, cancel := context.WithTimeout(ctx, childPatience)
	defer cancel()
	err = v.Wait(wait, func(s wheptest.Stats) bool { return s.KeyFrames > 0 })
	first := v.Stats().FirstKey
	return float64(first.Sub(began)) / 1e6, errors.Join(err, v.Leave(ctx))
}
