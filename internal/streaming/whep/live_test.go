package whep

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
)

// seen is the units of a viewer.
type seen struct {
	mu    sync.Mutex
	units []wheptest.Unit
}

func (s *seen) add(u wheptest.Unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units = append(s.units, u)
}

// video returns the access units so far.
func (s *seen) video() []wheptest.Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []wheptest.Unit
	for _, u := range s.units {
		if u.Video {
			out = append(out, u)
		}
	}
	return out
}

// height of the last key frame that came, 0 if there is none.
func (s *seen) height() int {
	video := s.video()
	for i := len(video) - 1; i >= 0; i-- {
		if video[i].Key {
			return heightOf(video[i].Data)
		}
	}
	return 0
}

func heightOf(unit []byte) int {
	var sps, pps []byte
	for _, nal := range cmaf.SplitAnnexB(unit) {
		switch cmaf.NALType(nal) {
		case cmaf.NALSPS:
			sps = nal
		case cmaf.NALPPS:
			pps = nal
		}
	}
	c, err := cmaf.ParseAVC(sps, pps)
	if err != nil {
		return 0
	}
	return c.Height
}

// A viewer who comes late in a long group of pictures begins at once, with its
// key frame, and is live soon after, though the publisher sends no key frame.
func TestJoin(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, streamtest.Picture{Width: 640, Height: 360, Bitrate: 2_500_000, KeyEvery: 60}, 4))
	stream.play(t)
	_, endpoint := serve(t, stream, Config{}, nil)
	eventually(t, "the group of pictures is nearly over", func() bool { return stream.pushed.Load()%60 == 50 })
	var got seen
	v := watch(t, endpoint, wheptest.Options{Unit: got.add})
	stats := wait(t, v, func(s wheptest.Stats) bool { return s.KeyFrames > 0 })
	t.Logf("the first key frame was there %v after the answer", stats.FirstKey.Sub(v.Answered()))
	wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 120 })
	video := got.video()
	if !video[0].Key || !stampOf(video[0].Data).Before(v.Answered()) {
		t.Errorf("the first picture is no key frame of before: key %v", video[0].Key)
	}
	if age := video[0].Complete.Sub(stampOf(video[0].Data)); age < time.Second {
		t.Errorf("the first picture is only %v old: it did not come from memory", age)
	}
	for i := 1; i < len(video); i++ {
		if d := int32(video[i].Timestamp - video[i-1].Timestamp); d <= 0 || d > 5*frameTicks {
			t.Errorf("picture %d is %d ticks after the one before", i, d)
		}
	}
	last := video[len(video)-1]
	if lag := last.Complete.Sub(stampOf(last.Data)); lag > time.Second {
		t.Errorf("the viewer is %v behind", lag)
	}
	// A player shows pictures by their timestamps: those of the replay may take no
	// longer than they take to come.
	shown := ticks(int64(last.Timestamp-video[0].Timestamp), videoClock)
	if came := last.Complete.Sub(video[0].Complete); shown > came+300*time.Millisecond {
		t.Errorf("what came in %v is %v long", came, shown)
	}
}

func TestLoss(t *testing.T) {
	c := clip(t, streamtest.Picture{Width: 640, Height: 360, Bitrate: 2_500_000}, 2)
	for name, o := range map[string]wheptest.Options{
		"retransmissions": {DropEvery: 15},
		"plain":           {DropEvery: 15, NoFeedback: true},
	} {
		t.Run(name, func(t *testing.T) {
			stream := newClipStream(t, "st-1", c)
			stream.play(t)
			var resent atomic.Int64
			_, endpoint := serve(t, stream, Config{Metrics: Metrics{Retransmitted: func(n int) { resent.Add(int64(n)) }}}, nil)
			v := watch(t, endpoint, o)
			stats := wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 120 })
			if stats.Lost > 0 || stats.NACKs == 0 || resent.Load() == 0 {
				t.Errorf("%d lost for good, %d asked for again, %d sent again", stats.Lost, stats.NACKs, resent.Load())
			}
		})
	}
}

// A network that is too slow for the top rung gets the one below, and the top
// one again when it is fast enough.
func TestRungs(t *testing.T) {
	stream := newClipStream(t, "st-1",
		clip(t, streamtest.Picture{Width: 640, Height: 360, Bitrate: 2_500_000}, 2),
		clip(t, streamtest.Picture{Width: 320, Height: 180, Bitrate: 300_000}, 2))
	stream.play(t)
	var downs, ups atomic.Int64
	_, endpoint := serve(t, stream, Config{Metrics: Metrics{Switched: func(down bool) {
		if down {
			downs.Add(1)
		} else {
			ups.Add(1)
		}
	}}}, func(l *limits) {
		l.slowFor, l.fastFor, l.judge, l.probe = 2*time.Second, time.Second, 100*time.Millisecond, 500*time.Millisecond
	})
	var got seen
	v := watch(t, endpoint, wheptest.Options{Unit: got.add, Bandwidth: 1_000_000})
	eventually(t, "the lower rung is sent", func() bool { return got.height() == 180 })
	frames := v.Stats().Frames
	wait(t, v, func(s wheptest.Stats) bool { return s.Frames > frames+60 })
	v.SetBandwidth(0)
	eventually(t, "the top rung is sent again", func() bool { return got.height() == 360 })
	video := got.video()
	for i := 1; i < len(video); i++ {
		if d := int32(video[i].Timestamp - video[i-1].Timestamp); d <= 0 {
			t.Errorf("picture %d is %d ticks after the one before", i, d)
		}
	}
	if downs.Load() == 0 || ups.Load() == 0 {
		t.Errorf("%d times down, %d times up", downs.Load(), ups.Load())
	}
	eventually(t, "there is one tap", func() bool { return stream.taps() == 1 })
}

// A network that carries no rung ends the session, and its URL says so.
func TestTooSlow(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, streamtest.Picture{Width: 640, Height: 360, Bitrate: 2_500_000}, 2))
	stream.play(t)
	_, endpoint := serve(t, stream, Config{}, func(l *limits) { l.slowFor, l.judge = time.Second, 100*time.Millisecond })
	v := watch(t, endpoint, wheptest.Options{Bandwidth: 600_000})
	wait(t, v, func(s wheptest.Stats) bool { return s.State == webrtc.PeerConnectionStateClosed })
	gone(t, v, ReasonTooSlow)
}

// gone checks what a session's URL says when it is over.
func gone(t *testing.T, v *wheptest.Viewer, want Reason) {
	t.Helper()
	eventually(t, "the session is over", func() bool {
		status, body, err := v.Get(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusGone && (!strings.Contains(body, fmt.Sprintf(`"reason":%q`, want)) || !strings.Contains(body, "/live/c/master.m3u8")) {
			t.Fatal(body)
		}
		return status == http.StatusGone
	})
}

func TestEnds(t *testing.T) {
	c := clip(t, small, 1)
	t.Run("the stream", func(t *testing.T) {
		stream := newClipStream(t, "st-1", c)
		stream.play(t)
		_, endpoint := serve(t, stream, Config{}, nil)
		v := watch(t, endpoint, wheptest.Options{})
		wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 0 })
		if status, _, err := v.Get(context.Background()); err != nil || status != http.StatusNoContent {
			t.Errorf("%d, %v", status, err)
		}
		stream.end()
		gone(t, v, ReasonEnded)
	})
	t.Run("a viewer who vanishes", func(t *testing.T) {
		stream := newClipStream(t, "st-1", c)
		stream.play(t)
		var ended atomic.Value
		s, endpoint := serve(t, stream, Config{Metrics: Metrics{Ended: func(r Reason) { ended.Store(r) }}}, nil)
		v := watch(t, endpoint, wheptest.Options{})
		wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 0 })
		if err := v.Vanish(); err != nil {
			t.Error(err)
		}
		eventually(t, "it is noticed", func() bool { return s.Sessions("st-1") == 0 && ended.Load() == ReasonLost })
	})
	t.Run("a viewer who never comes", func(t *testing.T) {
		stream := newClipStream(t, "st-1", c)
		stream.play(t)
		s, endpoint := serve(t, stream, Config{}, func(l *limits) { l.setup = 200 * time.Millisecond })
		v, err := wheptest.Watch(context.Background(), endpoint, wheptest.Options{Bandwidth: 1})
		if err != nil {
			t.Fatal(err)
		}
		gone(t, v, ReasonLost)
		if n := s.Sessions("st-1"); n != 0 {
			t.Errorf("%d sessions", n)
		}
		if err := v.Vanish(); err != nil {
			t.Error(err)
		}
	})
	t.Run("B-frames", func(t *testing.T) {
		stream := newClipStream(t, "st-1", c)
		stream.play(t)
		_, endpoint := serve(t, stream, Config{}, nil)
		v := watch(t, endpoint, wheptest.Options{})
		wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 0 })
		stream.bFrames.Store(true)
		gone(t, v, ReasonUnsupported)
	})
}

// However often viewers ask for key frames, the publisher is asked once a second
// and pictures are replayed once a second.
func TestKeyFrameStorm(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, streamtest.Picture{Width: 320, Height: 180, Bitrate: 300_000, KeyEvery: 120}, 4))
	stream.play(t)
	_, endpoint := serve(t, stream, Config{}, nil)
	v := watch(t, endpoint, wheptest.Options{})
	wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 30 && s.AudioPackets > 0 })
	before, start := v.Stats(), time.Now()
	for range 100 {
		if err := v.RequestKeyFrame(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Millisecond)
	}
	after := wait(t, v, func(s wheptest.Stats) bool { return s.KeyFrames > before.KeyFrames })
	seconds := int64(time.Since(start)/time.Second) + 1
	if n := stream.asked.Load(); n == 0 || n > seconds {
		t.Errorf("the publisher was asked %d times in %d seconds", n, seconds)
	}
	if n := after.KeyFrames - before.KeyFrames; int64(n) > seconds+1 {
		t.Errorf("%d key frames came in %d seconds", n, seconds)
	}
	if after.Lost > 0 {
		t.Errorf("%d packets were lost", after.Lost)
	}
}

// Sender reports tie both tracks to one clock.
func TestReports(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, small, 1))
	stream.play(t)
	_, endpoint := serve(t, stream, Config{}, func(l *limits) { l.reports = 200 * time.Millisecond })
	var got seen
	v := watch(t, endpoint, wheptest.Options{Unit: got.add})
	stats := wait(t, v, func(s wheptest.Stats) bool {
		return s.Frames > 60 && s.AudioPackets > 60 && s.VideoReport != nil && s.AudioReport != nil
	})
	// The stream's video and audio begin at the same moment, so what came last of
	// both has nearly the same time by the reports.
	got.mu.Lock()
	defer got.mu.Unlock()
	var times [2]time.Duration
	for _, u := range got.units {
		if u.Video {
			times[0] = ticks(int64(int32(u.Timestamp-stats.VideoReport.RTPTime)), videoClock) + ntpTime(stats.VideoReport.NTPTime)
		} else {
			times[1] = ticks(int64(int32(u.Timestamp-stats.AudioReport.RTPTime)), audioClock) + ntpTime(stats.AudioReport.NTPTime)
		}
	}
	if d := (times[0] - times[1]).Abs(); d > 300*time.Millisecond {
		t.Errorf("video and audio of one moment are %v apart", d)
	}
	if now := time.Duration(time.Now().UnixNano()); (times[0] - now).Abs() > 5*time.Second {
		t.Errorf("the reports' clock is %v from ours", times[0]-now)
	}
}

func ntpTime(n uint64) time.Duration {
	return time.Duration(n>>32-2208988800)*time.Second + time.Duration((n&0xffffffff)*1_000_000_000>>32)
}

func TestTCP(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, small, 1))
	stream.play(t)
	engine, err := rtc.New(rtc.Network{UDP: "127.0.0.1:0", TCP: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, endpoint := serveOn(t, engine, stream, Config{}, nil)
	v := watch(t, endpoint, wheptest.Options{TCP: true})
	stats := wait(t, v, func(s wheptest.Stats) bool { return s.Frames > 60 })
	if stats.Lost > 0 {
		t.Errorf("%+v", stats)
	}
}

func TestRequests(t *testing.T) {
	stream := newClipStream(t, "st-1", clip(t, small, 1))
	stream.play(t)
	_, endpoint := serve(t, stream, Config{}, nil)
	v := watch(t, endpoint, wheptest.Options{})
	fragment := "a=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
	for name, tt := range map[string]struct {
		method, url, contentType, match, body string
		want                                  int
	}{
		"candidates":           {"PATCH", v.Location(), rtc.FragmentType, v.Header().Get("ETag"), fragment, 204},
		"no ETag":              {"PATCH", v.Location(), rtc.FragmentType, "", fragment, 428},
		"another ETag":         {"PATCH", v.Location(), rtc.FragmentType, `"x"`, fragment, 412},
		"no fragment":          {"PATCH", v.Location(), rtc.FragmentType, v.Header().Get("ETag"), "hello", 400},
		"a restart":            {"PATCH", v.Location(), rtc.FragmentType, v.Header().Get("ETag"), "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n", 422},
		"a bad candidate":      {"PATCH", v.Location(), rtc.FragmentType, v.Header().Get("ETag"), "a=mid:0\r\na=candidate:x\r\n", 400},
		"another content type": {"POST", endpoint, "text/plain", "", browserOffer, 415},
		"too large":            {"POST", endpoint, rtc.SDPType, "", strings.Repeat("x", 256<<10+1), 413},
		"no offer":             {"POST", endpoint, rtc.SDPType, "", "hello", 400},
		"an incomplete offer":  {"POST", endpoint, rtc.SDPType, "", browserOffer, 400},
		"no session":           {"GET", endpoint + "/x", "", "", "", 404},
		"preflight":            {"OPTIONS", endpoint, "", "", "", 204},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			if tt.match != "" {
				req.Header.Set("If-Match", tt.match)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.want || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
	if err := v.Leave(context.Background()); err != nil {
		t.Error(err)
	}
	gone(t, v, ReasonLeft)
}
