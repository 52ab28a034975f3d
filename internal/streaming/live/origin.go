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
	maxHeldRequests = 20_000 // of one stream
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
	// Stored serves a segment that is not in memory any more.
	Stored func(http.ResponseWriter, *http.Request, *Stream, *Segment)
}

// Master serves the multivariant playlist. It waits for the first segment, as
// players cannot begin on parts alone.
func (o *Origin) Master(w http.ResponseWriter, r *http.Request, s *Stream) {
	st, err := o.hold(r, s, func(st *state) bool { return st.master != nil || st.media.Ended })
	if err == nil && st.master == nil {
		err = errs.New(errs.NotFound, "the broadcast ended before it showed anything")
	}
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	b := compress(st.master.AppendTo(nil))
	sendPlaylist(w, r, &b, cacheShortly)
}

// Serve serves what lies in a stream's rung: its media playlist, init segments,
// segments and parts.
func (o *Origin) Serve(w http.ResponseWriter, r *http.Request, s *Stream, rung, name string) {
	if rung != Rung {
		o.Fail(w, r, errs.Newf(errs.NotFound, "the stream has no rung %q, only %q", rung, Rung))
		return
	}
	if name == "media.m3u8" {
		o.media(w, r, s)
		return
	}
	n, ok := parseName(name)
	switch {
	case !ok:
		o.Fail(w, r, notThere(name))
	case n.init > 0:
		if data := s.window.initSegment(n); data != nil {
			sendMedia(w, r, data)
			return
		}
		o.Fail(w, r, notThere(name))
	case n.part >= 0:
		o.part(w, r, s, n, name)
	default:
		o.segment(w, r, s, n, name)
	}
}

func notThere(name string) error { return errs.Newf(errs.NotFound, "the stream has no %q", name) }

func (o *Origin) media(w http.ResponseWriter, r *http.Request, s *Stream) {
	reload, err := hls.ParseReload(r.URL.Query())
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	cache := cacheShortly
	if reload.Block {
		cache = cacheBlocking
	}
	st, err := o.hold(r, s, func(st *state) bool {
		return len(st.media.Segments) > 0 && (st.media.TooFar(reload) || st.media.Has(reload)) || st.media.Ended
	})
	if err == nil && len(st.media.Segments) == 0 {
		err = errs.New(errs.NotFound, "the broadcast ended before it showed anything")
	}
	if err == nil && st.media.TooFar(reload) {
		err = errs.Newf(errs.Invalid, "_HLS_msn is too far ahead: the next segment is %d",
			st.media.MediaSequence+uint64(len(st.media.Segments)))
	}
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	sendPlaylist(w, r, st.playlist(reload.Skip), cache)
}

func (o *Origin) part(w http.ResponseWriter, r *http.Request, s *Stream, n mediaName, name string) {
	_, err := o.hold(r, s, func(*state) bool {
		_, coming := s.window.part(n)
		return !coming
	})
	if err != nil {
		o.Fail(w, r, err)
		return
	}
	data, _ := s.window.part(n)
	if data == nil {
		o.Fail(w, r, notThere(name))
		return
	}
	sendMedia(w, r, data)
}

func (o *Origin) segment(w http.ResponseWriter, r *http.Request, s *Stream, n mediaName, name string) {
	segment, data := s.window.segment(n.epoch, n.msn)
	switch {
	case segment == nil:
		o.Fail(w, r, notThere(name))
	case data == nil:
		o.Stored(w, r, s, segment)
	default:
		sendMedia(w, r, data...)
	}
}

// hold waits until the stream's state is ready, for a while.
func (o *Origin) hold(r *http.Request, s *Stream, ready func(*state) bool) (*state, error) {
	if n := s.window.holding.Add(1); n > maxHeldRequests {
		s.window.holding.Add(-1)
		return nil, errs.New(errs.Unavailable, "too many requests wait for this stream; try again")
	}
	defer s.window.holding.Add(-1)
	ctx, cancel := context.WithTimeout(r.Context(), maxHold)
	defer cancel()
	st, err := s.window.wait(ctx, ready)
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

// SendPlaylist answers with a playlist that is not kept, compressed if the
// client takes it.
func SendPlaylist(w http.ResponseWriter, r *http.Request, playlist []byte, cache string) {
	b := body{plain: playlist}
	if acceptsGzip(r) {
		b = compress(playlist)
	}
	sendPlaylist(w, r, &b, cache)
}
