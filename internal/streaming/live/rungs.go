package live

import (
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// RungInfo is one quality of the picture.
type RungInfo struct {
	Name          string
	Width, Height int
	Bitrate       int64 // bits per second of the busiest segment; 0 before the first
	Dead          bool  // its sidecar brought nothing in time
}

// Rungs lists the qualities of the picture, the source first.
func (s *Stream) Rungs() []RungInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := []RungInfo{s.packager.info(false)}
	for _, f := range s.packager.followers {
		if o := f.out(); o.window.hasVideo {
			infos = append(infos, o.info(o.window.out.Load()))
		}
	}
	return infos
}

func (o *output) info(dead bool) RungInfo {
	o.window.mu.RLock()
	defer o.window.mu.RUnlock()
	r := RungInfo{Name: o.rung, Bitrate: o.window.peak, Dead: dead}
	if o.latest != nil {
		r.Width, r.Height = o.latest.Width, o.latest.Height
	}
	return r
}

// Config returns what decodes a rung's pictures now, nil before the first.
func (s *Stream) Config(rung string) *cmaf.VideoConfig {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rung == Source {
		return s.packager.latest
	}
	if f := s.rungs[rung]; f != nil {
		if f.latest == nil && len(f.fan.gop) > 0 {
			return f.fan.gop[0].frame.Config
		}
		return f.latest
	}
	return nil
}

// Rendered counts the media playlists that were rendered: each once for every
// state and view, full and delta.
func (s *Stream) Rendered() int64 {
	var n int64
	for _, w := range s.windows {
		n += w.renderings.Load()
	}
	return n
}
