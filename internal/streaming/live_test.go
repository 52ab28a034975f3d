package streaming_test

import (
	"slices"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// TestLive publishes, and plays while it lasts.
func TestLive(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{})
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	if err := hlstest.CheckMultivariant(n.mustGet("/live/" + channel + "/master.m3u8")); err != nil {
		t.Error(err)
	}
	media := "/live/" + channel + "/" + id + "/source/media.m3u8"
	var before []byte
	for range 30 {
		playlist := n.mustGet(media)
		if err := hlstest.CheckMedia(playlist); err != nil {
			t.Fatalf("%v\n%s", err, playlist)
		}
		if before != nil {
			if err := hlstest.CheckReload(before, playlist); err != nil {
				t.Fatalf("%v\n%s\n%s", err, before, playlist)
			}
		}
		before = playlist
		time.Sleep(100 * time.Millisecond)
	}
	n.stopPublisher(p)
	n.waitEnded(id)
	if said := n.said(id); !slices.Equal(said, wholeStory) {
		t.Errorf("said was %v", said)
	}
	ended := n.mustGet(media)
	if err := hlstest.CheckMedia(ended); err != nil {
		t.Errorf("%v\n%s", err, ended)
	}
	n.decode("/live/" + channel + "/master.m3u8")
	n.decode("/vod/" + id + "/master.m3u8")
}
