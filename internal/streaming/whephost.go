package streaming

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep"
)

// Find returns the live stream of a channel for viewers over WebRTC.
func (s *Service) Find(_ context.Context, channel string) (whep.Stream, error) {
	b := s.broadcastOf(channel)
	if b == nil {
		return nil, errs.New(errs.NotFound, "the channel is not live")
	}
	return watched{b}, nil
}

// watched is a broadcast as WHEP sees it.
type watched struct{ *broadcast }

// ID is the stream's.
func (w watched) ID() string { return w.id }

// Rungs are the source and those below it.
func (w watched) Rungs() []whep.Rung {
	infos := w.stream.Rungs()
	rungs := make([]whep.Rung, len(infos))
	for i, r := range infos {
		rungs[i] = whep.Rung{
			Name: r.Name, Width: r.Width, Height: r.Height, Bitrate: r.Bitrate,
			Source: rungSource{w.broadcast, r.Name},
		}
	}
	return rungs
}

// Audio is Opus, or none.
func (w watched) Audio() *cmaf.AudioConfig {
	if opus := w.sidecars.opus(); opus != nil {
		return opus
	}
	return w.audio
}

// RequestKeyFrame asks the publisher.
func (w watched) RequestKeyFrame() { w.stream.RequestKeyFrame() }

// rungSource gives the media of a rung.
type rungSource struct {
	broadcast *broadcast
	rung      string
}

// Video is nil until the first key frame.
func (r rungSource) Video() *cmaf.VideoConfig { return r.broadcast.stream.Config(r.rung) }

// Tap lets a viewer hear the rung.
func (r rungSource) Tap(t frame.Tap) (stop func()) {
	var audio cmaf.AudioCodec
	if r.broadcast.sidecars.opus() != nil {
		audio = cmaf.Opus
	}
	return r.broadcast.stream.Tap(r.rung, audio, t).Stop
}
