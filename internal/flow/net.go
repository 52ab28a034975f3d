package flow

import (
	"context"
	"time"
)

// netInterval is how often a net is asked while a flow waits; as often as the slow
// poll when that is faster.
const netInterval = time.Second

// Net sets what finds the flows whose wake was missed: another node had it, say.
// look is called about once a second while flows of this node wait in Await, for
// all of them together, and returns the keys to wake: each once, since a flow that
// waits for long begins again for it. Without a net every flow that waits polls by
// itself, all PollInterval, and keeps its run. To be called before Start.
func (e *Engine) Net(look func(ctx context.Context) (keys []string, err error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		panic("flow: the net comes after Start")
	}
	e.look = look
}

// sweep asks the net and wakes what it finds.
func (e *Engine) sweep(ctx context.Context) {
	if !e.waits.any() {
		return
	}
	keys, err := e.look(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Warn("looking for flows to wake", "err", err)
		}
		return
	}
	for _, key := range keys {
		e.waits.wake(key)
	}
}

// Running says whether the flow runs or waits on this node now; it costs no query.
func (e *Engine) Running(id string) bool {
	if e.runs(id) > 0 {
		return true
	}
	_, waits := e.waits.activity(id)
	return waits
}
