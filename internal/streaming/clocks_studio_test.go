package streaming

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// studio is a broadcast without the service around it, which has sockets and a
// database: so the hours of a test can be simulated.
type studio struct {
	t        *testing.T
	store    blob.Store
	audio    cmaf.AudioConfig
	stream   *live.Stream
	recorder *recorder.Recorder
	quit     chan struct{}
	ticks    sync.WaitGroup
	isFlash  func(sample []byte) bool
	isBeep   func(sample []byte) bool
	scene    *scene
	onset    float64 // from the sample that isBeep knows to the tone, in seconds

	mu    sync.Mutex
	found findings
	ended int64             // ticks of 90 kHz that are complete
	parts map[string]uint64 // by what the next sample of a track begins at
}

// findings is what was seen in the live segments, in seconds of the stream.
type findings struct {
	flashes, beeps []float64
	// early is flashes that were the first picture after a loss whose last picture
	// had been published already: they stand from there on.
	early int
	dates []dated
}

// dated is a segment's PROGRAM-DATE-TIME.
type dated struct {
	at    float64
	start time.Time
}

const recordedAt = "c/st-1"

// open makes the stream with its first publisher.
func (s *studio) open(audio *cmaf.AudioConfig) {
	s.audio = *audio
	s.recorder = recorder.New(recorder.Config{
		Store: s.store, Prefix: recordedAt, Rung: live.Source, Log: slog.New(slog.DiscardHandler),
		OnError: func(err error) { s.t.Error(err) },
		OnLost:  func(recorder.Segment) { s.t.Error("a segment was not stored") },
	})
	s.stream = live.New(live.Config{
		ID: "st-1", Channel: "c", PartTarget: 220 * time.Millisecond, Audio: audio, Log: slog.New(slog.DiscardHandler),
		OnInit: func(_ string, epoch int64, version int, data []byte) { s.recorder.Init(epoch, version, data) },
		OnSegment: func(_ string, seg *live.Segment) {
			s.recorder.Segment(facts(seg), seg.Data())
			s.look(seg)
		},
	})
	s.quit = make(chan struct{})
	s.ticks.Go(func() {
		t := time.NewTicker(live.TickEvery)
		defer t.Stop()
		for {
			select {
			case now := <-t.C:
				s.stream.Tick(now)
			case <-s.quit:
				return
			}
		}
	})
}

// close ends the broadcast.
func (s *studio) close() {
	close(s.quit)
	s.ticks.Wait()
	s.stream.End()
	if sum := s.recorder.Finish(context.Background()); sum.Lost+sum.Left > 0 {
		s.t.Errorf("%+v", sum)
	}
}

// action begins the next publisher's take.
func (s *studio) action() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scene.takes = append(s.scene.takes, take{origin: float64(s.ended) / cmaf.VideoTimescale})
}

// Begin lets the next publisher in.
func (s *studio) Begin(_ context.Context, o ingest.Offer, p ingest.Publisher) (ingest.Session, error) {
	if s.stream == nil {
		s.open(o.Audio)
	}
	x := s.stream.Attach(live.SessionConfig{Epoch: 1, Audio: o.Audio, RequestKeyFrame: p.RequestKeyFrame}, time.Now())
	return studioSession{x, o.Video[0]}, nil
}

// studioSession is a publisher's.
type studioSession struct {
	*live.Session
	codec cmaf.VideoCodec
}

func (s studioSession) Codec() cmaf.VideoCodec  { return s.codec }
func (s studioSession) Received(int, time.Time) {}
func (s studioSession) Dropped(int)             {}
func (s studioSession) Leave(bool, string)      { s.Detach(time.Now()) }

// look finds flashes and beeps in a segment as players get it, and that both
// tracks go on where they ended.
func (s *studio) look(seg *live.Segment) {
	data := bytes.Join(seg.Data(), nil)
	fragments, err := cmaf.ReadSegment(bytes.NewReader(data))
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found.dates = append(s.found.dates, dated{float64(s.ended) / cmaf.VideoTimescale, seg.Start})
	s.ended += seg.Ticks
	for _, f := range fragments {
		for _, x := range s.search("video", f.Video, cmaf.VideoTimescale, data, s.isFlash) {
			if x.length > 0.1 {
				s.found.early++
				continue
			}
			s.found.flashes = append(s.found.flashes, x.at)
		}
		for _, x := range s.search("audio", f.Audio, s.audio.Timescale(), data, s.isBeep) {
			s.found.beeps = append(s.found.beeps, x.at)
		}
	}
}

// shown is when a sample plays, and for how long, in seconds.
type shown struct{ at, length float64 }

func (s *studio) search(track string, run *cmaf.RunInfo, timescale uint32, data []byte, is func([]byte) bool) []shown {
	if run == nil {
		return nil
	}
	if next, ok := s.parts[track]; ok && run.BaseTime != next {
		s.t.Errorf("the %s goes on at %d, it ended at %d", track, run.BaseTime, next)
	}
	var found []shown
	at := run.BaseTime
	for _, sample := range run.Samples {
		if is(data[sample.Offset : sample.Offset+int64(sample.Size)]) {
			found = append(found, shown{
				(float64(at) + float64(sample.CompositionOffset)) / float64(timescale), float64(sample.Duration) / float64(timescale),
			})
		}
		at += uint64(sample.Duration)
	}
	s.parts[track] = at
	return found
}
