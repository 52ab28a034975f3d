// Package live turns the frames of one publisher into a live stream: it puts
// them on one timeline, packages them into CMAF parts and segments, keeps the
// last of them in memory and serves them as low-latency HLS
// (draft-pantos-hls-rfc8216bis). It knows no ingest protocol and no database.
//
// The caller brings the time: every frame has its arrival, and Tick tells how
// late it is. So everything here is deterministic.
package live

import (
	"log/slog"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// Rung is the name of the one quality that a stream has: what was published.
const Rung = "source"

// TargetDuration is EXT-X-TARGETDURATION of live playlists.
const TargetDuration = 4 * time.Second

// Units per second of the output's times: that of H.264 over RTP.
const ticksPerSecond = cmaf.VideoTimescale

// TickEvery is how often Tick wants to be called.
const TickEvery = 25 * time.Millisecond

// Config is what a stream is made of.
type Config struct {
	ID, Channel string
	Epoch       int64 // in the names of segments; raised by every owner of the channel
	PartTarget  time.Duration
	// Audio is the audio track, nil for a publisher without one.
	Audio *cmaf.AudioConfig
	// RequestKeyFrame asks the publisher for a key frame. It must not block.
	RequestKeyFrame func()
	// OnInit hears of every init segment before the first segment that needs
	// it, OnSegment of every complete segment, in order. They must not block.
	OnInit    func(version int, data []byte)
	OnSegment func(*Segment)
	// OnPart hears of every part, by its size in bytes.
	OnPart func(size int)
	Log    *slog.Logger
}

// Stream is one live stream. Its methods may be called from several goroutines.
type Stream struct {
	cfg Config

	mu       sync.Mutex // of what follows
	timeline *timeline
	packager *packager
	keys     keyRequests
	ended    bool
	warned   onceASecond

	window *window
}

// New returns a stream whose time begins now.
func New(cfg Config, now time.Time) *Stream {
	w := newWindow(cfg)
	return &Stream{
		cfg:      cfg,
		timeline: newTimeline(now, cfg.Audio != nil),
		packager: newPackager(cfg, w),
		window:   w,
	}
}

// ID returns the stream's id.
func (s *Stream) ID() string { return s.cfg.ID }

// Video takes the next access unit, in decoding order. The stream keeps Data.
func (s *Stream) Video(f frame.Video) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if f.Key && s.usable(f) {
		s.keys.arrived(f.Arrival)
	}
	if s.keys.missing() {
		s.timeline.noteVideo(f.Timestamp, f.Arrival)
		return
	}
	at, waiting := s.timeline.video(f)
	if waiting {
		s.started(f.Arrival)
		return
	}
	s.packager.video(f, at, s.timeline.wall(at))
}

// Audio takes the next Opus packet. The stream keeps Data.
func (s *Stream) Audio(f frame.Audio) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.cfg.Audio == nil {
		return
	}
	samples, err := opusSamples(f.Data)
	if err != nil {
		return // nothing could play it; the gap is filled
	}
	place := s.timeline.audio(f.Timestamp, f.Arrival)
	s.started(f.Arrival)
	if at, ok := place(); ok {
		s.packager.audio(at, samples, f.Data)
	}
}

// usable says whether it is known how to decode a key frame.
func (s *Stream) usable(f frame.Video) bool {
	if f.Config == nil && s.warned.due(f.Arrival) {
		s.cfg.Log.Warn("the publisher's key frames come without usable parameters", "stream", s.cfg.ID)
	}
	return f.Config != nil
}

// started packages the key frame that has waited for the first audio.
func (s *Stream) started(now time.Time) {
	for _, held := range s.timeline.release(now) {
		s.packager.video(held.frame, held.at, s.timeline.wall(held.at))
	}
}

// VideoReport takes a sender report of the video track.
func (s *Stream) VideoReport(r frame.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeline.videoClock.report(r)
}

// AudioReport takes a sender report of the audio track.
func (s *Stream) AudioReport(r frame.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeline.audioClock.report(r)
}

// Lost says that video is missing. What comes is dropped until the next key
// frame, which is asked for at once.
func (s *Stream) Lost(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && s.keys.lost(now) {
		s.cfg.RequestKeyFrame()
	}
}

// Tick does what is due without a frame: key frame requests, and parts whose
// frames do not come.
func (s *Stream) Tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.keys.due(now) {
		s.cfg.RequestKeyFrame()
	}
	s.started(now)
	if at, running := s.timeline.now(now); running {
		s.packager.overdue(at)
	}
}

// End completes the last segment and the playlist. What comes later is dropped.
func (s *Stream) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.packager.end()
	s.window.end()
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
