package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// filled is how long a stream takes until the live window is as large as it gets.
const filled = 40 * time.Second

// Streams are at most 8 times as expensive as one when there are 10.
const tenCost = 8

func whipStreams(ctx context.Context, b *bench) (figures, error) { return streams(ctx, b, "whip", 3.0) }

func rtmpStreams(ctx context.Context, b *bench) (figures, error) { return streams(ctx, b, "rtmp", 1.2) }

// streams measures 1, 5 and 10 of them on one node, the memory when their live
// windows are full.
func streams(ctx context.Context, b *bench, protocol string, bar float64) (figures, error) {
	steps := []int{1, 5, 10}
	cpu, memory := map[int]float64{}, map[int]float64{}
	err := b.withNode(ctx, steps[len(steps)-1], func(n *node, who []broadcaster) error {
		var err error
		if err = pause(ctx, settle); err == nil {
			cpu[0], memory[0], err = n.load(ctx)
		}
		var running []*child
		began := 0
		for _, step := range steps {
			if err != nil {
				break
			}
			var p *child
			if p, err = b.publish(ctx, n, protocol, who[began:step]); err != nil {
				break
			}
			running, began = append(running, p), step
			wait := settle
			if step != 5 {
				wait = filled - window
			}
			if err = pause(ctx, wait); err == nil {
				cpu[step], memory[step], err = n.load(ctx)
			}
		}
		for _, p := range running {
			err = errors.Join(err, p.stop())
		}
		return err
	})
	var f figures
	f.note("CPU with 0 streams", "%", cpu[0])
	f.atMost("CPU with 1 stream", "%", cpu[1], bar)
	f.note("CPU with 5 streams", "%", cpu[5])
	f.note("CPU with 10 streams", "%", cpu[10])
	f.atMost("CPU with 10 streams, in that with one", "", cpu[10]/cpu[1], tenCost)
	for _, step := range []int{0, 1, 10} {
		f.note(fmt.Sprintf("memory with %d streams", step), "MB", memory[step])
	}
	f.atMost("memory for each of 10 streams", "MB", (memory[10]-memory[0])/10, 14)
	return f, err
}

// load is the node's CPU over the window and the memory at its end.
func (n *node) load(ctx context.Context) (cpu, memory float64, err error) {
	if cpu, err = n.cpu(ctx, window); err == nil {
		memory, err = resident(n.pid())
	}
	return cpu, memory, err
}
