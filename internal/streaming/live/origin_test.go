package live

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// ask asks an origin for something of a stream.
func ask(ctx context.Context, s testStream, o Origin, name string) (status int, body string, stored *Segment) {
	o.Fail = func(w http.ResponseWriter, _ *http.Request, err error) {
		code := map[errs.Code]int{errs.NotFound: 404, errs.Invalid: 400, errs.Unavailable: 503}[errs.CodeOf(err)]
		http.Error(w, err.Error(), code)
	}
	o.Stored = func(_ http.ResponseWriter, _ *http.Request, _ *Stream, of Stored) { stored = of.Segment }
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/live/c/st-1/source/"+name, nil).WithContext(ctx)
	o.Serve(w, r, s.Stream, Source, strings.Split(name, "?")[0])
	return w.Code, w.Body.String(), stored
}

// TestWindow lets a stream outgrow its window: old segments come from the store.
func TestWindow(t *testing.T) {
	s, r := scenario{rate: 30, gop: 60, length: 80 * time.Second}.run(t)
	w := s.window
	if w.listed < minListed || w.listed > 20 {
		t.Errorf("%d segments are listed", w.listed)
	}
	var bytes int64
	for _, seg := range w.segments {
		if !seg.released {
			bytes += seg.Size
		}
	}
	if bytes != w.bytes {
		t.Errorf("%d bytes are counted, %d are there", w.bytes, bytes)
	}
	for i, seg := range r.segments {
		status, body, stored := ask(context.Background(), s, Origin{}, seg.uri)
		if stored != nil {
			if i > len(r.segments)-w.listed {
				t.Errorf("segment %d of %d is listed, and not in memory", i, len(r.segments))
			}
			if stored.MSN != seg.MSN || stored.Ticks != seg.Ticks || !stored.Start.Equal(seg.Start) {
				t.Errorf("segment %d became %+v", i, stored)
			}
			continue
		}
		if status != 200 || body != string(r.data[i]) {
			t.Errorf("segment %d: %d", i, status)
		}
	}
	if _, _, stored := ask(context.Background(), s, Origin{}, r.segments[0].uri); stored == nil {
		t.Error("the first segment is still in memory")
	}
}

// TestMemoryLimit lets go of segments that are too large to be kept.
func TestMemoryLimit(t *testing.T) {
	var all []*window
	w := newWindow(Source, &Config{PartTarget: time.Second}, true, false, &all)
	for msn := range uint64(8) {
		seg := &Segment{Epoch: 1, MSN: msn, Init: 1}
		w.openSegment(seg)
		w.addPart(seg, &Part{Duration: 2 * ticksPerSecond, data: make([]byte, maxWindowBytes/5)})
		w.closeSegment(seg, closeCut{ticks: 2 * ticksPerSecond, interval: 3000})
		if w.bytes > maxWindowBytes {
			t.Errorf("%d bytes after segment %d", w.bytes, msn)
		}
	}
	if seg, data := w.segment(mediaName{epoch: 1}, muxed); seg == nil || data != nil {
		t.Error("the oldest segment should be known, without its bytes")
	}
	if _, data := w.segment(mediaName{epoch: 1, msn: 7}, muxed); data == nil {
		t.Error("the newest segment is gone")
	}
}

// TestHold answers 503 when what is asked for does not come in time.
func TestHold(t *testing.T) {
	s, _ := newTestStream(false, time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	for _, name := range []string{"media.m3u8", "7-0.0.mp4"} {
		if status, body, _ := ask(ctx, s, Origin{}, name); status != 503 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	s.window.holding.Add(maxHeldRequests)
	if status, body, _ := ask(context.Background(), s, Origin{}, "media.m3u8"); status != 503 {
		t.Errorf("with too many waiting: %d %s", status, body)
	}
	s.window.holding.Add(-maxHeldRequests)
	s.End()
	if status, body, _ := ask(context.Background(), s, Origin{}, "media.m3u8"); status != 404 {
		t.Errorf("ended without media: %d %s", status, body)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.5": true, "*": true, "identity": false, "x-gzip": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := acceptsGzip(r); got != want {
			t.Errorf("%q: %t", header, got)
		}
	}
}
