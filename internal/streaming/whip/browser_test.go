package whip

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
)

// codecsPage publishes the browser's fake camera once in each codec, each to a
// channel of its own. After 2 s it restarts ICE, after 4 s it stops.
const codecsPage = `<!doctype html><script type="module">
const whip = new URLSearchParams(location.search).get('whip')
const auth = {Authorization: 'Bearer sk-1'}
const media = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 360, frameRate: 30}, audio: true})
const wait = ms => new Promise(done => setTimeout(done, ms))
const gathered = peer => new Promise(done => {
  const check = () => peer.iceGatheringState === 'complete' && done()
  peer.onicegatheringstatechange = check
  check()
})
const ice = sdp => sdp.split('\r\n').filter(l => /^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)/.test(l))
async function publish(codec) {
  const peer = new RTCPeerConnection()
  for (const track of media.getTracks()) {
    const transceiver = peer.addTransceiver(track, {direction: 'sendonly', streams: [media]})
    if (track.kind === 'video') {
      transceiver.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter(c => /rtx/.test(c.mimeType) || c.mimeType === 'video/' + codec))
    }
  }
  await peer.setLocalDescription()
  await gathered(peer)
  const answer = await fetch(whip + codec, {method: 'POST', body: peer.localDescription.sdp, headers: {...auth, 'Content-Type': 'application/sdp'}})
  let sdp = await answer.text()
  await peer.setRemoteDescription({type: 'answer', sdp})
  const session = new URL(answer.headers.get('Location'), whip)
  await wait(2000)
  await peer.setLocalDescription(await peer.createOffer({iceRestart: true}))
  await gathered(peer)
  const lines = peer.localDescription.sdp.split('\r\n')
  const second = lines.findIndex((l, i) => l.startsWith('m=') && lines.slice(0, i).some(o => o.startsWith('m=')))
  const body = ice(lines.slice(0, second).join('\r\n')).join('\r\n') + '\r\n'
  const restarted = await fetch(session, {method: 'PATCH', body, headers: {...auth, 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*'}})
  if (restarted.status === 200) {
    const fresh = ice(await restarted.text()).join('\r\n')
    sdp = sdp.split('\r\n').filter(l => !ice(l).length).map(l => l.startsWith('a=mid:') ? l + '\r\n' + fresh : l).join('\r\n')
    await peer.setRemoteDescription({type: 'answer', sdp})
    await wait(2000)
    await fetch(session, {method: 'DELETE', headers: auth})
  }
}
for (const codec of ['H264', 'VP8', 'VP9', 'AV1']) await publish(codec)
</script>`

// TestChromium takes each codec from a real browser, which does things that
// pion does not: probing, retransmissions, dependency descriptors, resolutions
// that climb.
func TestChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("there is no Chromium")
	}
	n := startIngest(t, Config{}, &host{})
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(codecsPage))
	}))
	defer page.Close()
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir="+profile,
		"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", page.URL+"/?whip="+n.url[:len(n.url)-1])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // it was killed
		// A process that is dying may still write.
		eventually(t, "the browser's profile is removed", func() bool { return os.RemoveAll(profile) == nil })
	}()
	for i, codec := range []cmaf.VideoCodec{cmaf.H264, cmaf.VP8, cmaf.VP9, cmaf.AV1} {
		eventually(t, codec.String()+" begins", func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return len(n.sinks) > i
		})
		s, publisher := n.last()
		var stats ingest.Stats
		eventually(t, codec.String()+" ends", func() bool {
			if now := publisher.Stats(); now.PacketsReceived > 0 {
				stats = now
			}
			select {
			case <-s.left:
				return true
			default:
				return false
			}
		})
		forGood, reason := waitLeft(t, s)
		if len(s.frames) < 20 || len(s.sounds) < 50 { // a busy machine encodes few
			t.Fatalf("%s: %d pictures, %d sounds, lost %d times, dropped %d; it left because %q, %+v",
				codec, len(s.frames), len(s.sounds), s.lost, s.dropped, reason, stats)
		}
		var keys int
		for _, f := range s.frames {
			if f.Key {
				keys++
			}
		}
		first := s.frames[0]
		if !forGood || s.codec != codec || keys == 0 || !first.Key || first.Config.Codec != codec || first.Config.Width < 160 || stats.RoundTrip == 0 {
			t.Errorf("%s: for good %t (%s), %d key frames, first %+v, %+v", codec, forGood, reason, keys, first.Config, stats)
		}
		t.Logf("%s: %d frames, %d key frames, first %dx%d, lost %d, %+v", codec, len(s.frames), keys, first.Config.Width, first.Config.Height, s.lost, stats)
	}
}
