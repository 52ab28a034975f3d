package publisher_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
)

// However the events of whole lives arrive, open pages are told the same, each
// thing once.
func TestLivesInAnyOrder(t *testing.T) {
	r := start(t, nil)
	told, _ := listen(t, r.get(t, "serverlessVideo-global", ""))
	round := 0
	hear := func(e event.Envelope) {
		if err := r.bus.Relay(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	eventtest.Deliveries(t, 10, false, hear, func(lives []eventtest.Life) string {
		round++
		marker := fmt.Sprintf("marker-%d", round)
		r.say(t, event.ViewCountUpdated{StreamID: marker, ChannelName: "c", ViewCount: 1})
		count := map[string]int{}
		for m := next(t, told); m.Body["stream_id"] != marker; m = next(t, told) {
			for _, l := range lives {
				if m.Body["stream_id"] == l.Video || m.Body["id"] == l.Video {
					count[fmt.Sprintf("%s: %s %v %v %v", l.Name, m.Type, m.Body["event_name"], m.Body["recording_status"], m.Body["status"])]++
				}
			}
		}
		var lines []string
		for _, what := range slices.Sorted(maps.Keys(count)) {
			lines = append(lines, fmt.Sprintf("%s: %d times", what, count[what]))
		}
		return strings.Join(lines, "\n")
	})
}
