package streaming_test

import (
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// TestLive publishes, and plays while it lasts.
func TestLive(t *testing.T) {
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
	t.Logf("%s", before)
	n.stopPublisher(p)
	n.waitEnded(id)
	t.Log(n.said(id))
	ended := n.mustGet(media)
	if err := hlstest.CheckMedia(ended); err != nil {
		t.Errorf("%v\n%s", err, ended)
	}
	if out := run(t, "ffmpeg", "-v", "error", "-i", n.url+"/live/"+channel+"/master.m3u8", "-f", "null", "-"); out != "" {
		t.Errorf("ffmpeg on the live stream: %s", out)
	}
	if out := run(t, "ffmpeg", "-v", "error", "-i", n.url+"/vod/"+id+"/master.m3u8", "-f", "null", "-"); out != "" {
		t.Errorf("ffmpeg on the recording: %s", out)
	}
}
