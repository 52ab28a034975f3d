package crash

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// whole says whether all of the suite runs (make crash) or its short form.
func whole() bool { return os.Getenv("CRASH") == "whole" }

// plan is how often a node is killed, and after how many kills it is looked at.
type plan struct{ rounds, audit int }

func plans() (sqlite, postgres plan) {
	if whole() {
		return plan{rounds(300), 50}, plan{rounds(100), 50}
	}
	return plan{rounds(6), 6}, plan{rounds(4), 4}
}

// enough rounds meet most places.
const enough = 100

// rounds is what CRASH_ROUNDS says, else own.
func rounds(own int) int {
	if n, err := strconv.Atoi(os.Getenv("CRASH_ROUNDS")); err == nil {
		return n
	}
	return own
}

// seed is CRASH_SEED, else another one each time. It gives the same plan of kills
// and work again, though not the same timing.
func seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("CRASH_SEED"), 10, 64); err == nil {
		return n
	}
	return uint64(time.Now().UnixNano())
}

// TestKilledOverAndOver lets a node live with real clients and kills it, at named
// places and by time, over and over. Now and then it is let come to rest and
// looked at: nothing may be lost, nothing may count twice, nothing may be stuck
// or left over.
func TestKilledOverAndOver(t *testing.T) {
	sqlite, postgres := plans()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killOver(t, store.Config{}, sqlite)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		killOver(t, store.Config{URL: storetest.PostgresURL(t)}, postgres)
	})
}

func killOver(t *testing.T, db store.Config, p plan) {
	w := newWorld(t, db, "", seed())
	w.settle()
	var died deaths
	var last figures
	for n := 1; n <= p.rounds; n++ {
		how := w.death()
		before := len(w.node.Log())
		w.round(how)
		died.count(how, w.node.Log()[before:])
		if n%p.audit == 0 || n == p.rounds {
			began := time.Now()
			var wrong []string
			last, wrong = w.audit()
			t.Logf("after %d rounds: %+v, at rest and looked at in %s", n, last, time.Since(began).Round(time.Second))
			for _, line := range wrong {
				t.Errorf("after %d rounds: %s", n, line)
			}
			if len(wrong) > 0 {
				return
			}
		}
	}
	t.Log("\n" + table(p.rounds, died, last))
	if p.rounds >= enough && len(died.byPlace) < len(places())/2 {
		t.Errorf("the node died at %d of %d places only", len(died.byPlace), len(places()))
	}
}

// settle lets there be something that can be replayed and deleted before the first
// kill.
func (w *world) settle() {
	w.t.Helper()
	if err := w.keepDay(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for _, u := range w.users[broadcasters-2:] {
		w.broadcast(u, time.Second)
	}
	w.mustBeWell()
}

// round is one life of the node.
func (w *world) round(how death) {
	w.t.Helper()
	if how.needs == expires || w.chance(15) {
		w.expireOne()
	}
	if how.needs == expels || w.chance(35) {
		w.invite()
	}
	w.launch(dawdle + how.failpoint)
	defer w.node.Kill()
	if how.atStart {
		w.until(time.After(how.after))
		return
	}
	if !w.awaitReady() {
		return
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.work(ctx, how.needs)
	}()
	w.until(time.After(how.after))
	w.node.Kill()
	cancel()
	<-done
}

// until waits for a time or the end of the node.
func (w *world) until(late <-chan time.Time) {
	select {
	case <-late:
	case <-w.node.Exited():
	}
}

// awaitReady says whether the node became ready before it died.
func (w *world) awaitReady() bool {
	w.t.Helper()
	deadline := time.After(time.Minute)
	for w.node.Ready() != nil {
		select {
		case <-w.node.Exited():
			return false
		case <-deadline:
			w.t.Fatalf("the node does not get ready; its log ends\n%s", tail(w.node.Log(), 40))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func table(rounds int, d deaths, f figures) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "rounds\t%d\n", rounds)
	fmt.Fprintf(w, "killed by time\t%d\n", d.byTime)
	fmt.Fprintf(w, "killed while starting\t%d\n", d.atStart)
	for _, p := range places() {
		fmt.Fprintf(w, "killed at %s\t%d\n", p.name, d.byPlace[p.name])
	}
	fmt.Fprintf(w, "broadcasts, recorded\t%d, %d\n", f.Streams, f.Recorded)
	fmt.Fprintf(w, "videos, deleted\t%d, %d\n", f.Videos, f.Deleted)
	fmt.Fprintf(w, "events, deliveries, repeated\t%d, %d, %d\n", f.Events, f.Deliveries, f.Repeated)
	fmt.Fprintf(w, "objects\t%d\n", f.Objects)
	fmt.Fprintf(w, "archived\t%d\n", f.Archived)
	fmt.Fprintf(w, "replays, deliveries of them\t%d, %d\n", f.Replays, f.Replayed)
	fmt.Fprintf(w, "simulations, their videos\t%d, %d\n", f.Simulations, f.Simulated)
	fmt.Fprintf(w, "videos over their age\t%d\n", f.Expired)
	fmt.Fprintf(w, "accounts deleted\t%d\n", f.Expelled)
	fmt.Fprintf(w, "violations\t0\n")
	_ = w.Flush()
	return b.String()
}
