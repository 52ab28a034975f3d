package streaming

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// However the events of whole lives arrive, the streams of deleted videos are
// deleted, and no others.
func TestLivesInAnyOrder(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	known := map[string]bool{}
	to := eventtest.To(t, s.Consumers())
	hear := func(e event.Envelope) {
		var d event.StreamStateChange
		if e.Decode(&d) == nil && d.EventName == event.StreamStart && !known[d.StreamID] { // it broadcasts
			known[d.StreamID] = true
			_, err := s.insertStream(t.Context(), d.StreamID, d.ChannelName)
			if err == nil {
				_, err = s.endStream(t.Context(), ending{id: d.StreamID, channel: d.ChannelName, at: 1, reason: "over"})
			}
			if err == nil {
				_, err = s.endRecording(t.Context(), d.StreamID, d.ChannelName, recorder.Summary{Segments: 1, Ticks: 180_000})
			}
			if err != nil {
				t.Error(err)
			}
		}
		to(e)
	}
	eventtest.Deliveries(t, 40, true, hear, func(lives []eventtest.Life) string {
		var all strings.Builder
		for _, l := range lives {
			row, err := s.row(t.Context(), l.Video)
			if l.Name == "deleted" && errs.CodeOf(err) == errs.NotFound {
				fmt.Fprintf(&all, "%s: gone\n", l.Name)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "%s: %s %v %d ms\n", l.Name, row.State, row.Recorded, row.DurationMs)
		}
		return all.String()
	})
}
