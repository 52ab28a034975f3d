package pluginmanager

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// netReach is how far back answers are looked for: longer than the clocks of two
// nodes go apart and than the transaction of an answer takes.
const netReach = time.Minute

// net finds the lifecycles that got an answer, on whichever node it was heard.
// The node that hears it wakes its own lifecycles at once; this is for the
// others, with one query for all of them.
type net struct {
	db   *store.DB
	seen map[answerKey]int64 // when it was answered, ms
	last int64               // when it was last looked for, ms
}

type answerKey struct {
	flow, hook, plugin string
	attempt            int64
}

func newNet(db *store.DB) *net { return &net{db: db, seen: map[answerKey]int64{}} }

// look returns the lifecycles with answers that it has not told of before.
func (n *net) look(ctx context.Context) ([]string, error) {
	now := store.Now()
	// A look may be late: the database was away, or the node stood still.
	since := min(cmp.Or(n.last, now), now) - netReach.Milliseconds()
	rows, err := sqlc.New(n.db.Read()).AnsweredSince(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("reading the latest answers: %w", err)
	}
	n.last = now
	var flows []string
	for _, r := range rows {
		key := answerKey{r.FlowID, r.Hook, r.Plugin, r.Attempt}
		if _, told := n.seen[key]; !told {
			n.seen[key] = r.AnsweredAt
			flows = append(flows, r.FlowID)
		}
	}
	for key, at := range n.seen {
		if at < since {
			delete(n.seen, key)
		}
	}
	return flows, nil
}
