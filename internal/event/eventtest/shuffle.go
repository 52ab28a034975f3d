package eventtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// Deliveries delivers the lives of many rounds, each round's events in another
// order and some of them again and again, and asks after each round how things
// stand. That must be the same every time, and the same as when the events of a
// life come once and in order.
//
// The order is any that a bus can bring about: a stage of a life begins when all
// before it has been heard. A consumer that needs no such order says so, and
// hears all stages jumbled.
func Deliveries(t *testing.T, rounds int, needsStages bool, hear func(event.Envelope), stands func(lives []Life) string) {
	t.Helper()
	lives := Lives(0)
	for _, l := range lives {
		for _, e := range slices.Concat(l.Stages...) {
			hear(e)
		}
	}
	want := stands(lives)
	if want == "" {
		t.Fatal("the lives leave nothing behind")
	}
	for round := 1; round <= rounds && !t.Failed(); round++ {
		rnd := rand.New(rand.NewPCG(4, uint64(round)))
		lives := Lives(round)
		order := jumbled(rnd, lives)
		if needsStages {
			order = staged(rnd, lives)
		}
		for _, e := range order {
			hear(e)
		}
		if got := stands(lives); got != want {
			t.Errorf("after round %d it is\n%s\nwant\n%s\nthe order was%s", round, got, want, list(order))
		}
	}
}

// again repeats every event up to three times.
func again(rnd *rand.Rand, events []event.Envelope) []event.Envelope {
	var out []event.Envelope
	for _, e := range events {
		for range 1 + rnd.IntN(3) {
			out = append(out, e)
		}
	}
	return out
}

func shuffle(rnd *rand.Rand, events []event.Envelope) []event.Envelope {
	rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events
}

// jumbled is any order at all.
func jumbled(rnd *rand.Rand, lives []Life) []event.Envelope {
	var all []event.Envelope
	for _, l := range lives {
		all = append(all, again(rnd, slices.Concat(l.Stages...))...)
	}
	return shuffle(rnd, all)
}

// staged keeps the stages of each life, and the account before all: later stages
// have repetitions of earlier ones among them.
func staged(rnd *rand.Rand, lives []Life) []event.Envelope {
	var account []event.Envelope
	orders := make([][]event.Envelope, len(lives))
	for i, l := range lives {
		account = append(account, l.Stages[Account]...)
		var heard []event.Envelope
		for _, stage := range l.Stages[Broadcast:] {
			next := again(rnd, stage)
			for _, e := range heard {
				if rnd.IntN(4) == 0 {
					next = append(next, e)
				}
			}
			orders[i] = append(orders[i], shuffle(rnd, next)...)
			heard = append(heard, stage...)
		}
	}
	out := again(rnd, account)
	for { // the lives go on beside each other
		var left []int
		for i, o := range orders {
			if len(o) > 0 {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			return out
		}
		i := left[rnd.IntN(len(left))]
		out, orders[i] = append(out, orders[i][0]), orders[i][1:]
	}
}

func list(order []event.Envelope) string {
	text := ""
	for _, e := range order {
		text += fmt.Sprintf("\n%s %s %.300s", e.ID, e.DetailType, e.Detail)
	}
	return text
}

// Catalogued tells deleted of a video before its deletion is heard, as it is in the
// catalogue, whose rows say so when VideoDeleted comes out of them.
func Catalogued(deleted func(video string), hear func(event.Envelope)) func(event.Envelope) {
	return func(e event.Envelope) {
		var d event.VideoDeleted
		if e.DetailType == d.EventType() && e.Decode(&d) == nil {
			deleted(d.ID)
		}
		hear(e)
	}
}

// To gives events to the consumers whose filters select them, as the bus does;
// an error is the test's.
func To(t *testing.T, consumers []event.Consumer) func(event.Envelope) {
	return func(e event.Envelope) {
		t.Helper()
		for _, c := range consumers {
			if !slices.ContainsFunc(c.Filters, func(f event.Filter) bool { return f.Match(e) }) {
				continue
			}
			if err := c.Handle(t.Context(), e); err != nil {
				t.Errorf("%s hears %s %s: %v", c.Name, e.DetailType, e.ID, err)
			}
		}
	}
}
