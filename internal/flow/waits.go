package flow

import (
	"maps"
	"slices"
	"sync"
)

// waits holds who waits for which key in this process: runs that wait, and
// flows that wait without a run.
type waits struct {
	mu     sync.Mutex
	runs   map[string]map[*waiter]struct{} // by key
	parked map[string]*parked              // by the flow's id
	keys   map[string][]*parked            // by key, but for those that have none
	ripe   chan struct{}                   // holds one when a parked flow may be ripe
}

// waiter is a run that waits.
type waiter struct {
	key   string
	woken chan struct{} // holds one when there may be something to see
}

// parked is a flow that waits without a run.
type parked struct {
	id, key string
	doing   Activity
	woken   bool // it is to begin again
}

func newWaits() *waits {
	return &waits{
		runs: map[string]map[*waiter]struct{}{}, parked: map[string]*parked{}, keys: map[string][]*parked{},
		ripe: make(chan struct{}, 1),
	}
}

func (w *waits) add(key string) *waiter {
	one := &waiter{key, make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.runs[key] == nil {
		w.runs[key] = map[*waiter]struct{}{}
	}
	w.runs[key][one] = struct{}{}
	return one
}

func (w *waits) remove(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(one)
}

func (w *waits) forget(one *waiter) {
	delete(w.runs[one.key], one)
	if len(w.runs[one.key]) == 0 {
		delete(w.runs, one.key)
	}
}

// park puts a flow in the place of its run. It does nothing, and says so, when
// the run was woken and has not polled since.
func (w *waits) park(one *waiter, p *parked) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(one.woken) > 0 {
		return false
	}
	w.forget(one)
	w.drop(p.id) // of a run that was slow to see that it had lost the flow
	w.parked[p.id] = p
	if p.key != "" {
		w.keys[p.key] = append(w.keys[p.key], p)
	}
	return true
}

// unpark forgets flows, unless they have been parked once more since.
func (w *waits) unpark(flows ...*parked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range flows {
		if w.parked[p.id] == p {
			w.drop(p.id)
		}
	}
}

// letGo forgets a flow that does not wait any more.
func (w *waits) letGo(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(id)
}

func (w *waits) drop(id string) {
	p := w.parked[id]
	if p == nil {
		return
	}
	delete(w.parked, id)
	left := slices.DeleteFunc(w.keys[p.key], func(other *parked) bool { return other == p })
	if len(left) == 0 {
		delete(w.keys, p.key)
		return
	}
	w.keys[p.key] = left
}

func (w *waits) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.runs[key] {
		nudge(one.woken)
	}
	for _, p := range w.keys[key] {
		p.woken = true
		nudge(w.ripe)
	}
}

// wakeAll wakes all runs. Parked flows have a net instead.
func (w *waits) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, runs := range w.runs {
		for one := range runs {
			nudge(one.woken)
		}
	}
}

// any says whether anybody waits.
func (w *waits) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs) > 0 || len(w.parked) > 0
}

// due returns the parked flows that were woken or whose deadline is past.
func (w *waits) due() []*parked {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*parked
	for _, p := range w.parked {
		if p.woken || past(p.doing.Deadline) {
			p.woken = true // also when the clock is set back meanwhile
			all = append(all, p)
		}
	}
	return all
}

func (w *waits) activity(id string) (Activity, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.parked[id]; p != nil {
		return p.doing, true
	}
	return Activity{}, false
}

func (w *waits) all() []*parked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.parked))
}

// nudge never waits: a channel that is full holds a wake that is not yet heard.
func nudge(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
