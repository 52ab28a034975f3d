package hlstest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
)

// loader loads and checks the media of one media playlist.
type loader struct {
	*line
	ctx    context.Context
	next   uint64 // the segment to be loaded next
	began  bool
	parts  map[string][]byte // bytes of the parts of segments to come, by URI
	oldest map[uint64]string // a part of each segment that has parts, by number
}

// load takes states until there are no more.
func (l *line) load(ctx context.Context) {
	w := loader{line: l, ctx: ctx, parts: map[string][]byte{}, oldest: map[uint64]string{}}
	for next := range l.loads {
		w.hinted(next)
		w.state(next.m)
		w.left(next.m)
	}
}

// get loads media that is listed; nil if it cannot be had, which is noted.
func (w *loader) get(ref string) []byte {
	uri := resolve(w.uri, ref)
	a, err := w.fetcher.get(w.ctx, ForMedia, uri)
	if err != nil {
		return nil // the line meets it too, or is over
	}
	a.Live, a.TargetDuration = !w.vod, w.target
	w.note(w.uri, nil, CheckAnswer(a.Answer))
	if a.Status != http.StatusOK {
		return nil
	}
	return a.body
}

// hinted checks the answer to a hint against the part as it is listed.
func (w *loader) hinted(next load) {
	if next.hint == nil {
		return
	}
	a := <-next.hint
	if a.Status == 0 {
		return // there was no answer; the line meets it too, or is over
	}
	a.Live, a.TargetDuration = true, w.target
	w.count(&w.report.Hints)
	w.note(w.uri, nil, CheckAnswer(a.Answer))
	listed := slices.ContainsFunc(next.m.Segments, func(s Segment) bool {
		return slices.ContainsFunc(s.Parts, func(p Part) bool { return !p.Gap && resolve(w.uri, p.URI) == a.URL })
	})
	if !listed {
		return
	}
	var f Findings
	if a.Status != http.StatusOK {
		f.add("http-hold", "%s was hinted at and is listed; the held request was answered with %d", a.URL, a.Status)
	} else if now, err := w.fetcher.get(w.ctx, ForMedia, a.URL); err == nil && !bytes.Equal(now.body, a.body) {
		f.add("http-hold", "%s has %d bytes, the held request got %d", a.URL, len(now.body), len(a.body))
	}
	w.note(w.uri, nil, f.err())
}

// state loads what is new in a state of the playlist.
func (w *loader) state(m *Media) {
	if !w.began {
		w.began, w.next = true, m.MediaSequence
	}
	if w.next < m.MediaSequence {
		w.next = m.MediaSequence // fell out before it was loaded; reload-jump tells
		w.content.jump()
	}
	for n := w.next; n < m.NextMSN() && w.ctx.Err() == nil; n++ {
		s := &m.Segments[n-m.MediaSequence]
		if i := slices.IndexFunc(s.Parts, func(p Part) bool { return !p.Gap }); i >= 0 { // a gap cannot be had
			w.oldest[n] = s.Parts[i].URI
		}
		for _, p := range s.Parts {
			if _, have := w.parts[p.URI]; !have && !p.Gap {
				w.parts[p.URI] = w.get(p.URI)
				w.count(&w.report.Parts)
			}
		}
		if s.URI == "" {
			break
		}
		w.segmentDone(m, n, *s)
		w.next = n + 1
	}
}

// segmentDone loads and checks a complete segment.
func (w *loader) segmentDone(m *Media, n uint64, s Segment) {
	in := Loaded{Segment: s, MSN: n, IndependentSegments: m.IndependentSegments || w.follower.independent}
	if !s.Gap {
		in.Data, in.InitData = w.get(s.URI), w.init(s.Init)
		w.count(&w.report.Segments)
	}
	for _, p := range s.Parts {
		data := w.parts[p.URI]
		delete(w.parts, p.URI)
		in.PartData = append(in.PartData, data)
	}
	if !s.Gap && (in.Data == nil || in.InitData == nil) {
		w.content.jump() // that it cannot be had is noted
		return
	}
	for i, p := range s.Parts {
		if !p.Gap && in.PartData[i] == nil {
			in.PartData = nil
			break
		}
	}
	if err := w.content.Add(in); err != nil {
		w.note(w.uri, fmt.Appendf(nil, "segment %d: %s, %v, %d parts", n, s.URI, s.Duration, len(s.Parts)), err)
	}
}

func (w *loader) init(ref string) []byte {
	data, ok := w.inits[ref]
	if !ok {
		data = w.get(ref)
		w.inits[ref] = data
	}
	return data
}

// left asks for a part of each segment whose parts have just left the playlist.
func (w *loader) left(m *Media) {
	for n, ref := range w.oldest {
		if n >= m.MediaSequence && (n >= m.NextMSN() || len(m.Segments[n-m.MediaSequence].Parts) > 0) {
			continue
		}
		delete(w.oldest, n)
		a, err := w.fetcher.get(w.ctx, ForOldPart, resolve(w.uri, ref))
		if err != nil {
			continue
		}
		a.Live, a.TargetDuration = true, w.target
		w.note(w.uri, nil, CheckAnswer(a.Answer))
	}
}
