package live

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// sender sends pictures, 30 a second, and sound to a stream.
type sender struct {
	testStream
	now time.Time
	at  time.Duration // since the beginning
}

// send sends for a while, with a key frame every gop pictures and at the start;
// gop 0 sends no picture. Without sound nothing is sent then.
func (s *sender) send(length time.Duration, gop int, sound bool) {
	for i := range int(length / (10 * time.Millisecond)) {
		now := s.now.Add(s.at)
		if sound && i%2 == 0 {
			s.Session.Audio(frame.Audio{Data: []byte{0xfc, 1, 2}, Timestamp: uint32(s.at / 10_000_000 * 480), Arrival: now})
		}
		if picture := i / 10 * 3; gop > 0 && (i%10 == 0 || i%10 == 3 || i%10 == 7) {
			picture += i % 10 / 3
			f := frame.Video{Data: []byte{0, 0, 0, 2, 0x41, 0}, Timestamp: uint32(s.at / 10_000_000 * 900), Arrival: now}
			if picture%gop == 0 {
				f.Key, f.Config, f.Data = true, avc(spsSmall), []byte{0, 0, 0, 2, 0x65, 0}
			}
			s.Session.Video(f)
		}
		if i%5 == 0 {
			s.Tick(now)
		}
		s.at += 10 * time.Millisecond
	}
}

// check reads the playlist strictly, and returns how much it lists and how much
// there is in all.
func (s *sender) check(t *testing.T) (listed, all time.Duration) {
	t.Helper()
	playlist := s.window.state.playlist(muxed, false).plain
	var findings hlstest.Findings
	if err := hlstest.CheckMedia(playlist); errors.As(err, &findings) {
		for _, f := range findings {
			// Nothing is independent, where no key frame comes.
			if f.Rule != "part-independent" && f.Rule != "part-first" {
				t.Errorf("%s", f)
			}
		}
	}
	for _, seg := range s.window.list() {
		listed += duration(seg.length())
	}
	for _, seg := range s.window.segments {
		all += duration(seg.length())
	}
	return listed, all
}

// TestHours: an hour of nothing, of sound alone before the first picture, and of
// sound alone after it. What is kept stays small, and pictures are taken after it.
func TestHours(t *testing.T) {
	const hour = time.Hour
	for name, tt := range map[string]struct {
		first, sound bool
		want         time.Duration // of media in all
	}{
		"nothing":                   {want: 10 * time.Second},
		"nothing, after a start":    {first: true, want: 20 * time.Second},
		"sound alone":               {sound: true, want: 10 * time.Second},
		"sound alone after a start": {first: true, sound: true, want: 20*time.Second + hour},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Unix(1_700_000_000, 0)
			stream, _ := newTestStream(true, begin)
			s := &sender{testStream: stream, now: begin}
			if tt.first {
				s.send(10*time.Second, 60, true)
			}
			s.send(hour, 0, tt.sound)
			if n := len(s.packager.sound.frames); n > (maxSoundQueue+1)*50 {
				t.Errorf("%d packets of sound wait", n)
			}
			if n := len(s.Session.timeline.held); n > maxHeld {
				t.Errorf("%d pictures are held", n)
			}
			s.send(10*time.Second, 60, true)
			listed, all := s.check(t)
			if listed > 45*time.Second || s.window.bytes > 1<<20 {
				t.Errorf("%s are listed, %d bytes kept", listed, s.window.bytes)
			}
			if diff := all - tt.want; diff < -time.Second || diff > time.Second {
				t.Errorf("there are %s, not %s", all, tt.want)
			}
		})
	}
}

// TestHardlyAnyPicture: a picture every 2 s is one broadcast without holes.
func TestHardlyAnyPicture(t *testing.T) {
	sc := scenario{rate: 0.5, gop: 1, length: 20 * time.Second}
	_, r := sc.run(t)
	video, audio := checkSamples(t, r)
	if video < 17*time.Second || video > 19*time.Second || audio < 19*time.Second || audio > 20*time.Second {
		t.Errorf("the pictures last %s, the sound %s", video, audio)
	}
}

// TestLongGOPIsMended: that players start late is told while key frames are too
// far apart, not for ever.
func TestLongGOPIsMended(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	stream, _ := newTestStream(true, begin)
	s := &sender{testStream: stream, now: begin}
	long := func() bool { return s.Health(begin.Add(s.at)).LongGOP }
	s.send(3*time.Second, 60, true)
	if long() {
		t.Error("a good encoder is blamed")
	}
	s.send(9*time.Second, 270, true)
	if !long() {
		t.Error("9 s without a key frame are not noticed")
	}
	s.send(6*time.Second, 60, true)
	if long() {
		t.Error("an encoder that was mended is blamed")
	}
	if s.window.state.media[muxed].IndependentSegments {
		t.Error("the playlist changes its mind")
	}
	s.send(9*time.Second, 270, true)
	again := s.Attach(SessionConfig{Epoch: 7, Audio: testOpus, RequestKeyFrame: func() {}}, begin.Add(s.at))
	if again.Health(begin.Add(s.at)).LongGOP {
		t.Error("the next publisher is blamed for the one before")
	}
}

// TestThousandViewers: as many players join at the same moment, and wait for the
// next part. All get the same playlist, rendered once, and none is left behind.
func TestThousandViewers(t *testing.T) {
	const viewers = 1000
	before := runtime.NumGoroutine()
	begin := time.Unix(1_700_000_000, 0)
	stream, _ := newTestStream(true, begin)
	s := &sender{testStream: stream, now: begin}
	s.send(10*time.Second, 60, true)
	media := &s.window.state.media[muxed]
	last := media.Segments[len(media.Segments)-1]
	next := "media.m3u8?_HLS_msn=" + strconv.Itoa(int(media.MediaSequence)+len(media.Segments)-1) + "&_HLS_part=" + strconv.Itoa(len(last.Parts))
	rendered := s.Rendered()

	o := Origin{Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.Serve(w, r, s.Stream, Source, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: viewers}}
	bodies := make([]string, viewers)
	var joining sync.WaitGroup
	for i := range viewers {
		joining.Go(func() {
			resp, err := client.Get(server.URL + "/" + next)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%d %v", resp.StatusCode, err)
			}
			bodies[i] = string(body)
		})
	}
	for s.window.holding.Load() < viewers && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	s.send(200*time.Millisecond, 60, true)
	joining.Wait()
	for _, b := range bodies {
		if b != bodies[0] || !strings.Contains(b, "#EXT-X-PART:") {
			t.Fatalf("some get another playlist:\n%s\n%s", bodies[0], b)
		}
	}
	if n := s.Rendered() - rendered; n > 2 {
		t.Errorf("it was rendered %d times", n)
	}
	client.CloseIdleConnections()
	server.Close()
	if n := s.window.holding.Load(); n != 0 {
		t.Errorf("%d are still held", n)
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before+5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
