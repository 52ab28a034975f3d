package streaming_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// TestAudience counts the viewers of a live stream, and says how many.
func TestAudience(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{CountEvery: 100 * time.Millisecond})
	api := apitest.New(t, func(g *gateway.Gateway) { n.service.Register(g.API()) })
	path := "/api/viewers/" + channel
	beacon := func(stream, viewer string) map[string]string {
		return map[string]string{"streamId": stream, "viewer": viewer}
	}
	api.Post(path, beacon("st-1", "viewer-0001")).Want(404)

	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	for i := range 3 {
		api.Post(path, beacon(id, fmt.Sprintf("viewer-%04d", i))).Want(204)
		api.Post(path, beacon(id, fmt.Sprintf("viewer-%04d", i))).Want(204)
	}
	api.Post(path, beacon(id, "short")).Want(400)
	api.Post(path, beacon("st-other", "viewer-0001")).Want(404)
	n.mustGet("/live/" + channel + "/" + id + "/source/media.m3u8") // a player without a beacon
	if live := n.service.Live(); len(live) != 1 || live[0].Viewers != 4 || live[0].Channel != channel {
		t.Errorf("live are %+v", live)
	}
	eventually(t, "the count is said", func() bool {
		n.bus.mu.Lock()
		defer n.bus.mu.Unlock()
		for _, e := range n.bus.events {
			var d event.ViewCountUpdated
			if err := e.Decode(&d); err != nil {
				t.Fatal(err)
			}
			if d == (event.ViewCountUpdated{StreamID: id, ChannelName: channel, ViewCount: 4}) {
				return true
			}
		}
		return false
	})
	n.stopPublisher(p)
}
