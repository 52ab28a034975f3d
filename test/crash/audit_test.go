package crash

import (
	"fmt"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// restTime is how long a node may take to come to rest: an event that was being
// worked on at a kill is delivered again after 10 s, and what waited for it comes
// after that.
const restTime = 4 * time.Minute

// figures are what an audit has counted.
type figures struct {
	Streams, Recorded, Videos, Deleted int
	Events                             int // on the bus, by id
	Deliveries                         int // to the webhook, by event
	Repeated                           int // that it was given again
	Objects                            int
	Archived                           int // events
	Replays, Replayed                  int // and what the webhook has heard of them, by event
	Simulations, Simulated             int // of those that the node knows; videos that came to their end in them
	Expired                            int // videos that were older than their channel keeps them
	Expelled                           int // accounts that were deleted
}

// audit lets the node come to rest and looks at everything that it keeps: its
// rows, its flows, its bus and its objects, and at what the webhook, the plugin
// and the owners know. It returns all that does not fit together. It is told
// nothing by the node but that it is at rest; it looks into files and tables.
func (w *world) audit() (figures, []string) {
	w.t.Helper()
	a := &auditor{w: w}
	if !w.node.Running() {
		w.start("")
	}
	if !a.rest(unfinished()) {
		return a.figures, a.wrong
	}
	db, err := store.Open(w.t.Context(), w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for what, query := range unswept() {
		if n := count(w, db.Read(), query); n > 0 {
			w.t.Logf("%d %s: the node starts again, and must find them", n, what)
			w.node.Kill()
			w.start("")
		}
	}
	if !a.rest(unswept()) {
		return a.figures, a.wrong
	}
	if !a.stop() {
		return a.figures, a.wrong
	}
	a.rows = readRows(w, db)
	a.objects = a.readObjects()

	a.streams()
	a.videos()
	a.said()
	a.deliveries()
	a.plugins()
	a.histories()
	a.orphans()
	a.archive()
	a.replayed()
	a.simulations()
	a.simulatedObjects()
	a.retention()
	a.accounts()
	a.leftovers()
	a.checks()
	w.rested(a.rows.archive)
	return a.figures, a.wrong
}

// stops is how often a node may be found to have said something while it stopped:
// what is said straight to the bus, such as that a publisher sends nothing, stands
// in no table until it is there.
const stops = 3

// stop ends the node and reads its bus. What is still to be heard there must be
// heard after the next start.
func (a *auditor) stop() bool {
	for try := 1; ; try++ {
		if code := a.w.node.Stop(); code != 0 {
			a.say("a clean stop ended with %d", code)
		}
		events, unheard := a.readBus()
		a.events = events
		if len(unheard) == 0 {
			return true
		}
		a.w.t.Logf("said while the node stopped: %v", unheard)
		if try == stops {
			a.say("stopped %d times at rest, there are events that are not heard: %v", try, unheard)
			return true
		}
		a.w.start("")
		if !a.rest(unfinished()) {
			return false
		}
	}
}

// mustBeWell is audit, and whatever it finds fails the test.
func (w *world) mustBeWell() figures {
	w.t.Helper()
	began := time.Now()
	found, wrong := w.audit()
	w.t.Logf("%+v, at rest and looked at in %s", found, time.Since(began).Round(time.Second))
	for _, line := range wrong {
		w.t.Error(line)
	}
	return found
}

// rested remembers what was in the archive of a node at rest.
func (w *world) rested(events map[string]archived) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.archived = w.archived[:0]
	for _, e := range events {
		w.archived = append(w.archived, e.At)
	}
	slices.Sort(w.archived)
	w.rests = append(w.rests, time.Now().UnixMilli())
}

type auditor struct {
	w       *world
	rows    rows
	events  map[string]event.Envelope // by id
	objects map[string]int64          // sizes by key
	figures figures
	wrong   []string
}

func (a *auditor) say(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}
