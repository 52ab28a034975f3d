package live

import (
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// dvrText is the rendered playlist of all segments of a view. A broadcast of
// hours has thousands: what has not changed is kept.
type dvrText struct {
	mu      sync.Mutex
	entries []hls.Segment
	losses  int // of the window, as of entries
	ended   bool
	body    *body
}

// dvr returns the playlist of everything since the broadcast's beginning: whole
// segments, no parts. Nil before there is one.
func (w *window) dvr(v view) *body {
	text := &w.dvrs[v]
	text.mu.Lock()
	defer text.mu.Unlock()
	if m := w.event(text, v); m != nil {
		b := compress(m.AppendTo(nil))
		text.body = &b
	}
	return text.body
}

// event brings a text's entries up to date, and returns the playlist if it has
// changed.
func (w *window) event(text *dvrText, v view) *hls.Media {
	w.mu.RLock()
	defer w.mu.RUnlock()
	all := w.segments
	if n := len(all); n > 0 && !all[n-1].complete {
		all = all[:n-1]
	}
	if len(all) == 0 || len(all) == len(text.entries) && text.ended == w.ended && text.losses == w.losses {
		return nil
	}
	if text.losses != w.losses {
		text.entries = nil
	}
	for _, s := range all[len(text.entries):] {
		text.entries = append(text.entries, s.entry(v, false))
	}
	text.losses, text.ended = w.losses, w.ended
	return &hls.Media{
		Type: hls.Event, TargetDuration: int(TargetDuration.Seconds()), MediaSequence: all[0].MSN,
		IndependentSegments: !w.unaligned, Ended: w.ended, Segments: text.entries,
	}
}

// dvrMaster returns the multivariant playlist of it.
func (s *Stream) dvrMaster(m *hls.Multivariant) *hls.Multivariant {
	prefix := len(s.cfg.ID) + 1 // it lies in the stream's own folder
	relative := func(uri string) string { return uri[prefix:len(uri)-len("media.m3u8")] + "dvr.m3u8" }
	out := &hls.Multivariant{IndependentSegments: m.IndependentSegments}
	for _, r := range m.Renditions {
		if r.URI != "" {
			r.URI = relative(r.URI)
		}
		out.Renditions = append(out.Renditions, r)
	}
	for _, v := range m.Variants {
		v.URI = relative(v.URI)
		out.Variants = append(out.Variants, v)
	}
	return out
}
