package streaming_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// hlsJS is the player of the web app.
const hlsJS = "../../web/node_modules/hls.js/dist/hls.min.js"

// playerPage plays a live stream with hls.js for a while and reports.
const playerPage = `<!doctype html><video muted playsinline></video><script src="/hls.js"></script><script>
const q = new URLSearchParams(location.search), video = document.querySelector('video')
const r = {errors: [], sizes: [], stalls: 0, played: 0, latency: 0, holes: 0}
const hls = new Hls({lowLatencyMode: true})
hls.on(Hls.Events.ERROR, (_, d) => r.errors.push(d.details + (d.fatal ? ' fatal' : '') + ' ' + (d.error ? d.error.message : '')))
hls.loadSource(q.get('src')); hls.attachMedia(video)
hls.on(Hls.Events.MANIFEST_PARSED, () => video.play())
video.addEventListener('waiting', () => { if (r.played > 0.5) r.stalls++ })
video.addEventListener('resize', () => r.sizes.push(video.videoWidth + 'x' + video.videoHeight))
let last = 0, begun = 0
setInterval(() => {
  const t = video.currentTime
  if (!begun && t > 0) begun = t
  if (t > last && t - last < 1) r.played += t - last
  last = t; r.latency = hls.latency; r.holes = Math.max(r.holes, video.buffered.length)
}, 100)
setTimeout(() => fetch('/report', {method: 'POST', body: JSON.stringify(r)}), q.get('ms'))
</script>`

// played is what the page reports.
type played struct {
	Errors, Sizes   []string
	Stalls, Holes   int
	Played, Latency float64
}

// play plays a path of the node in Chromium. It calls begin when the page is
// about to play.
func (n *node) play(t *testing.T, path string, length time.Duration, begin func()) played {
	n.t.Helper()
	report := make(chan played, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(playerPage))
	})
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, r *http.Request) {
		begin()
		http.ServeFile(w, r, hlsJS)
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var p played
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			n.t.Error(err)
		}
		report <- p
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	quit := browse(t, "--mute-audio", "--autoplay-policy=no-user-gesture-required",
		server.URL+"/?ms="+fmt.Sprint(length.Milliseconds())+"&src="+n.url+path)
	defer quit()
	select {
	case p := <-report:
		return p
	case <-time.After(length + time.Minute):
		n.t.Fatal("the page does not report")
		return played{}
	}
}

func needPlayer(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("there is no Chromium")
	}
	if _, err := os.Stat(hlsJS); errors.Is(err, os.ErrNotExist) {
		t.Skip("the web app's modules are not installed")
	}
}

// TestPlayer plays live streams with the web app's player in a browser.
func TestPlayer(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser")
	}
	needPlayer(t)
	m := material(t)
	tests := map[string]streamtest.Options{
		"resolution change": {Clips: []*streamtest.Clip{m.small, m.large}, Repeat: 2},
		"muted in between":  {Clips: []*streamtest.Clip{m.small}, MuteAfter: 4 * time.Second},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, t.TempDir(), streaming.Config{})
			var p *streamtest.Publisher
			got := n.play(t, "/live/"+channel+"/master.m3u8", 9*time.Second, func() { p = n.publish(o) })
			n.stopPublisher(p)
			t.Logf("%+v", got)
			if got.Played < 4 {
				t.Errorf("only %.1f s were played", got.Played)
			}
			for _, e := range got.Errors {
				if strings.Contains(e, "fatal") || strings.Contains(e, "append") || strings.Contains(e, "pars") {
					t.Errorf("the player says %s", e)
				}
			}
			if len(o.Clips) > 1 && len(got.Sizes) < 2 {
				t.Errorf("the picture's sizes were %v, a second one is missing", got.Sizes)
			}
		})
	}
}
