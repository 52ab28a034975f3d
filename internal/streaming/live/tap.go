package live

import (
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// Tapped is a tap on a stream.
type Tapped struct {
	stream       *Stream
	tap          frame.Tap
	video, audio *fan
}

// Tap lets t hear the video of a rung, from its current group of pictures on,
// and the audio of a codec: the source's, or what a sidecar makes of it. An
// empty rung and a codec of 0 are none.
func (s *Stream) Tap(rung string, audio cmaf.AudioCodec, t frame.Tap) *Tapped {
	s.mu.Lock()
	defer s.mu.Unlock()
	tapped := &Tapped{stream: s, tap: t}
	if s.ended {
		t.End()
		return tapped
	}
	switch f := s.rungs[rung]; {
	case rung == Source:
		tapped.video = &s.source
	case f != nil:
		tapped.video = &f.fan
	}
	if tapped.video != nil {
		tapped.video.join(t)
	}
	if audio != 0 {
		tapped.audio = s.fanOf(audio)
		tapped.audio.taps = append(tapped.audio.taps, t)
	}
	s.taps = append(s.taps, tapped)
	return tapped
}

// Stop ends it. The tap hears no more when it returns.
func (t *Tapped) Stop() {
	t.stream.mu.Lock()
	defer t.stream.mu.Unlock()
	for _, f := range []*fan{t.video, t.audio} {
		if f != nil {
			f.leave(t.tap)
		}
	}
	if i := slices.Index(t.stream.taps, t); i >= 0 {
		t.stream.taps = slices.Delete(t.stream.taps, i, i+1)
	}
}

// fanOf returns the fan of the audio of a codec.
func (s *Stream) fanOf(codec cmaf.AudioCodec) *fan {
	f := s.sounds[codec]
	if f == nil {
		f = &fan{}
		s.sounds[codec] = f
	}
	return f
}

// interrupted tells all taps that the publisher was away.
func (s *Stream) interrupted() {
	s.source.forget()
	for _, r := range s.rungs {
		r.fan.forget()
	}
	for _, t := range s.taps {
		t.tap.Break()
	}
}
