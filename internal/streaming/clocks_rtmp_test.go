package streaming

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

// aacFrame is the samples of a frame of AAC-LC.
const aacFrame = 1024

// encoder publishes over RTMP. It stamps both tracks by its wall clock, in ms.
type encoder struct {
	clip   *rtmptest.Clip
	rate   int // of the audio, Hz
	clocks clocks
	random *rand.Rand
	scene  *scene

	video, audio []rtmptest.Tag // of the clip
	client       *rtmptest.Client
}

// encoder is a publisher over RTMP in the studio. ffmpeg's encoder begins with a
// frame of priming, so the tone begins with the clip's second one.
func (s *studio) encoder(clip *rtmptest.Clip, rate int, c clocks) *encoder {
	e := &encoder{clip: clip, rate: rate, clocks: c, scene: s.scene, random: rand.New(rand.NewPCG(c.seed, 2))}
	for _, tag := range clip.Tags {
		if tag.Type == chunk.Video {
			e.video = append(e.video, tag)
		} else {
			e.audio = append(e.audio, tag)
		}
	}
	s.onset = aacFrame / float64(rate)
	s.isFlash = func(sample []byte) bool { return bytes.Contains(e.video[0].Data, sample) }
	s.isBeep = func(sample []byte) bool { return bytes.Equal(e.audio[0].Data[2:], sample) }
	return e
}

// pipes is a listener for connections without a network.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	quit  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.quit:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.quit) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// hearing reads from a connection as it comes, so that whoever writes to it is
// not held up: a pipe has no buffer.
type hearing struct {
	net.Conn
	heard chan []byte
	rest  []byte
}

// hear begins to read; it ends when the connection is closed.
func (h *hearing) hear() {
	defer close(h.heard)
	for {
		b := make([]byte, 4096)
		n, err := h.Conn.Read(b)
		if err != nil {
			return
		}
		h.heard <- b[:n]
	}
}

func (h *hearing) Read(b []byte) (int, error) {
	if len(h.rest) == 0 {
		var ok bool
		if h.rest, ok = <-h.heard; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

// anyKey lets everybody in.
type anyKey struct{}

func (anyKey) ChannelByKey(context.Context, string) (string, error) { return "c", nil }

// publish sends for a length of its own time.
func (e *encoder) publish(t *testing.T, s *studio, length time.Duration) {
	t.Helper()
	s.action()
	server := rtmp.New(rtmp.Config{}, anyKey{}, s, slog.New(slog.DiscardHandler))
	listener := &pipes{conns: make(chan net.Conn), quit: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	pipe, there := net.Pipe()
	listener.conns <- there
	here := &hearing{Conn: pipe, heard: make(chan []byte, 1000)}
	running.Go(here.hear)
	var err error
	if e.client, err = rtmptest.Accepted(here, "live", "key"); err != nil {
		t.Fatal(err)
	}
	for _, tag := range e.clip.Headers {
		e.tag(tag)
	}
	deliver(e.clocks, length, e.videoFlow(), e.audioFlow())
	_ = here.Close()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	running.Wait()
}

func (e *encoder) tag(tag rtmptest.Tag) {
	if err := e.client.Tag(tag); err != nil {
		panic(err)
	}
}

// route is that of one connection, which loses nothing.
func (e *encoder) route() route {
	r := newRoute(e.random)
	r.loses = false
	return r
}

// videoFlow encodes: the clip again and again.
func (e *encoder) videoFlow() *flow {
	r := e.route()
	length := sceneEvery
	return &flow{route: &r, next: func(n int) {
		tag := e.video[n%len(e.video)]
		round := float64(n / len(e.video))
		if n%len(e.video) == 0 {
			e.scene.flash(round*length + presented(tag).Seconds())
		}
		tag.Timestamp += uint32(round * length * 1000)
		at := float64(tag.Timestamp) / 1000
		r.send(at+videoEncodes, false, func() { e.tag(tag) })
	}}
}

// presented is the presentation time of a frame.
func presented(tag rtmptest.Tag) time.Duration {
	offset := int32(uint32(tag.Data[2])<<24|uint32(tag.Data[3])<<16|uint32(tag.Data[4])<<8) >> 8
	return (time.Duration(tag.Timestamp) + time.Duration(offset)) * time.Millisecond
}

// audioFlow listens: a frame is 1024 samples by the clock of the sound card. The
// tone begins a frame after the first one of the clip.
func (e *encoder) audioFlow() *flow {
	r := e.route()
	length := aacFrame / (float64(e.rate) * (1 + e.clocks.audio/1e6)) // in seconds of the wall clock
	const beepFrames, quietFrame = 10, 60
	beep := beepFrames
	next := presented(e.video[0]).Seconds()
	return &flow{route: &r, next: func(n int) {
		at := float64(n) * length
		if at+length >= next {
			e.scene.beep(at + length)
			next += sceneEvery
			beep = 0
		}
		tag := e.audio[quietFrame]
		if beep < beepFrames {
			tag = e.audio[beep]
			beep++
		}
		tag.Timestamp = uint32(at * 1000)
		r.send(at+length+audioEncodes, false, func() { e.tag(tag) })
	}}
}

// TestClocksRTMP is TestClocksWHIP for an encoder.
func TestClocksRTMP(t *testing.T) {
	t.Parallel()
	length := clocksLength(t)
	const rate = 44100
	clip, err := rtmptest.MakeClip(t.Context(), rtmptest.Spec{
		Size: "64x64", Seconds: sceneEvery, BFrames: 2, Rate: rate, Bitrate: "50k", Source: "color",
		Sound: "aevalsrc='if(lt(mod(t,4),0.1),0.5*sin(2*PI*1000*t),0)':s=44100",
		Args:  []string{"-vf", "drawbox=c=white:t=fill:enable='lt(mod(t,4),0.099)'"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]clocks{
		"sound fast, server slow": {wall: 200, audio: 200, seed: 4},
		"sound slow, server fast": {wall: -200, audio: -200, seed: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t)
			synctest.Test(t, func(t *testing.T) {
				s.encoder(clip, rate, c).publish(t, s, length+20*time.Second)
				s.close()
			})
			s.check(t, 20, length.Seconds()/2, length.Seconds())
			s.checkDates(t, c)
		})
	}
}
