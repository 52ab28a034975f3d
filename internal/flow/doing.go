package flow

import (
	"strings"
	"sync"
	"time"
)

// What is kept of the tries of a step that failed.
const (
	maxFailed    = 5   // the last ones
	maxTryReason = 500 // bytes
)

// FailedTry is a try of a step that failed, and was followed by another one.
type FailedTry struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// Activity is what a flow does now.
type Activity struct {
	Step     string
	Since    time.Time   // when this run of the flow came to the step
	Tries    int         // begun since then
	Failed   []FailedTry // the last that failed, oldest first
	NextTry  time.Time   // zero while one runs
	Waits    bool        // for something that happens elsewhere (Await)
	Deadline time.Time   // until when it waits; zero: for ever
}

// Activity returns what a flow does now; false when this node does not run it,
// or when it is between two steps.
func (e *Engine) Activity(id string) (Activity, bool) {
	if a, ok := e.doing(id); ok {
		return a, true
	}
	return e.waits.activity(id)
}

func (e *Engine) doing(id string) (Activity, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for x := range e.active[id] {
		if a, ok := x.doing.get(); ok {
			return a, true
		}
	}
	return Activity{}, false
}

// doing is the activity of one run, told by its own goroutine and read by others.
type doing struct {
	mu sync.Mutex
	a  Activity
}

func (d *doing) begin(step string) {
	d.set(func(a *Activity) { *a = Activity{Step: step, Since: time.Now().UTC()} })
}

func (d *doing) end() { d.set(func(a *Activity) { *a = Activity{} }) }

func (d *doing) try() {
	d.set(func(a *Activity) { a.Tries++; a.NextTry = time.Time{} })
}

func (d *doing) await(deadline time.Time) {
	d.set(func(a *Activity) { a.Waits, a.Deadline = true, deadline })
}

func (d *doing) failed(err error, pause time.Duration) {
	d.set(func(a *Activity) {
		now := time.Now().UTC()
		a.NextTry = now.Add(pause)
		// A new slice: get has handed out the one before.
		kept := append([]FailedTry(nil), a.Failed[max(0, len(a.Failed)-maxFailed+1):]...)
		a.Failed = append(kept, FailedTry{At: now, Error: shorten(err.Error())})
	})
}

func (d *doing) tries() (int, []FailedTry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.a.Tries, d.a.Failed
}

func (d *doing) get() (Activity, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.a, d.a.Step != ""
}

func (d *doing) set(change func(*Activity)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.a)
}

func shorten(text string) string {
	if len(text) > maxTryReason {
		text = text[:maxTryReason] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
