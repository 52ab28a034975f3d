package crash

import (
	"fmt"
	"regexp"
	"time"
)

// place is a failpoint, and up to which passing it is of interest.
type place struct {
	name string
	most int
}

// places are all before and after which a node is killed.
func places() []place {
	return []place{
		{"outbox.commit", 10}, {"outbox.committed", 10}, {"emit", 12}, {"receipt", 12},
		{"relay.publish", 10}, {"relay.published", 10}, {"relay.deleted", 6},
		{"consumer.handle", 30}, {"consumer.handled", 30}, {"consumer.acked", 30},
		{"flow.step", 8}, {"flow.step.done", 8}, {"flow.step.recorded", 8},
		{"blob.put", 6}, {"blob.written", 6}, {"blob.renamed", 6}, {"blob.delete", 4}, {"sweep.removed", 1},
		{"mp4.made", 1}, {"mp4.stored", 1},
		{"delivery.send", 10}, {"delivery.sent", 10}, {"delivery.recorded", 10},
	}
}

// death is how a round ends.
type death struct {
	failpoint string        // what FAILPOINTS says, "" for none
	atStart   bool          // by time, counted from the start of the process
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
		return death{failpoint: fmt.Sprintf("%s=kill@%d", p.name, 1+w.number(p.most)), after: 2500 * time.Millisecond}
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
