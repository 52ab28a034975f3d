package whep

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

const (
	frameTicks = videoClock / streamtest.FrameRate
	frameTime  = time.Second / streamtest.FrameRate
)

// clip makes a clip once for all tests.
func clip(t testing.TB, p streamtest.Picture, seconds int) *streamtest.Clip {
	t.Helper()
	c, err := streamtest.MakeClip(context.Background(), p, seconds)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clipRung plays the video of a clip again and again.
type clipRung struct {
	stream *clipStream
	frames []frame.Video
	config *cmaf.VideoConfig
	late   int // frames that it is behind the stream

	taps map[int]frame.Tap
	gop  []timedFrame
	next int // tap
}

type timedFrame struct {
	frame frame.Video
	at    int64
}

// newClipRung takes a clip's frames apart as ingest does.
func newClipRung(t testing.TB, c *streamtest.Clip) *clipRung {
	t.Helper()
	r := &clipRung{taps: map[int]frame.Tap{}}
	for _, unit := range c.Frames {
		var f frame.Video
		var sps, pps []byte
		for _, nal := range cmaf.SplitAnnexB(unit) {
			switch cmaf.NALType(nal) {
			case cmaf.NALSPS:
				sps = nal
			case cmaf.NALPPS:
				pps = nal
			case cmaf.NALIDR:
				f.Key = true
				fallthrough
			default:
				f.Data = append(f.Data, byte(len(nal)>>24), byte(len(nal)>>16), byte(len(nal)>>8), byte(len(nal)))
				f.Data = append(f.Data, nal...)
			}
		}
		if f.Key {
			config, err := cmaf.ParseAVC(sps, pps)
			if err != nil {
				t.Fatal(err)
			}
			f.Config, r.config = &config, &config
		}
		r.frames = append(r.frames, f)
	}
	return r
}

// Video is known from the beginning.
func (r *clipRung) Video() *cmaf.VideoConfig { return r.config }

// Tap plays the current pictures and adds the tap.
func (r *clipRung) Tap(t frame.Tap) func() {
	r.stream.mu.Lock()
	defer r.stream.mu.Unlock()
	for _, f := range r.gop {
		t.Video(f.frame, f.at)
	}
	n := r.next
	r.next++
	r.taps[n] = t
	return func() {
		r.stream.mu.Lock()
		defer r.stream.mu.Unlock()
		delete(r.taps, n)
	}
}

// push plays frame n.
func (r *clipRung) push(n int) {
	if n -= r.late; n < 0 {
		return
	}
	f := r.frames[n%len(r.frames)]
	f.Arrival = time.Now()
	f.Data = append(stamp(f.Arrival), f.Data...)
	at := int64(n) * frameTicks
	if r.stream.bFrames.Load() {
		f.Offset = frameTicks
	}
	if f.Key {
		r.gop = r.gop[:0]
	}
	r.gop = append(r.gop, timedFrame{f, at})
	for _, t := range r.taps {
		t.Video(f, at)
	}
}

// stamp is an SEI NAL unit that says when a frame was sent.
func stamp(now time.Time) []byte {
	text := fmt.Sprintf("%016x", now.UnixNano())
	nal := append([]byte{cmaf.NALSEI, 5, byte(16 + len(text))}, "stampstampstamp!"+text...)
	nal = append(nal, 0x80)
	return append([]byte{0, 0, 0, byte(len(nal))}, nal...)
}

// stampOf reads the stamp of an access unit as annex B; 0 if there is none.
func stampOf(unit []byte) time.Time {
	for _, nal := range cmaf.SplitAnnexB(unit) {
		if cmaf.NALType(nal) != cmaf.NALSEI || len(nal) < 36 {
			continue
		}
		b, err := hex.DecodeString(string(nal[19:35]))
		if err != nil {
			continue
		}
		var n int64
		for _, v := range b {
			n = n<<8 | int64(v)
		}
		return time.Unix(0, n)
	}
	return time.Time{}
}

// clipStream is a live stream made of clips: its host too, of one channel "c".
type clipStream struct {
	id      string
	rungs   []Rung
	sources []*clipRung
	packets [][]byte
	opus    *cmaf.AudioConfig
	asked   atomic.Int64
	bFrames atomic.Bool
	pushed  atomic.Int64
	audible bool

	mu   sync.Mutex
	stop chan struct{}
	done sync.WaitGroup
}

// newClipStream begins a stream whose rungs are those clips, from the top one
// down.
func newClipStream(t testing.TB, id string, clips ...*streamtest.Clip) *clipStream {
	t.Helper()
	s := &clipStream{id: id, stop: make(chan struct{}), packets: clips[0].Packets, audible: true}
	s.opus = &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2}
	for i, c := range clips {
		r := newClipRung(t, c)
		r.stream = s
		r.late = i * 3 // as a sidecar is
		bytes := 0
		for _, f := range r.frames {
			bytes += len(f.Data)
		}
		rate := int64(bytes) * 8 * streamtest.FrameRate / int64(len(r.frames))
		s.sources = append(s.sources, r)
		s.rungs = append(s.rungs, Rung{Name: fmt.Sprint(i), Width: c.Picture.Width, Height: c.Picture.Height, Bitrate: rate, Source: r})
	}
	return s
}

// play plays in real time until the test ends.
func (s *clipStream) play(t testing.TB) {
	s.done.Go(s.playVideo)
	if s.audible {
		s.done.Go(s.playAudio)
	}
	t.Cleanup(func() {
		close(s.stop)
		s.done.Wait()
	})
}

func (s *clipStream) playVideo() {
	start := time.Now()
	for n := 0; s.until(start.Add(time.Duration(n) * frameTime)); n++ {
		s.mu.Lock()
		for _, r := range s.sources {
			r.push(n)
		}
		s.mu.Unlock()
		s.pushed.Add(1)
	}
}

func (s *clipStream) playAudio() {
	start := time.Now()
	for n := 0; s.until(start.Add(time.Duration(n) * 20 * time.Millisecond)); n++ {
		s.mu.Lock()
		a := frame.Audio{Data: s.packets[n%len(s.packets)], Arrival: time.Now()}
		for _, r := range s.sources {
			for _, t := range r.taps {
				t.Audio(a, int64(n)*960)
			}
		}
		s.mu.Unlock()
	}
}

// until sleeps to a time; false when it was stopped before.
func (s *clipStream) until(at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// end ends the stream for its taps.
func (s *clipStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.sources {
		for _, t := range r.taps {
			t.End()
		}
	}
}

// taps is how many there are.
func (s *clipStream) taps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.sources {
		n += len(r.taps)
	}
	return n
}

// ID names the stream.
func (s *clipStream) ID() string { return s.id }

// Rungs are those of the clips.
func (s *clipStream) Rungs() []Rung { return s.rungs }

// Audio is Opus.
func (s *clipStream) Audio() *cmaf.AudioConfig { return s.opus }

// RequestKeyFrame counts and does nothing: this publisher ignores it.
func (s *clipStream) RequestKeyFrame() { s.asked.Add(1) }

// Find finds this stream.
func (s *clipStream) Find(_ context.Context, channel string) (Stream, error) {
	if channel != "c" {
		return nil, errs.New(errs.NotFound, "this channel is not live")
	}
	return s, nil
}
