package whep

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// playPage plays a channel for three seconds and tells what it saw.
const playPage = `<!doctype html><video muted autoplay playsinline></video><script type="module">
const tell = seen => fetch('/seen', {method: 'POST', body: JSON.stringify(seen)})
try {
  const q = new URLSearchParams(location.search), video = document.querySelector('video')
  const peer = new RTCPeerConnection(), media = new MediaStream()
  peer.addTransceiver('video', {direction: 'recvonly'})
  peer.addTransceiver('audio', {direction: 'recvonly'})
  peer.ontrack = e => { media.addTrack(e.track); video.srcObject = media }
  const first = new Promise(done => video.requestVideoFrameCallback(done))
  await peer.setLocalDescription()
  const answer = await fetch(q.get('whep'), {method: 'POST', body: peer.localDescription.sdp, headers: {'Content-Type': 'application/sdp'}})
  const answered = performance.now()
  await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()})
  await first
  const seen = {first: performance.now() - answered, height: video.videoHeight}
  await new Promise(done => setTimeout(done, 3000))
  for (const s of (await peer.getStats()).values()) {
    if (s.type === 'transport') seen.cipher = s.srtpCipher
    if (s.type !== 'inbound-rtp') continue
    if (s.kind === 'video') Object.assign(seen, {decoded: s.framesDecoded, dropped: s.framesDropped, lost: s.packetsLost, plis: s.pliCount, buffered: 1000 * s.jitterBufferDelay / s.jitterBufferEmittedCount, freezes: s.freezeCount})
    else seen.samples = s.totalSamplesReceived - s.concealedSamples
  }
  seen.height = video.videoHeight
  await fetch(new URL(answer.headers.get('Location'), q.get('whep')), {method: 'DELETE'})
  await tell(seen)
} catch (e) { await tell({error: String(e)}) }
</script>`

// played is what the page saw.
type played struct {
	Error                                string
	First, Buffered                      float64 // ms
	Height, Decoded, Dropped, Lost, Plis int
	Freezes                              int
	Samples                              int
	Cipher                               string
}

// Chromium plays it, from another origin, encrypted as we want it.
func TestChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("there is no Chromium")
	}
	stream := newClipStream(t, "st-1", clip(t, streamtest.Picture{Width: 640, Height: 360, Bitrate: 1_000_000, KeyEvery: 60}, 4))
	stream.play(t)
	s, endpoint := serve(t, stream, Config{}, nil)
	seen := make(chan played, 1)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var p played
			if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
				p.Error = err.Error()
			}
			seen <- p
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(playPage))
	}))
	defer page.Close()
	eventually(t, "the group of pictures is nearly over", func() bool { return stream.pushed.Load()%60 == 50 })
	quit := browse(t, page.URL+"/?whep="+endpoint)
	defer quit()
	select {
	case p := <-seen:
		t.Logf("%+v", p)
		if p.Error != "" || p.Height != 360 || p.Decoded < 60 || p.Samples == 0 || p.Lost > 0 {
			t.Errorf("%+v", p)
		}
		if !strings.Contains(p.Cipher, "GCM") {
			t.Errorf("encrypted by %s", p.Cipher)
		}
	case <-time.After(2 * waitTime):
		t.Fatal("the page says nothing")
	}
	eventually(t, "the session is over", func() bool { return s.Sessions("st-1") == 0 })
}

// browse starts Chromium; quit ends it and all its processes.
func browse(t *testing.T, url string) (quit func()) {
	t.Helper()
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+profile, url)
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
