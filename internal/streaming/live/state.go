package live

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// state is the playlists of a rung at one moment. Each is rendered and compressed
// once, when somebody first wants it.
type state struct {
	media    [views]hls.Media
	texts    [views]struct{ full, delta rendered }
	rendered func(delta bool) // counts renderings
	shown    bool             // players may have it
	parked   bool             // no other one comes
}

// body is a playlist as it goes out.
type body struct{ plain, gzipped []byte }

type rendered struct {
	once sync.Once
	body body
}

func (r *rendered) get(count func(), render func([]byte) []byte) *body {
	r.once.Do(func() {
		count()
		r.body = compress(render(nil))
	})
	return &r.body
}

// playlist returns the media playlist of a view, or its delta update.
func (s *state) playlist(v view, delta bool) *body {
	if delta {
		return s.texts[v].delta.get(func() { s.rendered(true) }, s.media[v].AppendDelta)
	}
	return s.texts[v].full.get(func() { s.rendered(false) }, s.media[v].AppendTo)
}

func compress(plain []byte) body {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return body{plain: plain}
	}
	_, err = z.Write(plain)
	if err != nil || z.Close() != nil {
		return body{plain: plain}
	}
	return body{plain: plain, gzipped: buf.Bytes()}
}

// snapshot renders the playlist's contents. The caller holds mu.
func (w *window) snapshot() *state {
	s := &state{rendered: w.countRendering, shown: w.aligned, parked: w.parked}
	s.media[muxed] = w.media(muxed)
	if w.split {
		s.media[videoOnly] = w.media(videoOnly)
	}
	return s
}

// countRendering counts a playlist that was rendered.
func (w *window) countRendering(delta bool) {
	w.renderings.Add(1)
	if w.cfg.OnRender != nil {
		w.cfg.OnRender(delta)
	}
}

func (w *window) media(v view) hls.Media {
	target := w.cfg.PartTarget
	m := hls.Media{
		TargetDuration: int(TargetDuration.Seconds()), PartTarget: target,
		PartHoldBack: 3*target + target/2, SkipUntil: 6 * TargetDuration,
		IndependentSegments: !w.unaligned, DiscontinuitySequence: w.skipped, Ended: w.ended,
		MediaSequence: w.next, Hint: partName(w.epoch, w.next, 0), HintInit: w.hintInit,
	}
	listed := w.list()
	m.Segments = make([]hls.Segment, len(listed))
	var behind int64
	for i := len(listed) - 1; i >= 0; i-- {
		s := listed[i]
		m.Segments[i] = s.entry(v, behind < partsTicks)
		behind += s.length()
		m.MediaSequence = s.MSN
	}
	if n := len(listed); n > 0 {
		switch last := listed[n-1]; {
		case last.complete:
		case len(last.parts) == 0:
			m.Segments = m.Segments[:n-1]
			m.Hint = partName(last.Epoch, last.MSN, 0)
			if n == 1 {
				m.MediaSequence = last.MSN
			}
		default:
			m.Hint = partName(last.Epoch, last.MSN, len(last.parts))
		}
	}
	m.Reports = w.reports(v)
	return m
}

// entry is the segment in a playlist.
func (s *Segment) entry(v view, withParts bool) hls.Segment {
	out := hls.Segment{
		Duration: duration(s.Ticks), Discontinuity: s.Discontinuity, Gap: s.gap(),
		Init: initName(s.Epoch, s.Init), ProgramDateTime: s.Start,
	}
	if s.complete {
		out.URI = s.uri
	}
	if !withParts {
		return out
	}
	out.Parts = make([]hls.Part, len(s.parts))
	for i, p := range s.parts {
		out.Parts[i] = hls.Part{
			URI: p.uri, Duration: duration(p.Duration), Independent: p.Independent && !p.gap(v), Gap: p.gap(v),
		}
	}
	return out
}

// reports tells how far all other playlists of the stream are (the draft, B.1).
func (w *window) reports(v view) []hls.Report {
	var reports []hls.Report
	for _, peer := range *w.peers {
		last := peer.last.Load()
		if last == nil || peer.out.Load() {
			continue
		}
		for other := range views {
			if peer == w && view(other) == v || view(other) == videoOnly && !peer.split {
				continue
			}
			reports = append(reports, hls.Report{
				URI: "../" + view(other).directory(peer.rung) + "/media.m3u8", LastMSN: last.msn, LastPart: last.part,
			})
		}
	}
	return reports
}
