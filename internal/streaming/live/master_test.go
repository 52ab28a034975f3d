package live

import (
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// variantsOf reads a multivariant playlist.
func (l *ladder) variantsOf(path string) []hlstest.Variant {
	l.t.Helper()
	text := l.get(path)
	m, err := hlstest.ParseMultivariant([]byte(text))
	if err != nil || len(m.Variants) == 0 {
		l.t.Fatalf("%v\n%s", err, text)
	}
	return m.Variants
}

// TestMasterNamesTheLargest: a picture that grows, and shrinks again, is what the
// master playlist names, with one codec that covers all.
func TestMasterNamesTheLargest(t *testing.T) {
	l, e := newLadder(t)
	check := func(when, codec, resolution string) {
		t.Helper()
		variants := l.variantsOf("master.m3u8")
		if len(variants) != 4 {
			t.Errorf("%s there are %d variants", when, len(variants))
		}
		for _, v := range append(variants, l.variantsOf("dvr.m3u8")...) {
			if v.Resolution != resolution || len(v.Codecs) != 2 || v.Codecs[0] != codec {
				t.Errorf("%s %s is %s with %q, want %s with %s and audio", when, v.URI, v.Resolution, v.Codecs, resolution, codec)
			}
		}
	}
	l.publish(e, 1, 4*time.Second)
	check("at first", "avc1.42c00d", "320x180")
	l.sps = spsLarge
	l.publish(e, 1, 4*time.Second)
	check("grown", "avc1.42c01e", "640x360")
	l.sps = spsSmall
	l.publish(e, 1, 4*time.Second)
	check("shrunk again", "avc1.42c01e", "640x360")
}

// TestRestoredFormats: after a restart the master still names what came before.
func TestRestoredFormats(t *testing.T) {
	l, e := newLadder(t)
	stored := Segment{Epoch: 3, MSN: 0, Init: 2, Start: l.now, Ticks: 180_000, Size: 1000}
	l.s.Restore([]Restored{{Rung: Source, Formats: formatsOf(spsSmall, spsLarge), Segments: []Segment{stored}}}, 4)
	l.publish(e, 4, 4*time.Second)
	if v := l.variantsOf("master.m3u8")[0]; v.Resolution != "640x360" || v.Codecs[0] != "avc1.42c01e" {
		t.Errorf("%+v", v)
	}
}

// TestRungsRank: whatever their bits are now, a better rung is told to have more.
func TestRungsRank(t *testing.T) {
	l, e := newLadder(t)
	l.rungSize = 10_000
	l.publish(e, 1, 6*time.Second)
	variants := l.variantsOf("master.m3u8")
	for i := 0; i < len(variants); i += 2 {
		a, b := variants[i], variants[i+1]
		if !strings.Contains(a.URI, "/source") || !strings.Contains(b.URI, "/480p") {
			t.Fatalf("%s stands before %s", a.URI, b.URI)
		}
		if b.AverageBandwidth < 2_000_000 || a.Bandwidth <= b.Bandwidth || a.AverageBandwidth <= b.AverageBandwidth {
			t.Errorf("%s has %d and %d, %s has %d and %d bit/s", a.URI, a.Bandwidth, a.AverageBandwidth, b.URI, b.Bandwidth, b.AverageBandwidth)
		}
	}
}

// TestAverage: it is that of the half minute with the most, and gaps do not count.
func TestAverage(t *testing.T) {
	var all []*window
	w := newWindow(Source, &Config{PartTarget: time.Second}, true, false, &all)
	var msn uint64
	segments := func(n, size int) {
		for range n {
			s := &Segment{Epoch: 1, MSN: msn, Init: 1}
			w.openSegment(s)
			w.addPart(s, &Part{Duration: 2 * ticksPerSecond, Gap: size == 0, data: make([]byte, size)})
			w.closeSegment(s, closeCut{ticks: 2 * ticksPerSecond, interval: 3000})
			msn++
		}
	}
	check := func(when string, low, high int64) {
		t.Helper()
		if got := w.average(); got < low || got > high {
			t.Errorf("%s the average is %d bit/s, want %d to %d", when, got, low, high)
		}
	}
	segments(10, 125_000)
	check("at first", 500_000, 500_000)
	segments(10, 0)
	check("with gaps", 500_000, 500_000)
	segments(40, 500_000)
	check("after it climbed", 2_000_000, 2_000_000)
	segments(40, 125_000)
	check("when it is low again", 2_000_000, 2_000_000)
}
