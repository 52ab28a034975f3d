package streaming_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// publishPage publishes the browser's fake camera over WHIP.
const publishPage = `<!doctype html><script type="module">
const q = new URLSearchParams(location.search)
const media = await navigator.mediaDevices.getUserMedia({video: {width: 1280, height: 720, frameRate: 30}, audio: true})
const peer = new RTCPeerConnection()
for (const track of media.getTracks()) peer.addTransceiver(track, {direction: 'sendonly', streams: [media]})
await peer.setLocalDescription()
await new Promise(done => { peer.iceGatheringState === 'complete' ? done() : peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done() })
const headers = {'Content-Type': 'application/sdp', Authorization: 'Bearer ' + q.get('key')}
const answer = await fetch(q.get('whip'), {method: 'POST', body: peer.localDescription.sdp, headers})
await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()})
setTimeout(async () => {
  await fetch(new URL(answer.headers.get('Location'), q.get('whip')), {method: 'DELETE', headers})
}, q.get('ms'))
</script>`

// browse starts Chromium; close ends it and all its processes.
func browse(t *testing.T, args ...string) (closeIt func()) {
	t.Helper()
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + profile}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // it was killed
		// A process that is dying may still write.
		eventually(t, "the browser's profile is removed", func() bool { return os.RemoveAll(profile) == nil })
	}
}

// TestChromium publishes with Chromium's fake camera from another origin. The
// browser begins small and climbs by itself.
func TestChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("there is no Chromium")
	}
	n := startNode(t, t.TempDir(), streaming.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(publishPage))
	}))
	defer server.Close()
	quit := browse(t, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
		server.URL+"/?ms=7000&key="+key+"&whip="+n.whip())
	defer quit()
	id := n.liveID()
	media := "/live/" + channel + "/" + id + "/source/media.m3u8"
	if err := hlstest.CheckMultivariant(n.mustGet("/live/" + channel + "/master.m3u8")); err != nil {
		t.Error(err)
	}
	var before []byte
	eventually(t, "the end of the playlist", func() bool {
		playlist := n.mustGet(media)
		parsed, err := hlstest.ParseMedia(playlist)
		if err != nil {
			t.Fatal(err)
		}
		if err := hlstest.CheckMedia(playlist); err != nil {
			t.Fatalf("%v\n%s", err, playlist)
		}
		if before != nil {
			if err := hlstest.CheckReload(before, playlist); err != nil {
				t.Fatalf("%v\n%s\n%s", err, before, playlist)
			}
		}
		before = playlist
		return parsed.Ended
	})
	n.waitEnded(id)
	n.decode("/vod/" + id + "/master.m3u8")
}
