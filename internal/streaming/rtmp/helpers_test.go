package rtmp

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey     = "sk_live_abc"
	testChannel = "channel-1"
	patience    = 15 * time.Second
)

// oneKey knows one stream key.
type oneKey struct{}

func (oneKey) ChannelByKey(_ context.Context, key string) (string, error) {
	if key != testKey {
		return "", errs.New(errs.NotFound, "no such key")
	}
	return testChannel, nil
}

// host keeps what sessions bring. A channel has one publisher at a time.
type host struct {
	refuse error // instead of beginning

	mu       sync.Mutex
	changed  *sync.Cond
	sessions []*recording
}

// recording is what one publisher brought.
type recording struct {
	host      *host
	offer     ingest.Offer
	publisher ingest.Publisher

	video          []frame.Video
	audio          []frame.Audio
	videoReports   []frame.Report
	audioReports   []frame.Report
	received       int
	lost, dropped  int
	left, forGood  bool
	reason         string
	leftMoreOften  bool
	cameAfterLeave bool
}

func newHost() *host {
	h := &host{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *host) Begin(_ context.Context, o ingest.Offer, p ingest.Publisher) (ingest.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	for _, s := range h.sessions {
		if !s.left {
			return nil, errs.New(errs.Conflict, "already publishing")
		}
	}
	r := &recording{host: h, offer: o, publisher: p}
	h.sessions = append(h.sessions, r)
	h.changed.Broadcast()
	return r, nil
}

// wait waits until a state is reached. check is called under the lock.
func (h *host) wait(t testing.TB, what string, check func() bool) {
	t.Helper()
	timer := time.AfterFunc(patience, h.changed.Broadcast)
	defer timer.Stop()
	end := time.Now().Add(patience)
	h.mu.Lock()
	defer h.mu.Unlock()
	for !check() {
		if time.Now().After(end) {
			t.Fatalf("it did not come to it: %s", what)
		}
		h.changed.Wait()
	}
}

// session waits for the nth session to begin.
func (h *host) session(t testing.TB, n int) *recording {
	t.Helper()
	h.wait(t, "a broadcast begins", func() bool { return len(h.sessions) > n })
	return h.nth(n)
}

// ended waits until the nth session has been left.
func (h *host) ended(t testing.TB, n int) *recording {
	t.Helper()
	h.wait(t, "a broadcast ends", func() bool { return len(h.sessions) > n && h.sessions[n].left })
	return h.nth(n)
}

// nth returns a session that has begun; another may begin meanwhile.
func (h *host) nth(n int) *recording {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[n]
}

func (r *recording) change(f func()) {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	f()
	r.host.changed.Broadcast()
}

func (r *recording) Codec() cmaf.VideoCodec { return r.offer.Video[0] }

func (r *recording) Video(f frame.Video) {
	r.change(func() { r.video = append(r.video, f); r.cameAfterLeave = r.cameAfterLeave || r.left })
}

func (r *recording) Audio(f frame.Audio) {
	r.change(func() { r.audio = append(r.audio, f); r.cameAfterLeave = r.cameAfterLeave || r.left })
}

func (r *recording) VideoReport(f frame.Report) {
	r.change(func() { r.videoReports = append(r.videoReports, f) })
}

func (r *recording) AudioReport(f frame.Report) {
	r.change(func() { r.audioReports = append(r.audioReports, f) })
}

func (r *recording) Lost(time.Time)              { r.change(func() { r.lost++ }) }
func (r *recording) Received(n int, _ time.Time) { r.change(func() { r.received += n }) }
func (r *recording) Dropped(n int)               { r.change(func() { r.dropped += n }) }
func (r *recording) Leave(forGood bool, why string) {
	r.change(func() { r.leftMoreOften = r.left; r.left, r.forGood, r.reason = true, forGood, why })
}

// serve runs a server on a port of its own until the test ends.
func serve(t testing.TB, cfg Config, h ingest.Host) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, New(cfg, oneKey{}, h, slog.New(slog.DiscardHandler)), l)
	return "rtmp://" + l.Addr().String()
}

func serveOn(t testing.TB, s *Server, l net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// dial connects to a server and hangs up when the test ends.
func dial(t testing.TB, address string) *rtmptest.Client {
	t.Helper()
	c, err := rtmptest.Dial(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// publish begins to publish with the right key.
func publish(t testing.TB, address string) *rtmptest.Client {
	t.Helper()
	c := dial(t, address+"/live/"+testKey)
	if err := c.Publish(); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t testing.TB, c *rtmptest.Client, tags ...rtmptest.Tag) {
	t.Helper()
	for _, tag := range tags {
		if err := c.Tag(tag); err != nil {
			t.Fatal(err)
		}
	}
}

// smallClip is two seconds of 160x90 at 30 fps with B-frames, and AAC.
func smallClip(t testing.TB) *rtmptest.Clip {
	t.Helper()
	file, err := os.ReadFile("testdata/clip.flv")
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtmptest.NewClip(file, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clip makes a clip of two seconds with ffmpeg.
func clip(t testing.TB, s rtmptest.Spec) *rtmptest.Clip {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is missing; install it: apt-get install ffmpeg")
	}
	if s.Seconds == 0 {
		s.Seconds = 2
	}
	c, err := rtmptest.MakeClip(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
