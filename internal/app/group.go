package app

import (
	"context"
	"sync"
)

// group owns goroutines that end together.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newGroup returns a group that keeps the values of ctx but not its end: the
// node says when each group ends.
func newGroup(ctx context.Context) *group {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &group{ctx: ctx, cancel: cancel}
}

// run starts fn, which must return soon after its context is done.
func (g *group) run(fn func(ctx context.Context)) { g.wg.Go(func() { fn(g.ctx) }) }

// stop ends the group's goroutines and waits for them.
func (g *group) stop() {
	g.cancel()
	g.wg.Wait()
}
