package live

import (
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/id3"
)

const (
	maxReactions = 2000 // that wait for the next part; more are not seen one by one
	unknown      = 0xffffffff
)

// eventQueue holds the reactions that no part has taken yet.
type eventQueue struct {
	items []id3.Reaction
	id    uint32
}

func (q *eventQueue) add(r id3.Reaction) {
	if len(q.items) < maxReactions {
		q.items = append(q.items, r)
	}
}

// take returns the emsg boxes of a part that begins at a place in ticks: all
// that came before it, as one ID3 tag.
func (q *eventQueue) take(start int64) []byte {
	if len(q.items) == 0 {
		return nil
	}
	merged, _ := id3.Merge(q.items)
	q.items = nil
	tag, err := id3.AppendTag(nil, merged)
	if err != nil {
		return nil // what was merged fits
	}
	q.id++
	e := cmaf.EventMessage{
		Scheme: cmaf.ID3Scheme, Timescale: ticksPerSecond, PresentationTime: uint64(start),
		Duration: unknown, ID: q.id, Data: tag,
	}
	return e.AppendTo(nil)
}
