package live

import (
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// TestGone goes on with a stream whose renditions nothing makes any more: players
// that know them find gaps, and silence, where the source goes on; nobody else
// is told of them.
func TestGone(t *testing.T) {
	before, e := newLadder(t)
	before.publish(e, 3, 9*time.Second)
	l, e := newLadder(t, "480p", AAC)
	l.silentVideo, l.silentAudio = true, true
	l.s.Restore(before.stored(), 4)
	l.now = before.now.Add(5 * time.Second)
	l.publish(e, 4, 5*time.Second)
	cuts := func(playlist string) string { return strings.ReplaceAll(cutsOf(playlist), ",GAP=YES", "") }
	source := l.get("source/media.m3u8")
	for _, rung := range []string{"480p", "480p-video", "source-video", "aac"} {
		p := l.get(rung + "/media.m3u8")
		if err := hlstest.CheckMedia([]byte(p)); err != nil {
			t.Errorf("%s: %v\n%s", rung, err, p)
		}
		if cuts(p) != cuts(source) {
			t.Errorf("%s is cut at\n%s, the source at\n%s", rung, cuts(p), cuts(source))
		}
		if gaps := strings.Contains(p, "GAP=YES"); gaps != strings.HasPrefix(rung, "480p") {
			t.Errorf("%s has gaps: %t\n%s", rung, gaps, p)
		}
	}
	if rungs := l.s.Rungs(); len(rungs) != 2 || rungs[0].Dead || !rungs[1].Dead {
		t.Errorf("%+v", rungs)
	}
	master := l.get("master.m3u8")
	if strings.Contains(master, "480p") || strings.Contains(master, "aac") || strings.Contains(source, "480p") {
		t.Errorf("it is still offered:\n%s\n%s", master, source)
	}
}

// TestLateSidecar: pictures of a new size that come only after gaps have an init
// segment of their own, under the discontinuity that all renditions have.
func TestLateSidecar(t *testing.T) {
	l, e := newLadder(t)
	l.publish(e, 1, 4*time.Second)
	l.get("master.m3u8")
	l.sps = spsLarge
	l.during = func(passed time.Duration) { l.silentVideo = passed < 2500*time.Millisecond }
	l.publish(e, 1, 6*time.Second)
	p := l.get("480p/media.m3u8")
	if err := hlstest.CheckMedia([]byte(p)); err != nil || !strings.Contains(p, "GAP=YES") {
		t.Errorf("%v\n%s", err, p)
	}
	init, err := cmaf.ParseInit([]byte(l.get("480p/1-init-2.mp4")))
	if err != nil || init.Video.Width != 640 {
		t.Errorf("%+v %v", init, err)
	}
	if got := l.inits["480p"]; len(got) != 2 || got[1] != "1-init-2.mp4" {
		t.Errorf("the recorder hears of %q", got)
	}
	if v := l.variantsOf("master.m3u8")[1]; v.Resolution != "640x360" {
		t.Errorf("%+v", v)
	}
}
