package live

import (
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// SessionConfig is a publisher of the stream.
type SessionConfig struct {
	// Epoch is in the names of the segments to come. It is never lower than the
	// one before.
	Epoch int64
	// Audio is the publisher's audio track, nil for none. Where it is not that of
	// the stream, AudioVia makes it so.
	Audio *cmaf.AudioConfig
	// VideoVia and AudioVia, where not nil, are the sidecars that the frames go
	// through. What they make comes back by PutVideo and PutAudio.
	VideoVia, AudioVia frame.Tap
	// RequestKeyFrame asks the publisher for a key frame. It must not block.
	RequestKeyFrame func()
}

// Session is a publisher while it is there. Its frames may come from several
// goroutines. Once another session has begun, it has no effect any more.
type Session struct {
	cfg      SessionConfig
	stream   *Stream
	timeline *timeline
	keys     keyRequests
	warned   onceASecond
	health   health
}

// Attach lets a publisher in, instead of the one before.
func (s *Stream) Attach(cfg SessionConfig, now time.Time) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packager.now = now
	s.detach()
	p := s.packager
	session := &Session{cfg: cfg, stream: s, timeline: newTimeline(now, max(p.videoEnd, p.end90), cfg.Audio)}
	if p.next != cfg.Epoch {
		p.next, p.config = cfg.Epoch, nil
		for _, w := range s.windows {
			w.setEpoch(cfg.Epoch)
		}
	}
	if !s.ended {
		s.session = session
	}
	return session
}

// Detach says that the publisher is gone: the open segment is completed.
func (x *Session) Detach(now time.Time) {
	s := x.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == x {
		s.packager.now = now
		s.detach()
	}
}

func (s *Stream) detach() {
	if s.session == nil {
		return
	}
	s.session = nil
	s.packager.interrupt()
	s.interrupted()
}

// lock reports whether the session still has effect, with the stream locked.
func (x *Session) lock(now time.Time) (unlock func(), ok bool) {
	s := x.stream
	s.mu.Lock()
	if s.session != x {
		s.mu.Unlock()
		return nil, false
	}
	s.packager.now = now
	return s.mu.Unlock, true
}

// Video takes the next access unit, in decoding order. The stream keeps Data.
func (x *Session) Video(f frame.Video) {
	unlock, ok := x.lock(f.Arrival)
	if !ok {
		return
	}
	defer unlock()
	x.takeVideo(f)
	x.tick(f.Arrival)
}

func (x *Session) takeVideo(f frame.Video) {
	switch {
	case !f.Key:
	case x.usable(f):
		x.keys.arrived(f.Arrival)
		x.health.key(f.Arrival)
	default: // what follows it is of no use either
		x.lose(f.Arrival)
	}
	x.health.frame(f)
	if x.keys.missing() {
		x.timeline.noteVideo(f.Timestamp, f.Arrival)
		return
	}
	at, waiting := x.timeline.video(f)
	x.skipped()
	if waiting {
		x.started(f.Arrival)
		return
	}
	x.place(f, at)
}

// place hands on a frame whose place is known.
func (x *Session) place(f frame.Video, at int64) {
	if x.cfg.VideoVia != nil {
		x.cfg.VideoVia.Video(f, at)
		return
	}
	x.put(f, at)
}

func (x *Session) put(f frame.Video, at int64) {
	s := x.stream
	s.packager.video(f, at, x.timeline.wall(at))
	s.source.video(f, at)
}

// PutVideo takes a picture of a sidecar's that the frames go through.
func (x *Session) PutVideo(f frame.Video, at int64, now time.Time) {
	if unlock, ok := x.lock(now); ok {
		defer unlock()
		if f.Config != nil || !f.Key {
			x.put(f, at)
		}
	}
}

// Audio takes the next packet. The stream keeps Data.
func (x *Session) Audio(f frame.Audio) {
	unlock, ok := x.lock(f.Arrival)
	if !ok {
		return
	}
	defer unlock()
	x.takeAudio(f)
	x.tick(f.Arrival)
}

func (x *Session) takeAudio(f frame.Audio) {
	if x.cfg.Audio == nil || x.stream.cfg.Audio == nil {
		return
	}
	samples, err := samplesOf(*x.cfg.Audio, f.Data)
	if err != nil {
		return // nothing could play it; the gap is filled
	}
	place := x.timeline.audio(f.Timestamp, f.Arrival)
	x.skipped()
	x.started(f.Arrival)
	at, ok := place()
	switch {
	case !ok:
	case x.cfg.AudioVia != nil:
		x.cfg.AudioVia.Audio(f, at)
	default:
		x.putAudio(f, at, samples)
	}
}

// skipped marks time that was taken out of the stream, in which the publisher
// sent nothing: dates jump there.
func (x *Session) skipped() {
	if x.timeline.skipped {
		x.timeline.skipped = false
		x.stream.packager.discontinuity = true
	}
}

func (x *Session) putAudio(f frame.Audio, at, samples int64) {
	s := x.stream
	s.packager.sound.add(at, samples, f.Data)
	s.fanOf(s.cfg.Audio.Codec).audio(f, at)
}

// PutAudio takes a frame of a sidecar's that the audio goes through.
func (x *Session) PutAudio(f frame.Audio, at int64, now time.Time) {
	unlock, ok := x.lock(now)
	if !ok {
		return
	}
	defer unlock()
	if samples, err := samplesOf(*x.stream.cfg.Audio, f.Data); err == nil {
		x.putAudio(f, at, samples)
	}
}

// usable says whether it is known how to decode a key frame.
func (x *Session) usable(f frame.Video) bool {
	if f.Config == nil && x.warned.due(f.Arrival) {
		x.stream.cfg.Log.Warn("the publisher's key frames come without usable parameters", "stream", x.stream.cfg.ID)
	}
	return f.Config != nil
}

// started packages the key frame that has waited for the first audio.
func (x *Session) started(now time.Time) {
	for _, held := range x.timeline.release(now) {
		x.place(held.frame, held.at)
	}
}

// VideoReport takes a sender report of the video track.
func (x *Session) VideoReport(r frame.Report) { x.report(&x.timeline.videoClock, r) }

// AudioReport takes a sender report of the audio track.
func (x *Session) AudioReport(r frame.Report) { x.report(&x.timeline.audioClock, r) }

func (x *Session) report(c *rtpClock, r frame.Report) {
	x.stream.mu.Lock()
	defer x.stream.mu.Unlock()
	c.report(r)
}

// Lost says that video is missing. What comes is dropped until the next key
// frame, which is asked for at once.
func (x *Session) Lost(now time.Time) {
	unlock, ok := x.lock(now)
	if !ok {
		return
	}
	defer unlock()
	x.lose(now)
}

func (x *Session) lose(now time.Time) {
	if x.keys.lost(now) {
		x.cfg.RequestKeyFrame()
	}
}

// tick does what is due at a time. While media comes, that is what tells the
// time: a timer's wake-ups cost more than the frames' work.
func (x *Session) tick(now time.Time) {
	if x.keys.due(now) {
		x.cfg.RequestKeyFrame()
	}
	x.started(now)
	if at, running := x.timeline.now(now); running {
		x.stream.packager.overdue(at)
	}
}

// RequestKeyFrame asks the publisher for a key frame, for somebody who joined.
func (s *Stream) RequestKeyFrame() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		s.session.cfg.RequestKeyFrame()
	}
}
