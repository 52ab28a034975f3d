package crash

import (
	"fmt"
	"regexp"
	"time"
)

// place is a failpoint, and up to which passing it is of interest.
type place struct {
	name  string
	most  int
	needs deed // it is passed only then
}

// deed is what somebody must do in a round.
type deed string

const (
	deletes   deed = "delete a video"
	titles    deed = "give a title"
	replays   deed = "replay past events"
	simulates deed = "replay past recordings"
	expires   deed = "let a video grow older than its channel keeps it"
	expels    deed = "suspend or delete an account"
)

// places are all before and after which a node is killed.
func places() []place {
	return []place{
		{"outbox.commit", 10, ""}, {"outbox.committed", 10, ""}, {"emit", 12, ""}, {"receipt", 12, ""},
		{"relay.publish", 10, ""}, {"relay.published", 10, ""}, {"relay.deleted", 6, ""},
		{"consumer.handle", 30, ""}, {"consumer.handled", 30, ""}, {"consumer.acked", 30, ""},
		{"flow.step", 8, ""}, {"flow.step.done", 8, ""}, {"flow.step.recorded", 8, ""},
		{"flow.park", 4, ""}, {"flow.wake", 2, ""}, {"flow.woken", 2, ""},
		{"blob.put", 6, ""}, {"blob.written", 6, ""}, {"blob.renamed", 6, ""}, {"mp4.made", 1, ""}, {"mp4.stored", 1, ""},
		{"delivery.send", 10, ""}, {"delivery.sent", 10, ""}, {"delivery.recorded", 10, ""},
		{"blob.delete", 4, deletes}, {"sweep.removed", 1, deletes},
		{"archive.keep", 20, ""}, {"archive.kept", 20, ""},
		{"replay.begun", 1, replays}, {"replay.queue", 4, replays}, {"replay.queued", 4, replays},
		{"simulation.begun", 1, simulates}, {"simulation.fed", 4, simulates}, {"simulation.forgotten", 8, simulates}, {"simulation.removed", 1, simulates},
		{"retention.due", 1, expires}, {"retention.deleted", 1, expires},
		{"owner.closed", 1, expels}, {"owner.buried", 1, expels},
	}
}

// death is how a round ends.
type death struct {
	failpoint string        // what FAILPOINTS says, "" for none
	atStart   bool          // by time, counted from the start of the process
	needs     deed          // what must be done meanwhile; "": nothing
	after     time.Duration // by time, counted from when it is ready; with a failpoint, if that is not met
}

func (w *world) death() death {
	switch all := places(); {
	case w.chance(10):
		return death{atStart: true, after: time.Duration(w.number(400)) * time.Millisecond}
	case w.chance(35):
		return death{after: time.Duration(w.number(2000)) * time.Millisecond}
	default:
		p := all[w.number(len(all))]
		// More often an early passing: not every round has all of them.
		return death{failpoint: fmt.Sprintf("%s=kill@%d", p.name, 1+w.number(1+w.number(p.most))), after: 2500 * time.Millisecond, needs: p.needs}
	}
}

var killedAt = regexp.MustCompile(`failpoint (\S+) kills the process`)

// deaths counts how rounds ended.
type deaths struct {
	byTime, atStart int
	byPlace         map[string]int
}

// count notes the end of a round whose log begins at from.
func (d *deaths) count(how death, log string) {
	if d.byPlace == nil {
		d.byPlace = map[string]int{}
	}
	found := killedAt.FindStringSubmatch(log)
	switch {
	case found != nil:
		d.byPlace[found[1]]++
	case how.atStart:
		d.atStart++
	default:
		d.byTime++
	}
}
