package live

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

const (
	// A request waits at most this long for what it asks for.
	maxHold         = 3 * TargetDuration
	maxHeldRequests = 20_000 // of one rung
	// A slow consumer is cut.
	sendTimeout = 30 * time.Second
	// SegmentType is the media type of segments, parts and init segments.
	SegmentType = "video/mp4"
)

// Caching of the answers. A name is never used for two things.
const (
	// CacheForever is for what never changes.
	CacheForever  = "public, max-age=31536000, immutable"
	cacheBlocking = "public, max-age=60"
	cacheShortly  = "public, max-age=1"
)

// Origin serves streams over HTTP. The zero value is not usable.
type Origin struct {
	// Fail answers a request with an error.
	Fail func(http.ResponseWriter, *http.Request, error)
	// Stored serves a segment or an init segment that is not in memory any more.
	Stored func(http.ResponseWriter, *http.Request, *Stream, Stored)
}

// Stored names media of a stream in the object store.
type Stored struct {
	Rung      string
	VideoOnly bool     // without its audio
	Segment   *Segment // nil: the init segment
	Epoch     int64    // of the init segment
	Init      int      // its version
}

// Master serves the multivariant playlist. It waits for the first segment, as
// players cannot begin on parts alone. With aacOnly it names nothing that needs
// Opus.
func (o *Origin) Master(w http.ResponseWriter, r *http.Request, s *Stream, aacOnly bool) {
	if m, ok := o.masterOf(w, r, s, aacOnly); ok {
		SendPlaylist(w, r, m.AppendTo(nil), cacheShortly)
	}
}

// DVRMaster serves the multivariant playlist of all since the beginning. It lies
// in the stream's own folder.
func (o *Origin) DVRMaster(w http.ResponseWriter, r *http.Request, s *Stream, aacOnly bool) {
	if m, ok := o.masterOf(w, r, s, aacOnly); ok {
		SendPlaylist(w, r, s.dvrMaster(m).AppendTo(nil), cacheShortly)
	}
}

func (o *Origin) masterOf(w http.ResponseWriter, r *http.Request, s *Stream, aacOnly bool) (*hls.Multivariant, bool) {
	source := s.rung(Source)
	var m *hls.Multivariant
	_, err := o.hold(r, source, func(st *state) bool {
		m = s.master(aacOnly, time.Now())
		return m != nil || st.media[muxed].Ended
	})
	if err == nil && m == nil {
		err = errs.New(errs.NotFound, "the broadcast ended before it showed anything")
	}
	if err != nil {
		o.Fail(w, r, err)
	}
	return m, err == nil
}

// Serve serves what lies in a rung's folder: its playlists, init segments,
// segments and parts.
func (o *Origin) Serve(w http.ResponseWriter, r *http.Request, s *Stream, folder, name string) {
	rung, v := parseDirectory(folder)
	win := s.rung(rung)
	if win == nil || v == videoOnly && !win.split {
		o.Fail(w, r, errs.Newf(errs.NotFound, "the stream has no rung %q", folder))
		return
	}
	switch name {
	case "media.m3u8":
		o.media(w, r, win, v)
		return
	case "dvr.m3u8":
		if b := win.dvr(v); b != nil {
			sendPlaylist(w, r, b, cacheShortly)
			return
		}
		o.Fail(w, r, errs.New(errs.NotFound, "the broadcast has no complete segment yet; try again in 2 s"))
		return
	}
	n, ok := parseName(name)
	switch {
	case !ok:
		o.Fail(w, r, notThere(name))
	case n.init > 0:
		o.init(w, r, s, win, v, n)
	case n.part >= 0:
		o.part(w, r, win, v, n, name)
	default:
		o.segment(w, r, s, win, v, n, name)
	}
}

func notThere(name string) error { return errs.Newf(errs.NotFound, "the stream has no %q", name) }

func (o *Origin) media(w http.ResponseWriter, r *http.Request, win *window, v view) {
	reload, err := hls.ParseReload(r.URL.Query())
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	cache := cacheShortly
	if reload.Block {
		cache = cacheBlocking
	}
	st, err := o.hold(r, win, func(st *state) bool {
		m := &st.media[v]
		return len(m.Segments) > 0 && st.shown && (m.TooFar(reload) || m.Has(reload)) || m.Ended
	})
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	m := &st.media[v]
	if len(m.Segments) == 0 {
		err = errs.New(errs.NotFound, "the broadcast ended before it showed anything")
	}
	if err == nil && m.TooFar(reload) {
		err = errs.Newf(errs.Invalid, "_HLS_msn is too far ahead: the next segment is %d",
			m.MediaSequence+uint64(len(m.Segments)))
	}
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	sendPlaylist(w, r, st.playlist(v, reload.Skip), cache)
}

func (o *Origin) init(w http.ResponseWriter, r *http.Request, s *Stream, win *window, v view, n mediaName) {
	if data := win.initSegment(n, v); data != nil {
		sendMedia(w, r, data)
		return
	}
	// One from before a restart of the server.
	o.Stored(w, r, s, Stored{Rung: win.rung, VideoOnly: v == videoOnly, Epoch: n.epoch, Init: n.init})
}

func (o *Origin) part(w http.ResponseWriter, r *http.Request, win *window, v view, n mediaName, name string) {
	_, err := o.hold(r, win, func(*state) bool {
		_, coming := win.part(n, v)
		return !coming
	})
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	data, _ := win.part(n, v)
	if data == nil {
		o.Fail(w, r, notThere(name))
		return
	}
	sendMedia(w, r, data...)
}

func (o *Origin) segment(w http.ResponseWriter, r *http.Request, s *Stream, win *window, v view, n mediaName, name string) {
	segment, data := win.segment(n, v)
	switch {
	case segment == nil:
		o.Fail(w, r, notThere(name))
	case data == nil:
		o.Stored(w, r, s, Stored{Rung: win.rung, VideoOnly: v == videoOnly, Segment: segment})
	default:
		sendMedia(w, r, data...)
	}
}

// hold waits until the stream's state is ready, for a while.
func (o *Origin) hold(r *http.Request, win *window, ready func(*state) bool) (*state, error) {
	if n := win.holding.Add(1); n > maxHeldRequests {
		win.holding.Add(-1)
		return nil, errs.New(errs.Unavailable, "too many requests wait for this stream; try again")
	}
	defer win.holding.Add(-1)
	ctx, cancel := context.WithTimeout(r.Context(), maxHold)
	defer cancel()
	st, err := win.wait(ctx, ready)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = errs.New(errs.Unavailable, "the stream has not come that far; try again")
	}
	return st, err
}

// sendPlaylist answers with a playlist, compressed if the client takes it.
func sendPlaylist(w http.ResponseWriter, r *http.Request, b *body, cache string) {
	h := w.Header()
	h.Set("Content-Type", hls.ContentType)
	h.Set("Cache-Control", cache)
	h.Add("Vary", "Accept-Encoding")
	data := b.plain
	if b.gzipped != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		data = b.gzipped
	}
	write(w, r, data)
}

// sendMedia answers with media, which is never compressed again.
func sendMedia(w http.ResponseWriter, r *http.Request, data ...[]byte) {
	h := w.Header()
	h.Set("Content-Type", SegmentType)
	h.Set("Cache-Control", CacheForever)
	write(w, r, data...)
}

func write(w http.ResponseWriter, r *http.Request, data ...[]byte) {
	size := 0
	for _, d := range data {
		size += len(d)
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	// A server that has no deadlines to set serves without. Later requests on
	// the connection have none, or their own.
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(sendTimeout))
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	for _, d := range data {
		if _, err := w.Write(d); err != nil {
			return // the client is gone or too slow
		}
	}
}

// AllowAnyOrigin lets pages of any origin play.
func AllowAnyOrigin(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, Date")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			name, params, _ := strings.Cut(coding, ";")
			if name = strings.TrimSpace(name); name != "gzip" && name != "*" {
				continue
			}
			q, given := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !given || err == nil && weight > 0
		}
	}
	return false
}

// Playlist is a playlist that is kept, compressed once.
type Playlist struct{ body body }

// NewPlaylist keeps a playlist.
func NewPlaylist(text []byte) *Playlist { return &Playlist{compress(text)} }

// Size is the bytes that it takes.
func (p *Playlist) Size() int { return len(p.body.plain) + len(p.body.gzipped) }

// Send answers with it, compressed if the client takes that.
func (p *Playlist) Send(w http.ResponseWriter, r *http.Request, cache string) {
	sendPlaylist(w, r, &p.body, cache)
}

// SendPlaylist answers with a playlist that is not kept, compressed if the
// client takes it.
func SendPlaylist(w http.ResponseWriter, r *http.Request, playlist []byte, cache string) {
	b := body{plain: playlist}
	if acceptsGzip(r) {
		b = compress(playlist)
	}
	sendPlaylist(w, r, &b, cache)
}
