package live

import (
	"math"
	"slices"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// rungPatience is how long the first multivariant playlist waits for renditions
// that sidecars make, after the source rung is there.
const rungPatience = 1500 * time.Millisecond

// GROUP-IDs of audio. The rungs' own is declared, without a URI, where there is
// another: hls.js takes a set without a group for one without stereo sound, and
// would never begin with it. Both have a rendition of the same name (the draft,
// 4.4.6.1.1).
const (
	ownGroup   = "own"
	aacGroup   = "aac"
	audioTitle = "Audio"
)

// offered is the renditions that the stream's multivariant playlist names. They
// are fixed when it is first served: players read it once.
type offered struct {
	source *window
	rungs  []*window // the source among them, the best one first
	audio  *window   // AAC, nil for none
}

// master returns the multivariant playlist. AAC alone: for players that play no
// Opus. Nil before it is known.
func (s *Stream) master(aacOnly bool, now time.Time) *hls.Multivariant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offered == nil && !s.decide(now) {
		return nil
	}
	m := &hls.Multivariant{} // that segments are independent is said in each playlist
	if o := s.offered; o.audio == nil || !aacOnly {
		if o.audio != nil {
			m.Renditions = append(m.Renditions, hls.Rendition{
				GroupID: ownGroup, Name: audioTitle, Default: true, Channels: s.cfg.Audio.Channels,
			})
		}
		m.Variants = s.variants(o.rungs, muxed)
	}
	if a := s.offered.audio; a != nil {
		m.Renditions = append(m.Renditions, hls.Rendition{
			GroupID: aacGroup, Name: audioTitle, Default: true, Channels: s.cfg.AAC.Channels,
			URI: s.cfg.ID + "/" + a.rung + "/media.m3u8",
		})
		m.Variants = append(m.Variants, s.variants(s.offered.rungs, videoOnly)...)
	}
	return m
}

// decide fixes what is offered: once the source has a segment and all others
// have begun, or have had their time.
func (s *Stream) decide(now time.Time) bool {
	source := s.packager.window
	if !source.playable() {
		return false
	}
	if s.sourceReady.IsZero() {
		s.sourceReady = now
	}
	waiting := now.Sub(s.sourceReady) < rungPatience && !s.ended
	o := &offered{source: source, rungs: []*window{source}}
	for _, f := range s.packager.followers {
		w := f.out().window
		switch {
		case w.out.Load():
		case !w.playable():
			if waiting {
				return false
			}
		case w.hasVideo:
			o.rungs = append(o.rungs, w)
		default:
			o.audio = w
		}
	}
	s.offered = o
	for _, f := range s.packager.followers {
		if w := f.out().window; !w.out.Load() && w != o.audio && !slices.Contains(o.rungs, w) {
			f.giveUp()
		}
	}
	return true
}

// playable says whether a complete segment with media is there.
func (w *window) playable() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.peak > 0 && w.aligned
}

// variants describes a view of all rungs, the best one first. Players rank those
// of one size by their bitrates. While a browser climbs, the source may have fewer
// bits than a rung that was made of it: it is told to have more, as it will.
func (s *Stream) variants(rungs []*window, v view) []hls.Variant {
	all := make([]hls.Variant, len(rungs))
	for i, w := range slices.Backward(rungs) {
		all[i] = s.variant(w, v)
		if i+1 < len(rungs) {
			all[i].Bandwidth = max(all[i].Bandwidth, all[i+1].Bandwidth+1)
			all[i].AverageBandwidth = max(all[i].AverageBandwidth, all[i+1].AverageBandwidth+1)
		}
	}
	return all
}

// variant describes a view of a rung.
func (s *Stream) variant(w *window, v view) hls.Variant {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := hls.Variant{
		URI: s.cfg.ID + "/" + v.directory(w.rung) + "/media.m3u8", Codecs: slices.Clone(w.formats.Video),
		Width: w.formats.Width, Height: w.formats.Height,
	}
	audio := s.cfg.Audio
	switch {
	case v == videoOnly:
		audio, out.AudioGroup = s.cfg.AAC, aacGroup
	case s.offered.audio != nil:
		out.AudioGroup = ownGroup
	}
	if audio != nil {
		out.Codecs = append(out.Codecs, audio.CodecString())
	}
	out.FrameRate = math.Round(2*ticksPerSecond/float64(max(w.interval, 1))) / 2
	// A browser begins low and climbs; the playlist is read once. So it names
	// what the picture size may come to.
	out.Bandwidth = int(max(w.peak*5/4, int64(out.Width)*int64(out.Height)*3, 500_000))
	out.AverageBandwidth = int(w.average())
	return out
}
