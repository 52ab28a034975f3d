package whep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

const waitTime = 30 * time.Second

var small = streamtest.Picture{Width: 320, Height: 180, Bitrate: 300_000}

// fail answers as the gateway does.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := map[errs.Code]int{
		errs.Invalid: 400, errs.NotFound: 404, errs.Unsupported: 422, errs.Unavailable: 503,
	}[errs.CodeOf(err)]
	if status == 0 {
		status = 500
	}
	rtc.Problem(w, status, errs.MessageOf(err), nil)
}

// serve makes a server of a host, with an address to post to.
func serve(t testing.TB, host Host, c Config, adjust func(*limits)) (*Server, string) {
	t.Helper()
	engine, err := rtc.New(rtc.Network{UDP: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, engine, host, c, adjust)
}

// serveOn is serve on ports that are open already.
func serveOn(t testing.TB, engine *rtc.Engine, host Host, c Config, adjust func(*limits)) (*Server, string) {
	t.Helper()
	s, err := New(engine, host, c, fail, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if adjust != nil {
		adjust(&s.limits)
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		web.Close()
		s.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, web.URL + "/whep/c"
}

// watch makes a viewer that ends with the test.
func watch(t testing.TB, endpoint string, o wheptest.Options) *wheptest.Viewer {
	t.Helper()
	v, err := wheptest.Watch(context.Background(), endpoint, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func wait(t testing.TB, v *wheptest.Viewer, wanted func(wheptest.Stats) bool) wheptest.Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTime)
	defer cancel()
	if err := v.Wait(ctx, wanted); err != nil {
		t.Fatal(err)
	}
	return v.Stats()
}

// eventually waits for a state that nobody tells of.
func eventually(t testing.TB, what string, state func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitTime)
	for !state() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestWatch(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, small, 2))
	stream.play(t)
	s, endpoint := serve(t, stream, Config{ICEServers: []webrtc.ICEServer{{URLs: []string{"stun:stun.example.net"}}}}, nil)
	v := watch(t, endpoint, wheptest.Options{})
	if got := v.Header().Get("Link"); got != `<stun:stun.example.net>; rel="ice-server"` {
		t.Errorf("Link is %q", got)
	}
	for _, want := range []string{"H264/90000", "packetization-mode=1;profile-level-id=42e01f", "rtx/90000", "opus/48000/2", "transport-cc", "a=sendonly", "a=setup:passive", "ssrc-group:FID"} {
		if !strings.Contains(v.Answer(), want) {
			t.Errorf("the answer lacks %q", want)
		}
	}
	for _, bad := range []string{"packetization-mode=0", "profile-level-id=64", "a=recvonly", "a=sendrecv"} {
		if strings.Contains(v.Answer(), bad) {
			t.Errorf("the answer has %q", bad)
		}
	}
	if t.Failed() {
		t.Log(v.Answer())
	}
	stats := wait(t, v, func(s wheptest.Stats) bool {
		return s.Frames >= 60 && s.AudioPackets >= 60 && s.VideoReport != nil && s.AudioReport != nil
	})
	if stats.Lost > 0 || stats.KeyFrames < 2 {
		t.Errorf("%+v", stats)
	}
	if n := s.Sessions("st-1"); n != 1 {
		t.Errorf("%d sessions", n)
	}
	if err := v.Leave(context.Background()); err != nil {
		t.Error(err)
	}
	eventually(t, "the stream has no tap", func() bool { return stream.taps() == 0 && s.Sessions("st-1") == 0 })
}

// Who sends beacons is counted by them.
func TestBeacons(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, streamtest.Picture{Width: 640, Height: 360, Bitrate: 1_000_000, KeyEvery: 60}, 4))
	stream.play(t)
	s, endpoint := serve(t, stream, Config{}, nil)
	v, err := wheptest.Watch(t.Context(), endpoint+"?beacons=1", wheptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Leave(context.Background()) }() // the test is over
	wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 0 })
	if n := s.Sessions("st-1"); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// Of offers that nothing can be sent to, the answer says why and where to go.
func TestUnfit(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, small, 1))
	stream.play(t)
	s, endpoint := serve(t, stream, Config{}, nil)
	refused := func(o wheptest.Options, to string, status int, want ...string) {
		t.Helper()
		_, err := wheptest.Watch(context.Background(), to, o)
		var got *wheptest.StatusError
		if !errors.As(err, &got) || got.Status != status {
			t.Fatalf("%v", err)
		}
		for _, w := range want {
			if !strings.Contains(got.Body, w) {
				t.Errorf("%q is not in %s", w, got.Body)
			}
		}
	}
	refused(wheptest.Options{Codecs: []string{webrtc.MimeTypeVP8}}, endpoint, 406, "VP8", "H264", `"hls":"/live/c/master.m3u8"`)
	refused(wheptest.Options{}, strings.TrimSuffix(endpoint, "c")+"d", 404)
	s.config.MaxSessions = 0
	refused(wheptest.Options{}, endpoint, 503, "HLS")
	s.config.MaxSessions = 1
	stream.bFrames.Store(true)
	eventually(t, "B-frames come", func() bool {
		stream.mu.Lock()
		defer stream.mu.Unlock()
		return stream.sources[0].gop[0].frame.Offset != 0
	})
	refused(wheptest.Options{}, endpoint, 406, "B-frames", "/live/c/master.m3u8")
	http.DefaultClient.CloseIdleConnections()
}

// AAC is not sent: the audio section is there, but inactive, and the reason too.
func TestVideoOnly(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, small, 1))
	stream.opus = &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 48000, Channels: 2}
	stream.audible = false
	stream.play(t)
	_, endpoint := serve(t, stream, Config{}, nil)
	v := watch(t, endpoint, wheptest.Options{})
	if got := v.Header().Get("Warning"); !strings.Contains(got, "AAC") {
		t.Errorf("Warning is %q", got)
	}
	if !strings.Contains(v.Answer(), "a=inactive") {
		t.Error(v.Answer())
	}
	wait(t, v, func(s wheptest.Stats) bool { return s.Frames >= 10 })
}
