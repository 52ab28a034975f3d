package channel

import (
	"fmt"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/channel/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
)

// However the events of five broadcasts arrive, their channel is off in the end
// and remembers the last.
func TestLivesInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		eventtest.Deliveries(t, 60, true, eventtest.To(t, n.Consumers()), func(lives []eventtest.Life) string {
			row, err := sqlc.New(n.db.Read()).Get(t.Context(), lives[0].Channel)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("live %v %q since %d, the last was the last: %v", row.Live, row.LiveStreamID, row.LiveSince,
				row.LastEndedID == lives[len(lives)-1].Video)
		})
	})
}
