// Package live turns the frames of a broadcast into a live stream: it puts them
// on one timeline, packages them into CMAF parts and segments, keeps the last of
// them in memory and serves them as low-latency HLS (draft-pantos-hls-rfc8216bis).
// It knows no ingest protocol and no database.
//
// A broadcast's publishers come and go: each is a Session. What one leaves, the
// next one continues after a discontinuity. The source rung is what the
// publisher sends; sidecars may make lower rungs and an AAC rendition of it,
// which follow its cuts.
//
// The caller brings the time: every frame has its arrival, and Tick tells how
// late it is. So everything here is deterministic.
package live

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/id3"
)

// Names of the renditions that every broadcast may have.
const (
	Source = "source" // what was published
	AAC    = "aac"    // its audio for players without Opus
)

// TargetDuration is EXT-X-TARGETDURATION of live playlists.
const TargetDuration = 4 * time.Second

// Units per second of the output's times: that of H.264 over RTP.
const ticksPerSecond = cmaf.VideoTimescale

// TickEvery is how often Tick wants to be called. Media tells the time as well:
// this is for when none comes.
const TickEvery = 250 * time.Millisecond

// Config is what a stream is made of. The callbacks must not block and not call
// the stream.
type Config struct {
	ID, Channel string
	PartTarget  time.Duration
	// Audio is the audio track of the source rung and those below it, nil for none.
	Audio *cmaf.AudioConfig
	// Rungs names the lower rungs that sidecars will bring, the best one first;
	// AAC is the rendition that one will bring, nil for none.
	Rungs []string
	AAC   *cmaf.AudioConfig
	// Gone names renditions that were there before the server was restarted and
	// that nothing makes any more. Players that know them are shown gaps, of AAC
	// silence; they are offered to nobody.
	Gone []string
	// OnInit hears of every init segment before the first segment that needs
	// it, OnSegment of every complete segment, in the order of each rung.
	OnInit    func(rung string, epoch int64, version int, data []byte)
	OnSegment func(rung string, s *Segment)
	// OnPart hears of every part, by its size in bytes.
	OnPart func(rung string, size int)
	// OnRender hears of every media playlist that is rendered, full or as a delta
	// update: once for every state, view and kind that somebody wanted.
	OnRender func(delta bool)
	Log      *slog.Logger
}

// Stream is one broadcast. Its methods may be called from several goroutines.
type Stream struct {
	cfg     Config
	windows []*window // fixed by New

	mu          sync.Mutex // of what follows
	packager    *packager
	rungs       map[string]*videoFollower
	aac         *audioFollower
	session     *Session // nil while the publisher is away
	source      fan
	sounds      map[cmaf.AudioCodec]*fan
	taps        []*Tapped
	offered     *offered
	sourceReady time.Time
	ended       bool
}

// New returns a stream without a publisher.
func New(cfg Config) *Stream {
	s := &Stream{cfg: cfg, rungs: map[string]*videoFollower{}, sounds: map[cmaf.AudioCodec]*fan{}}
	split := cfg.AAC != nil
	made := func(rung string, video bool, sound *cmaf.AudioConfig) output {
		return output{cfg: &s.cfg, rung: rung, sound: sound, window: newWindow(rung, &s.cfg, video, split && video, &s.windows)}
	}
	s.packager = newPackager(made(Source, true, cfg.Audio), cfg.PartTarget)
	for _, name := range cfg.Rungs {
		f := &videoFollower{cuts: cuts{output: made(name, true, cfg.Audio)}, reached: -1}
		s.rungs[name] = f
		s.packager.followers = append(s.packager.followers, f)
	}
	for _, name := range cfg.Gone {
		if name == AAC {
			continue
		}
		f := &videoFollower{cuts: cuts{output: made(name, true, cfg.Audio), gone: true}}
		f.window.out.Store(true)
		s.packager.followers = append(s.packager.followers, f)
	}
	if cfg.AAC != nil {
		s.aac = &audioFollower{cuts: cuts{output: made(AAC, false, cfg.AAC)}, queue: soundQueue{config: *cfg.AAC}}
		s.aac.gone = slices.Contains(cfg.Gone, AAC)
		s.aac.window.out.Store(s.aac.gone)
		s.packager.followers = append(s.packager.followers, s.aac)
	}
	return s
}

// ID returns the stream's id.
func (s *Stream) ID() string { return s.cfg.ID }

// rung returns a window by its name, nil if there is none.
func (s *Stream) rung(name string) *window {
	i := slices.IndexFunc(s.windows, func(w *window) bool { return w.rung == name })
	if i < 0 {
		return nil
	}
	return s.windows[i]
}

// RungVideo takes a picture that a sidecar made of the source's at that place.
func (s *Stream) RungVideo(rung string, f frame.Video, at int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rungs[rung]; r != nil && !s.ended {
		r.push(f, at, now)
	}
}

// RungGap says that a sidecar will not bring pictures up to that place.
func (s *Stream) RungGap(rung string, to int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rungs[rung]; r != nil && !s.ended {
		r.gap(to, now)
	}
}

// MadeAudio takes a frame that a sidecar made of the source's audio: of AAC for
// the rendition, of Opus for those who tap it.
func (s *Stream) MadeAudio(codec cmaf.AudioCodec, f frame.Audio, at int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if codec == cmaf.AAC && s.aac != nil {
		s.aac.push(f, at, now)
	}
	s.fanOf(codec).audio(f, at)
}

// React puts a reaction on the stream, at the next part of every rung.
func (s *Stream) React(r id3.Reaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.packager.events.add(r)
	}
}

// Tick does what is due without a frame: key frame requests, parts whose frames
// do not come, and renditions whose sidecars are late.
func (s *Stream) Tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.packager.now = now
	if s.session != nil {
		s.session.tick(now)
	}
	for _, f := range s.packager.followers {
		f.pump(now)
	}
}

// MadeGap says that a sidecar will bring no audio up to that place.
func (s *Stream) MadeGap(codec cmaf.AudioCodec, to int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if codec == cmaf.AAC && s.aac != nil && !s.ended {
		s.aac.gap(to, now)
	}
}

// Lose notes that the object store has not taken a segment.
func (s *Stream) Lose(rung string, epoch int64, msn uint64) {
	if w := s.rung(rung); w != nil {
		w.lose(epoch, msn)
	}
}

// Release lets go of the media of a stream that has ended; its playlists stay, and
// Origin.Stored serves what they name.
func (s *Stream) Release() {
	for _, w := range s.windows {
		w.releaseAll()
	}
}

// End completes the last segment and the playlists. What comes later is dropped.
func (s *Stream) End() { s.complete((*window).end) }

// Park completes the last segment, as End does, for another process to go on:
// the playlists stay open, and requests that wait fail with errs.Unavailable.
func (s *Stream) Park() { s.complete((*window).park) }

func (s *Stream) complete(close func(*window)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.detach()
	s.ended = true
	for _, f := range s.packager.followers {
		f.pump(s.packager.now.Add(firstPatience + time.Second)) // what has not come is a gap
	}
	for _, w := range s.windows {
		close(w)
	}
	for _, t := range s.taps {
		t.tap.End()
	}
	s.taps = nil
}

// onceASecond keeps the log quiet.
type onceASecond struct{ last time.Time }

func (o *onceASecond) due(now time.Time) bool {
	if now.Sub(o.last) < time.Second {
		return false
	}
	o.last = now
	return true
}
