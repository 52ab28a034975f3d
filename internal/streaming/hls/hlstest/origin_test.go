package hlstest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// origin is a small server of one live stream, good in everything unless it is
// told a fault. It has two rungs of video and publishes 10 parts a segment.
type origin struct {
	clips map[string]*clip
	fault string
	total int // parts until it ends

	mu      sync.Mutex
	count   int // parts that are there
	waiting int // requests that wait for more: without any, time stands still
	changed chan struct{}
}

const (
	listed      = 14 // segments in the playlist
	partsListed = 6  // of them, with their parts
	// The lower rung has gaps before this part, from the beginning of its segment.
	afterGap = 43
)

// gap says whether a rung lacks a part.
func gap(rung string, part int) bool {
	return rung == "low" && part >= afterGap/10*10 && part < afterGap
}

var rungs = []string{"high", "low"}

func startOrigin(t *testing.T, total int, fault string) *httptest.Server {
	t.Helper()
	small, large := newClip(t, smallSPS()), newClip(t, largeSPS())
	small.pictures, small.keyAt = 300, afterGap
	o := &origin{clips: map[string]*clip{"high": large, "low": small}, fault: fault, total: total, changed: make(chan struct{}), count: 11}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				o.advance()
			case <-stop:
				return
			}
		}
	}()
	server := httptest.NewServer(o)
	t.Cleanup(func() {
		server.Close()
		close(stop)
		<-stopped
	})
	return server
}

func (o *origin) advance() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count < o.total && o.waiting > 0 {
		o.count++
		close(o.changed)
		o.changed = make(chan struct{})
	}
}

// until waits for a state; the state is how many parts are there.
func (o *origin) until(r *http.Request, ready func(count int) bool) int {
	for {
		o.mu.Lock()
		count, changed := o.count, o.changed
		o.mu.Unlock()
		if ready(count) {
			return count
		}
		o.wait(+1)
		select {
		case <-changed:
			o.wait(-1)
		case <-r.Context().Done():
			o.wait(-1)
			return count
		}
	}
}

func (o *origin) wait(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting += n
}

// media is the playlist of a rung.
func (o *origin) media(rung string, count int) *hls.Media {
	begin := time.Date(2026, 11, 22, 19, 0, 0, 0, time.UTC)
	m := &hls.Media{
		TargetDuration: 4, PartTarget: 220 * time.Millisecond, PartHoldBack: 770 * time.Millisecond, SkipUntil: 24 * time.Second,
		IndependentSegments: true, Ended: count == o.total,
	}
	for n := range count {
		if n%10 == 0 {
			m.Segments = append(m.Segments, hls.Segment{Init: "init-1.mp4", ProgramDateTime: begin.Add(time.Duration(n) * 200 * time.Millisecond)})
		}
		s := &m.Segments[len(m.Segments)-1]
		s.Parts = append(s.Parts, hls.Part{
			URI: fmt.Sprintf("1-%d.%d.mp4", n/10, n%10), Duration: 200 * time.Millisecond, Gap: gap(rung, n),
			Independent: !gap(rung, n) && (n%10 == 0 || n == o.clips[rung].keyAt),
		})
		if n%10 == 9 {
			s.URI, s.Duration = fmt.Sprintf("1-%d.mp4", n/10), 2*time.Second
		}
	}
	if over := len(m.Segments) - listed; over > 0 {
		m.Segments, m.MediaSequence = m.Segments[over:], uint64(over)
	}
	for i := range m.Segments[:max(len(m.Segments)-partsListed, 0)] {
		m.Segments[i].Parts = nil
	}
	if !m.Ended {
		m.Hint = fmt.Sprintf("1-%d.%d.mp4", count/10, count%10)
	}
	for _, other := range rungs {
		if other != rung {
			m.Reports = append(m.Reports, hls.Report{URI: "../" + other + "/media.m3u8", LastMSN: uint64((count - 1) / 10), LastPart: (count - 1) % 10})
		}
	}
	return m
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(path) == 1:
		m := hls.Multivariant{Variants: []hls.Variant{
			{URI: "high/media.m3u8", Bandwidth: 300_000, AverageBandwidth: 250_000, Codecs: o.clips["high"].init.Codecs(), Width: 640, Height: 360, FrameRate: 25},
			{URI: "low/media.m3u8", Bandwidth: 150_000, AverageBandwidth: 140_000, Codecs: o.clips["low"].init.Codecs(), Width: 320, Height: 180, FrameRate: 25},
		}}
		o.send(w, m.AppendTo(nil), "max-age=1")
	case path[1] == "media.m3u8":
		o.playlist(w, r, path[0])
	default:
		o.file(w, r, path[0], path[1])
	}
}

// send answers with a playlist.
func (o *origin) send(w http.ResponseWriter, data []byte, cache string) {
	w.Header().Set("Content-Type", hls.ContentType)
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Vary", "Accept-Encoding")
	if o.fault == "plain" {
		_, _ = w.Write(data)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(data)
	_ = z.Close()
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
}

func (o *origin) playlist(w http.ResponseWriter, r *http.Request, rung string) {
	reload, err := hls.ParseReload(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	count := o.until(r, func(count int) bool {
		m := o.media(rung, count)
		return o.fault == "impatient" || m.Has(reload) || m.TooFar(reload)
	})
	m := o.media(rung, count)
	if m.TooFar(reload) {
		refuse(w, http.StatusBadRequest)
		return
	}
	cache := "max-age=1"
	if reload.Block {
		cache = "max-age=60"
	}
	switch {
	case o.fault == "stale reports" && count > 20:
		m.Reports[0].LastMSN = 0
	case o.fault == "renamed" && count > 30:
		for i := range m.Segments {
			m.Segments[i].ProgramDateTime = m.Segments[i].ProgramDateTime.Add(time.Millisecond)
		}
	case o.fault == "skips too much" && reload.Skip:
		m.SkipUntil = 8 * time.Second
	}
	data := m.AppendTo(nil)
	if reload.Skip {
		data = m.AppendDelta(nil)
	}
	if o.fault == "skips too much" {
		data = bytes.Replace(data, []byte("CAN-SKIP-UNTIL=8"), []byte("CAN-SKIP-UNTIL=24"), 1)
	}
	o.send(w, data, cache)
}

func (o *origin) file(w http.ResponseWriter, r *http.Request, rung, name string) {
	c := o.clips[rung]
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	var msn, part int
	switch n, err := fmt.Sscanf(name, "1-%d.%d.mp4", &msn, &part); {
	case name == "init-1.mp4":
		_, _ = w.Write(c.init.Marshal())
	case err == nil && n == 2:
		count := o.until(r, func(count int) bool {
			return count > msn*10+part || count == o.total || o.fault == "hint not held"
		})
		forgotten := o.fault == "old parts forgotten" && (count-1)/10-msn >= partsListed
		if count <= msn*10+part || gap(rung, msn*10+part) || forgotten {
			refuse(w, http.StatusNotFound)
			return
		}
		_, _ = w.Write(c.part(msn*10 + part))
	default:
		if _, err := fmt.Sscanf(name, "1-%d.mp4", &msn); err != nil {
			refuse(w, http.StatusNotFound)
			return
		}
		for i := range 10 {
			if o.fault == "lost part" && msn == 3 && i == 4 || gap(rung, msn*10+i) {
				continue
			}
			_, _ = w.Write(c.part(msn*10 + i))
		}
	}
}
