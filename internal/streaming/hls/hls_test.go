package hls

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

func TestMultivariant(t *testing.T) {
	m := Multivariant{
		IndependentSegments: true,
		Renditions: []Rendition{
			{GroupID: "aac", Name: "Sound", Language: "de", URI: "a.m3u8", Default: true, Channels: 2},
			{GroupID: "aac", Name: "Unknown", URI: "b.m3u8", Channels: 1},
		},
		Variants: []Variant{
			{URI: "st-1/src/v.m3u8", Bandwidth: 3_000_000, AverageBandwidth: 2_500_000, Codecs: []string{"avc1.42e01f", "opus"},
				Width: 1280, Height: 720, FrameRate: 30, Range: HLG, Score: 2},
			{URI: "st-1/low/v.m3u8", Bandwidth: 800_000, AverageBandwidth: 700_000, Codecs: []string{"avc1.42e01e", "mp4a.40.2"},
				Width: 640, Height: 360, FrameRate: 29.97, Range: SDR, Score: 1.5, AudioGroup: "aac"},
		},
	}
	const want = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Sound",LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Unknown",LANGUAGE="und",AUTOSELECT=YES,CHANNELS="1",URI="b.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS="avc1.42e01f,opus",RESOLUTION=1280x720,FRAME-RATE=30.000,VIDEO-RANGE=HLG,SCORE=2
st-1/src/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,AVERAGE-BANDWIDTH=700000,CODECS="avc1.42e01e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970,VIDEO-RANGE=SDR,SCORE=1.5,AUDIO="aac"
st-1/low/v.m3u8
`
	got := m.AppendTo(nil)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := hlstest.CheckMultivariant(got); err != nil {
		t.Error(err)
	}
	m.IndependentSegments = false
	if got := m.AppendTo(nil); strings.Contains(string(got), "INDEPENDENT") {
		t.Errorf("it promises independent segments:\n%s", got)
	}
}

var start = time.Date(2026, 11, 22, 20, 0, 0, 0, time.FixedZone("CET", 3600))

// liveAt is a live playlist after a number of parts. Segments have 10 parts of
// 0.2 s; with segment 3 the init segment changes.
func liveAt(parts int) *Media {
	m := &Media{
		TargetDuration: 4, PartTarget: 220 * time.Millisecond, HoldBack: 12 * time.Second,
		PartHoldBack: 660 * time.Millisecond, SkipUntil: 24 * time.Second, IndependentSegments: true,
	}
	for n := 0; n < parts; n++ {
		msn, part := n/10, n%10
		if part == 0 {
			s := Segment{Init: "init-1.mp4", Discontinuity: msn == 3, ProgramDateTime: start.Add(time.Duration(msn) * 2 * time.Second)}
			if msn >= 3 {
				s.Init = "init-2.mp4"
			}
			m.Segments = append(m.Segments, s)
		}
		s := &m.Segments[len(m.Segments)-1]
		s.Parts = append(s.Parts, Part{
			URI: fmt.Sprintf("1-%d.%d.mp4", msn, part), Duration: 200 * time.Millisecond, Independent: part == 0})
		if part == 9 {
			s.URI, s.Duration = fmt.Sprintf("1-%d.mp4", msn), 2*time.Second
		}
	}
	m.Hint = fmt.Sprintf("1-%d.%d.mp4", parts/10, parts%10)
	if parts == 30 {
		m.HintInit = "init-2.mp4"
	}
	for len(m.Segments) > 16 {
		if m.Segments[0].Discontinuity {
			m.DiscontinuitySequence++
		}
		m.Segments = m.Segments[1:]
		m.MediaSequence++
	}
	for i := 0; i < len(m.Segments)-6; i++ {
		m.Segments[i].Parts = nil
	}
	return m
}

// A stream that grows part by part keeps every rule between its playlists.
func TestLiveSequence(t *testing.T) {
	var before []byte
	for parts := 10; parts < 250; parts++ {
		m := liveAt(parts)
		full := m.AppendTo(nil)
		if err := hlstest.CheckMedia(full); err != nil {
			t.Fatalf("after %d parts: %v\n%s", parts, err, full)
		}
		if before != nil {
			if err := hlstest.CheckReload(before, full); err != nil {
				t.Fatalf("after %d parts: %v\n%s", parts, err, full)
			}
		}
		delta := m.AppendDelta(nil)
		if string(delta) == string(full) {
			if parts > 150 {
				t.Fatalf("nothing is skipped after %d parts", parts)
			}
		} else if err := hlstest.CheckDelta(full, delta); err != nil {
			t.Fatalf("after %d parts: %v\n%s", parts, err, delta)
		}
		before = full
	}
	ended := liveAt(250)
	ended.Ended, ended.Hint = true, ""
	full := ended.AppendTo(nil)
	if err := hlstest.CheckMedia(full); err != nil {
		t.Error(err)
	}
	if err := hlstest.CheckReload(before, full); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(string(full), "#EXT-X-ENDLIST\n") || strings.Contains(string(full), "PRELOAD-HINT") {
		t.Errorf("an ended playlist is\n%s", full)
	}
	if string(ended.AppendDelta(nil)) != string(full) {
		t.Error("an ended playlist skips segments")
	}
}

func TestLivePlaylist(t *testing.T) {
	m := liveAt(11)
	m.Segments[0].Parts = m.Segments[0].Parts[:1]
	m.Segments[0].Duration = 1234567890 // ns: rounded to 1.23457
	m.Segments[0].Gap = true
	m.Segments[1].Parts[0].Gap = true
	m.HintInit = "init-2.mp4"
	m.Reports = []Report{{URI: "../low/media.m3u8", LastMSN: 1, LastPart: 0}, {URI: "../old/media.m3u8", LastMSN: 7, LastPart: -1}}
	const want = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.66000,HOLD-BACK=12.00000,CAN-SKIP-UNTIL=24.00000
#EXT-X-PART-INF:PART-TARGET=0.22000
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.000Z
#EXT-X-PART:DURATION=0.20000,URI="1-0.0.mp4",INDEPENDENT=YES
#EXT-X-GAP
#EXTINF:1.23457,
1-0.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:02.000Z
#EXT-X-PART:DURATION=0.20000,URI="1-1.0.mp4",INDEPENDENT=YES,GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="init-2.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1-1.1.mp4"
#EXT-X-RENDITION-REPORT:URI="../low/media.m3u8",LAST-MSN=1,LAST-PART=0
#EXT-X-RENDITION-REPORT:URI="../old/media.m3u8",LAST-MSN=7
`
	if got := string(m.AppendTo(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The segment being made is not told of before it has a part.
func TestOpenSegmentWithoutParts(t *testing.T) {
	m := liveAt(10)
	want := string(m.AppendTo(nil))
	m.Segments = append(m.Segments, Segment{Init: "init-2.mp4", Discontinuity: true, ProgramDateTime: start})
	if got := string(m.AppendTo(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestVODAndEvent(t *testing.T) {
	segments := []Segment{
		{URI: "1-0.mp4", Init: "init-1.mp4", Duration: 4600 * time.Millisecond},
		{URI: "1-1.mp4", Init: "init-2.mp4", Duration: 2 * time.Second, Discontinuity: true},
	}
	const want = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:5
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-1.mp4"
#EXTINF:4.60000,
1-0.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-2.mp4"
#EXTINF:2.00000,
1-1.mp4
#EXT-X-ENDLIST
`
	got := NewVOD(segments).AppendTo(nil)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := hlstest.CheckVOD(got); err != nil {
		t.Error(err)
	}
	segments[0].ProgramDateTime, segments[1].ProgramDateTime = start, start.Add(4600*time.Millisecond)
	event := Media{Type: Event, TargetDuration: 5, Segments: segments[:1]}
	before := event.AppendTo(nil)
	event.Segments = segments
	after := event.AppendTo(nil)
	for _, p := range [][]byte{before, after} {
		if err := hlstest.CheckMedia(p); err != nil {
			t.Error(err)
		}
	}
	if err := hlstest.CheckReload(before, after); err != nil {
		t.Error(err)
	}
}

func TestParseReload(t *testing.T) {
	for _, test := range []struct {
		query string
		want  Reload
		says  string
	}{
		{"", Reload{Part: -1}, ""},
		{"token=x", Reload{Part: -1}, ""},
		{"_HLS_msn=12", Reload{Block: true, MSN: 12, Part: -1}, ""},
		{"_HLS_msn=12&_HLS_part=0", Reload{Block: true, MSN: 12}, ""},
		{"_HLS_msn=0&_HLS_part=3&_HLS_skip=YES", Reload{Block: true, Part: 3, Skip: true}, ""},
		{"_HLS_skip=v2", Reload{Part: -1, Skip: true}, ""},
		{"_HLS_part=3", Reload{}, "_HLS_part needs _HLS_msn"},
		{"_HLS_msn=", Reload{}, "_HLS_msn must be a whole number"},
		{"_HLS_msn=-1", Reload{}, "_HLS_msn must be"},
		{"_HLS_msn=1e3", Reload{}, "_HLS_msn must be"},
		{"_HLS_msn=99999999999999999999", Reload{}, "_HLS_msn must be"},
		{"_HLS_msn=1&_HLS_msn=2", Reload{}, "given 2 times"},
		{"_HLS_msn=1&_HLS_part=x", Reload{}, "_HLS_part must be"},
		{"_HLS_msn=1&_HLS_part=100001", Reload{}, "from 0 to 100000"},
		{"_HLS_skip=no", Reload{}, "YES or v2"},
	} {
		values, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseReload(values)
		if test.says == "" {
			if err != nil || got != test.want {
				t.Errorf("%q: %+v, %v", test.query, got, err)
			}
			continue
		}
		if errs.CodeOf(err) != errs.Invalid || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: the error is %v, it should say %q", test.query, err, test.says)
		}
	}
}

func TestHasAndTooFar(t *testing.T) {
	m := liveAt(213) // segments 6 to 20 complete, 3 parts of 21; parts from 16 on
	if m.MediaSequence != 6 || len(m.Segments) != 16 {
		t.Fatalf("segments %d to %d", m.MediaSequence, m.nextMSN()-1)
	}
	m.Segments[15].Parts = m.Segments[15].Parts[:3]
	for _, test := range []struct {
		msn         uint64
		part        int
		has, tooFar bool
	}{
		{3, -1, true, false},
		{20, -1, true, false},
		{20, 9, true, false},
		{20, 10, true, false}, // 21.0
		{21, 0, true, false},
		{21, 2, true, false},
		{21, 3, false, false},
		{21, -1, false, false},
		{22, 0, false, false},
		{22, -1, false, false},
		{23, -1, false, true},
		{maxMSN, -1, false, true},
		{8, 3, true, false},    // no parts any more
		{21, 15, false, false}, // 13 after the last part: the Advance Part Limit of 3 s
		{21, 16, false, true},
		{22, 12, false, false},
		{22, 13, false, true},
		{20, 99, true, false}, // 21.0
	} {
		r := Reload{Block: true, MSN: test.msn, Part: test.part}
		if m.Has(r) != test.has || m.TooFar(r) != test.tooFar {
			t.Errorf("%d.%d: has %v, too far %v", test.msn, test.part, m.Has(r), m.TooFar(r))
		}
	}
	closed := liveAt(210) // nothing of 21 yet
	if closed.Has(Reload{Block: true, MSN: 20, Part: 10}) {
		t.Error("21.0 is there before it was made")
	}
	if !m.Has(Reload{Part: -1}) {
		t.Error("a request that waits for nothing waits")
	}
	long := &Media{PartTarget: time.Second, Segments: []Segment{{URI: "0.mp4"}}}
	if long.TooFar(Reload{Block: true, MSN: 1, Part: 2}) || !long.TooFar(Reload{Block: true, MSN: 1, Part: 3}) {
		t.Error("with parts of a second the Advance Part Limit is not 3")
	}
	m.Ended = true
	if r := (Reload{Block: true, MSN: 99, Part: -1}); !m.Has(r) || m.TooFar(r) {
		t.Error("an ended playlist lets wait")
	}
	empty := &Media{}
	if empty.Has(Reload{Block: true}) || empty.TooFar(Reload{Block: true, MSN: 1}) {
		t.Error("an empty playlist has something or refuses the first segment")
	}
}

func FuzzParseReload(f *testing.F) {
	f.Add("_HLS_msn=12&_HLS_part=3&_HLS_skip=YES")
	f.Add("_HLS_msn=18446744073709551615")
	m := liveAt(213)
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := ParseReload(values)
		if err != nil {
			if errs.CodeOf(err) != errs.Invalid {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		if r.Part < -1 || r.Part >= 0 && !r.Block || m.Has(r) && m.TooFar(r) {
			t.Errorf("%q gives %+v", query, r)
		}
	})
}

func BenchmarkMedia(b *testing.B) {
	m := liveAt(213)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendTo(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDelta(b *testing.B) {
	m := liveAt(213)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendDelta(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

// What a delta update does not list, it does not say again either: the init
// segment that goes on is the client's from before.
func TestDeltaUpdate(t *testing.T) {
	m := liveAt(213) // segments 6 to 21; 3 changed the init segment
	m.Segments[13].Init, m.Segments[13].Discontinuity = "init-3.mp4", true
	m.Segments[14].Init, m.Segments[15].Init = "init-3.mp4", "init-3.mp4"
	full, delta := string(m.AppendTo(nil)), string(m.AppendDelta(nil))
	const head = "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:18.000Z\n#EXTINF:"
	if !strings.HasPrefix(delta, "#EXTM3U\n#EXT-X-VERSION:9\n") || !strings.Contains(delta, head) || strings.Count(delta, "EXT-X-MAP") != 1 {
		t.Errorf("the delta update is\n%s", delta)
	}
	tail := full[strings.Index(full, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:18.000Z"):]
	if !strings.HasSuffix(delta, tail) {
		t.Errorf("the delta update\n%s\ndoes not end as the playlist\n%s", delta, full)
	}
	if err := hlstest.CheckDelta([]byte(full), []byte(delta)); err != nil {
		t.Error(err)
	}
	m.SkipUntil = 26 * time.Second // 13 segments end 26.6 s before the end, the fourth 24.6 s
	if delta = string(m.AppendDelta(nil)); !strings.Contains(delta, "SKIPPED-SEGMENTS=2\n") {
		t.Errorf("the delta update is\n%s", delta)
	}
	m.SkipUntil = 26_600 * time.Millisecond // exactly at the boundary is not further away
	if delta = string(m.AppendDelta(nil)); !strings.Contains(delta, "SKIPPED-SEGMENTS=1\n") {
		t.Errorf("the delta update is\n%s", delta)
	}
}

// An event grows only at its end, whatever is a gap in it.
func TestEventWithGap(t *testing.T) {
	m := Media{Type: Event, TargetDuration: 4, HoldBack: 12 * time.Second, IndependentSegments: true}
	var before []byte
	for i := range 5 {
		m.Segments = append(m.Segments, Segment{
			URI: fmt.Sprintf("1-%d.mp4", i), Init: "init-1.mp4", Duration: 2 * time.Second, Gap: i == 2,
			ProgramDateTime: start.Add(time.Duration(i) * 2 * time.Second),
		})
		m.Ended = i == 4
		now := m.AppendTo(nil)
		if err := hlstest.CheckMedia(now); err != nil {
			t.Fatalf("%v\n%s", err, now)
		}
		if before != nil {
			if err := hlstest.CheckReload(before, now); err != nil {
				t.Fatalf("%v\n%s", err, now)
			}
		}
		before = now
	}
	if !strings.Contains(string(before), "#EXT-X-GAP\n#EXTINF:2.00000,\n1-2.mp4\n") {
		t.Errorf("the gap is not told in\n%s", before)
	}
}
