package eventtest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
)

// The lives are of events as the services say them.
func TestLivesKeepTheSchemas(t *testing.T) {
	r := schema.New()
	kinds := map[string]bool{}
	for _, l := range Lives(1) {
		for _, e := range slices.Concat(l.Stages...) {
			if err := r.Check(e); err != nil {
				t.Error(err)
			}
			kinds[r.Of(e).Name] = true
		}
	}
	if len(kinds) < 14 {
		t.Errorf("the lives have only %d types of events", len(kinds))
	}
}

// Every order has all events, and keeps the stages where they are kept.
func TestOrders(t *testing.T) {
	lives := Lives(1)
	all := 0
	stageOf, lifeOf := map[string]int{}, map[string]int{}
	for i, l := range lives {
		for stage, events := range l.Stages {
			all += len(events)
			for _, e := range events {
				stageOf[e.ID], lifeOf[e.ID] = stage, i
			}
		}
	}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(1, seed))
		for name, order := range map[string][]event.Envelope{"jumbled": jumbled(rnd, lives), "staged": staged(rnd, lives)} {
			heard := map[string]bool{}
			for _, e := range order {
				heard[e.ID] = true
				for _, before := range slices.Concat(lives[lifeOf[e.ID]].Stages[:stageOf[e.ID]]...) {
					if name == "staged" && !heard[before.ID] {
						t.Fatalf("%s comes before %s", e.DetailType, before.DetailType)
					}
				}
			}
			if len(heard) != all || len(order) <= all {
				t.Errorf("%s has %d of %d events in %d deliveries", name, len(heard), all, len(order))
			}
		}
	}
}
