package crash

import (
	"fmt"
	"regexp"
	"time"
)

// place is a failpoint, and up to which passing it is of interest.
type place struct {
	name    string
	most    int
	deletes bool // it is passed only when a video is deleted
}

// places are all before and after which a node is killed.
func places() []place {
	return []place{
		{"outbox.commit", 10, false}, {"outbox.committed", 10, false}, {"emit", 12, false}, {"receipt", 12, false},
		{"relay.publish", 10, false}, {"relay.published", 10, false}, {"relay.deleted", 6, false},
		{"consumer.handle", 30, false}, {"consumer.handled", 30, false}, {"consumer.acked", 30, false},
		{"flow.step", 8, false}, {"flow.step.done", 8, false}, {"flow.step.recorded", 8, false},
		{"flow.park", 4, false}, {"flow.wake", 2, false}, {"flow.woken", 2, false},
		{"blob.put", 6, false}, {"blob.written", 6, false}, {"blob.renamed", 6, false}, {"mp4.made", 1, false}, {"mp4.stored", 1, false},
		{"delivery.send", 10, false}, {"delivery.sent", 10, false}, {"delivery.recorded", 10, false},
		{"blob.delete", 4, true}, {"sweep.removed", 1, true},
	}
}

// death is how a round ends.
type death struct {
	failpoint string        // what FAILPOINTS says, "" for none
	atStart   bool          // by time, counted from the start of the process
	deletes   bool          // somebody must delete a video
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
		return death{failpoint: fmt.Sprintf("%s=kill@%d", p.name, 1+w.number(1+w.number(p.most))), after: 2500 * time.Millisecond, deletes: p.deletes}
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
