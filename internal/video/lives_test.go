package video_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// However the events of whole lives arrive, the videos end the same, and each
// that has its files is said to be ready once.
func TestLivesInAnyOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		eventtest.Deliveries(t, 25, true, eventtest.To(t, f.Consumers()), func(lives []eventtest.Life) string {
			ready := map[string]int{}
			for _, e := range f.saying("recording-ready") {
				var d event.RecordingReadyEvent
				if err := e.Decode(&d); err != nil {
					t.Fatal(err)
				}
				ready[d.ID]++
			}
			var all strings.Builder
			for _, l := range lives {
				v := f.get(as(l.Channel), l.Video)
				fmt.Fprintf(&all, "%s: %s %q, %d ms, %d × %d, picture %v, MP4 %v, ready %d times\n", l.Name, v.Status, v.Reason, v.Duration,
					v.Width, v.Height, v.Thumbnail != "", v.PlaybackURL != "", ready[l.Video])
			}
			return all.String()
		})
	})
}
