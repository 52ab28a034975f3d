package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hlsJS is the player of the web app.
const hlsJS = "../../../web/node_modules/hls.js/dist/hls.min.js"

// playerPage plays to the end with hls.js, and says what it chose.
const playerPage = `<!doctype html><video muted playsinline></video><script src="/hls.js"></script><script>
const q = new URLSearchParams(location.search), video = document.querySelector('video')
const r = {errors: [], sets: [], buffers: [], ended: false, time: 0, duration: 0}
const config = q.get('codec') ? {audioPreference: {audioCodec: q.get('codec')}} : {}
const hls = new Hls(config)
hls.on(Hls.Events.ERROR, (_, d) => r.errors.push(d.details + (d.fatal ? ' fatal' : '') + ' ' + (d.error ? d.error.message : '')))
hls.on(Hls.Events.LEVEL_SWITCHED, (_, d) => r.sets.push(hls.levels[d.level].codecSet))
hls.on(Hls.Events.BUFFER_CREATED, (_, d) => r.buffers.push(...Object.keys(d.tracks)))
hls.on(Hls.Events.MANIFEST_PARSED, () => video.play())
const report = () => {
  r.time = video.currentTime; r.duration = video.duration || 0
  fetch('/report', {method: 'POST', body: JSON.stringify(r)})
}
video.addEventListener('ended', () => { r.ended = true; report() })
setTimeout(report, 20000)
hls.loadSource(q.get('src')); hls.attachMedia(video)
</script>`

// watched is what the page reports.
type watched struct {
	Errors, Sets, Buffers []string
	Ended                 bool
	Time, Duration        float64
}

// watch plays a recording in Chromium.
func watch(t *testing.T, recording http.Handler, src, codec string) watched {
	t.Helper()
	report := make(chan watched, 2)
	mux := http.NewServeMux()
	mux.Handle("/", recording)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(playerPage))
	})
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, hlsJS) })
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var p watched
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
		}
		report <- p
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	quit := browse(t, server.URL+"/?src="+url.QueryEscape(src)+"&codec="+codec)
	defer quit()
	select {
	case p := <-report:
		return p
	case <-time.After(time.Minute):
		t.Fatal("the page does not report")
		return watched{}
	}
}

// browse starts Chromium; quit ends it and all its processes.
func browse(t *testing.T, page string) (quit func()) {
	t.Helper()
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir="+profile,
		"--mute-audio", "--autoplay-policy=no-user-gesture-required", page)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // it was killed
		// A process that is dying may still write.
		await(t, "the browser's profile is removed", func() bool { return os.RemoveAll(profile) == nil })
	}
}

// TestPlayer plays both sets of a recording with the web app's player.
func TestPlayer(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("there is no Chromium")
	}
	if _, err := os.Stat(hlsJS); errors.Is(err, os.ErrNotExist) {
		t.Skip("the web app's modules are not installed")
	}
	store := newMoody(t, well)
	storeClip(t, store, nil)
	recording := serve(store, list(t, store))
	for _, tt := range []struct {
		set                  Set
		preference           string
		wantSet, wantBuffers string
	}{
		{AllSets, "opus", "avc1,opus", "audiovideo"},
		{AllSets, "mp4a", "avc1,mp4a", "audio video"},
		{AACSet, "", "avc1,mp4a", "audio video"},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.set, tt.preference), func(t *testing.T) {
			got := watch(t, recording, fmt.Sprintf("/%d/master.m3u8", tt.set), tt.preference)
			t.Logf("%+v", got)
			if !got.Ended || got.Time < clipSeconds-0.1 || got.Duration > clipSeconds+0.1 || len(got.Sets) == 0 {
				t.Errorf("it did not play to the end")
			}
			for _, set := range got.Sets {
				if set != tt.wantSet {
					t.Errorf("it plays %s", set)
				}
			}
			if all := strings.Join(got.Buffers, " "); all != tt.wantBuffers && all != "video audio" {
				t.Errorf("its buffers are %s", all)
			}
			for _, e := range got.Errors {
				t.Errorf("the player says %s", e)
			}
		})
	}
}
