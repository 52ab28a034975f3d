package hlstest

import (
	"bytes"
	"strings"
	"testing"
)

// A live playlist that breaks no rule: two complete segments, one being made.
const live = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.66000,HOLD-BACK=12.00000,CAN-SKIP-UNTIL=24.00000
#EXT-X-PART-INF:PART-TARGET=0.22000
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.000Z
#EXT-X-PART:DURATION=0.20000,URI="1-0.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.20000,URI="1-0.1.mp4"
#EXT-X-PART:DURATION=0.10000,URI="1-0.2.mp4"
#EXTINF:0.50000,
1-0.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.500Z
#EXT-X-PART:DURATION=0.20000,URI="1-1.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.22000,URI="1-1.1.mp4"
#EXTINF:0.42000,
1-1.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.920Z
#EXT-X-PART:DURATION=0.20000,URI="1-2.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.20000,URI="1-2.1.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1-2.2.mp4"
`

// edit is an old text and what stands in its place, in pairs.
func edit(playlist string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(playlist, pairs[i]) {
			panic("the playlist has no " + pairs[i])
		}
		playlist = strings.Replace(playlist, pairs[i], pairs[i+1], 1)
	}
	return playlist
}

// endedLive is the same after its last segment is complete.
var endedLive = edit(live, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.2.mp4\"\n", "#EXTINF:0.40000,\n1-2.mp4\n#EXT-X-ENDLIST\n",
	"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.66000,HOLD-BACK=12.00000,CAN-SKIP-UNTIL=24.00000\n", "")

// want checks an error by what it must say; "" wants none.
func want(t *testing.T, err error, says string) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("refused: %v", err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("the error is %v, it should say %q", err, says)
	}
}

func TestCheckMedia(t *testing.T) {
	old := "#EXT-X-MEDIA-SEQUENCE:0\n"
	var long strings.Builder // segments after the parts of the first ones
	for _, n := range []string{"3", "4", "5", "6"} {
		long.WriteString("#EXTINF:4.00000,\n1-" + n + ".mp4\n")
	}
	tail := "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.920Z\n"
	for _, test := range []struct{ name, says, playlist string }{
		{"good", "", live},
		{"good, ended", "", endedLive},
		{"short independent part", "", edit(live, `0.20000,URI="1-0.0.mp4"`, `0.18000,URI="1-0.0.mp4"`, "0.50000", "0.48000")},
		{"part before a gap", "", edit(live, `0.20000,URI="1-0.1.mp4"`, `0.05000,URI="1-0.1.mp4"`, `"1-0.2.mp4"`, `"1-0.2.mp4",GAP=YES`, "0.50000", "0.35000")},

		{"no EXTM3U", "first line", edit(live, "#EXTM3U\n", "")},
		{"no last line end", "no end", strings.TrimSuffix(live, "\n")},
		{"empty line", "is empty", edit(live, "1-0.mp4\n", "1-0.mp4\n\n")},
		{"CRLF", "space around", edit(live, "1-0.mp4\n", "1-0.mp4\r\n")},
		{"not UTF-8", "not UTF-8", edit(live, "1-0.mp4", "1-\xff.mp4")},
		{"unknown tag", "the tag is unknown", edit(live, "#EXT-X-DISCONTINUITY", "#EXT-X-DISCONTINUTY")},
		{"header tag twice", "stands twice", edit(live, old, old+old)},
		{"header tag late", "before the first segment", edit(live, old, "", "1-0.mp4\n", "1-0.mp4\n"+old)},
		{"URI without EXTINF", "no EXTINF", edit(live, "#EXTINF:0.50000,\n", "")},
		{"EXTINF without URI", "between EXTINF", edit(live, "1-0.mp4\n", "")},
		{"EXTINF at the end", "no URI after it", edit(endedLive, "1-2.mp4\n#EXT-X-ENDLIST\n", "")},
		{"EXTINF without comma", "comma", edit(live, "0.50000,", "0.50000")},
		{"tags after the end", "follows EXT-X-ENDLIST", endedLive + "#EXT-X-GAP\n"},
		{"tags after the hint", "follows EXT-X-PRELOAD-HINT", live + "#EXT-X-GAP\n"},
		{"attribute twice", "stands twice", edit(live, "CAN-BLOCK-RELOAD=YES", "CAN-BLOCK-RELOAD=YES,CAN-BLOCK-RELOAD=YES")},
		{"attribute without quotes", "quoted string", edit(live, `"init-1.mp4"`, "init-1.mp4")},
		{"attribute without end quote", "closing quote", edit(live, `"init-1.mp4"`, `"init-1.mp4`)},
		{"lower case name", "no attribute name", edit(live, "URI=\"init-1", "uri=\"init-1")},
		{"bad number", "no decimal number", edit(live, "DURATION=0.20000", "DURATION=-0.2")},
		{"bad date", "PROGRAM-DATE-TIME", edit(live, "2026-11-22T19:00:00.000Z", "2026-11-22")},
		{"bad YES", "YES or NO", edit(live, "INDEPENDENT=YES", "INDEPENDENT=1")},
		{"hint of another type", "TYPE must be PART", edit(live, "TYPE=PART", "TYPE=MAP")},
		{"map after a part", "before the parts", edit(live, "#EXT-X-MAP:URI=\"init-1.mp4\"\n", "", "INDEPENDENT=YES\n", "INDEPENDENT=YES\n#EXT-X-MAP:URI=\"init-1.mp4\"\n")},

		{"old version", "needs 6", edit(live, "VERSION:9", "VERSION:5")},
		{"skip needs 9", "needs 9", edit(live, "VERSION:9", "VERSION:7")},
		{"no target duration", "TARGETDURATION is missing", edit(live, "#EXT-X-TARGETDURATION:4\n", "")},
		{"segment too long", "more than the target duration", edit(live, "0.42000", "4.60000")},
		{"segment of no length", "has no duration", edit(live, "EXTINF:0.42000", "EXTINF:0")},
		{"VOD without end", "no EXT-X-ENDLIST", edit(live, old, old+"#EXT-X-PLAYLIST-TYPE:VOD\n")},
		{"EVENT shortened", "nothing may be removed", edit(live, old, "#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-PLAYLIST-TYPE:EVENT\n")},
		{"bad type", "EVENT or VOD", edit(live, old, "#EXT-X-PLAYLIST-TYPE:LIVE\n")},
		{"no segments", "has no segment", "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n"},
		{"hold back", "HOLD-BACK is 11s", edit(live, "HOLD-BACK=12.00000", "HOLD-BACK=11.00000")},
		{"part hold back", "PART-HOLD-BACK is 600ms", edit(live, "0.66000", "0.60000")},
		{"skip until", "less than 6", edit(live, "24.00000", "23.00000")},
		{"skip without control", "without CAN-SKIP-UNTIL", edit(live, ",CAN-SKIP-UNTIL=24.00000", "", old, old+"#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n")},
		{"no blocking reload", "CAN-BLOCK-RELOAD", edit(live, "CAN-BLOCK-RELOAD=YES,", "")},
		{"no map", "segment 0 has no EXT-X-MAP", edit(live, "#EXT-X-MAP:URI=\"init-1.mp4\"\n", "")},
		{"new map without discontinuity", "no EXT-X-DISCONTINUITY", edit(live, "#EXT-X-DISCONTINUITY\n", "")},
		{"no date", "no EXT-X-PROGRAM-DATE-TIME", edit(live, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.000Z\n", "")},
		{"date goes back", "a date before", edit(live, "19:00:00.500Z", "18:00:00.500Z")},
		{"too short when sliding", "less than 3 target durations", edit(live, old, "#EXT-X-MEDIA-SEQUENCE:7\n")},
		{"parts without PART-INF", "without EXT-X-PART-INF", edit(live, "#EXT-X-PART-INF:PART-TARGET=0.22000\n", "")},
		{"PART-INF without target", "PART-TARGET is missing", edit(live, "PART-TARGET=0.22000", "FOO=1")},
		{"old parts", "go after 3 target durations", edit(live, tail, long.String()+tail)},
		{"part too long", "more than the part target", edit(live, `0.22000,URI`, `0.23000,URI`, "0.42000", "0.43000")},
		{"part too short", "less than 85 %", edit(live, `0.20000,URI="1-0.1.mp4"`, `0.18000,URI="1-0.1.mp4"`, "0.50000", "0.48000")},
		{"part of no length", "has no duration", edit(live, `0.10000,URI`, `0.00000,URI`, "0.50000", "0.40000")},
		{"parts differ from the segment", "its parts", edit(live, "0.50000", "0.50100")},
		{"first part dependent", "not independent", edit(live, ",INDEPENDENT=YES", "")},
		{"one URI twice", "1-1.0.mp4 stands twice", edit(live, "1-2.0.mp4", "1-1.0.mp4")},
		{"no hint", "hint is missing", edit(live, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.2.mp4\"\n", "")},
		{"hint after the end", "has a preload hint", live + "#EXT-X-ENDLIST\n"},
		{"ended in the middle", "not complete", edit(endedLive, "#EXTINF:0.40000,\n1-2.mp4\n", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			want(t, CheckMedia([]byte(test.playlist)), test.says)
		})
	}
}

func TestCheckReload(t *testing.T) {
	next := edit(live, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.2.mp4\"\n",
		"#EXT-X-PART:DURATION=0.20000,URI=\"1-2.2.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.3.mp4\"\n")
	drop := next[strings.Index(next, "#EXT-X-MAP"):strings.Index(next, "#EXT-X-DISCONTINUITY")]
	slid := edit(next, drop, "", "SEQUENCE:0", "SEQUENCE:1")
	drop2 := slid[strings.Index(slid, "#EXT-X-DISCONTINUITY"):strings.Index(slid, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.920Z")]
	slid2 := edit(slid, drop2, "#EXT-X-MAP:URI=\"init-2.mp4\"\n", "SEQUENCE:1\n", "SEQUENCE:2\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n")
	event := edit(live, "#EXT-X-INDEP", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEP")
	for _, test := range []struct{ name, says, before, after string }{
		{"the same", "", live, live},
		{"one part more", "", live, next},
		{"a segment less", "", live, slid},
		{"a discontinuity less", "", live, slid2},
		{"ended", "", live, endedLive},
		{"the segment ended at the hint", "", live, edit(live, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.2.mp4\"\n",
			"#EXTINF:0.40000,\n1-2.mp4\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-3.0.mp4\"\n")},
		{"old parts leave", "", live, edit(next, `#EXT-X-PART:DURATION=0.20000,URI="1-0.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.20000,URI="1-0.1.mp4"
#EXT-X-PART:DURATION=0.10000,URI="1-0.2.mp4"
`, "")},

		{"target duration", "TARGETDURATION changed", live, edit(live, "DURATION:4", "DURATION:5")},
		{"part target", "PART-TARGET changed", live, edit(live, "PART-TARGET=0.22", "PART-TARGET=0.23")},
		{"backwards", "SEQUENCE went back", slid, live},
		{"segments lost at the end", "last segment went back", live, slid[:strings.Index(slid, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.920Z")]},
		{"too far apart", "too far apart", live, edit(slid, "SEQUENCE:1", "SEQUENCE:9")},
		{"discontinuity sequence", "it should be 1", live, edit(slid2, "#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "")},
		{"discontinuity sequence too early", "it should be 0", live, edit(slid, "SEQUENCE:1\n", "SEQUENCE:1\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n")},
		{"another duration", "segment 0 was", live, edit(live, "EXTINF:0.50000", "EXTINF:0.50010")},
		{"another name", "segment 1 was", live, edit(live, "\n1-1.mp4", "\n1-x.mp4")},
		{"another date", "segment 2 changed its date", live, edit(live, "00.920Z", "00.930Z")},
		{"a part renamed", "parts of segment 2 changed", live, edit(live, "1-2.1", "1-2.x")},
		{"not the hinted part", "the hint was 1-2.2.mp4", live, edit(next, "URI=\"1-2.2", "URI=\"1-2.x")},
		{"removed from EVENT", "removed from an EVENT", event, edit(slid, "#EXT-X-INDEP", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEP")},
		{"changed after the end", "changed after EXT-X-ENDLIST", endedLive, live},
	} {
		t.Run(test.name, func(t *testing.T) {
			want(t, CheckReload([]byte(test.before), []byte(test.after)), test.says)
		})
	}
}

func TestCheckMultivariant(t *testing.T) {
	const good = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS="avc1.42e01f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="aac"
v.m3u8
`
	media := good[strings.Index(good, "#EXT-X-MEDIA"):strings.Index(good, "#EXT-X-STREAM")]
	for _, test := range []struct{ name, says, playlist string }{
		{"good", "", good},
		{"old version", "below 6", edit(good, "VERSION:7", "VERSION:3")},
		{"not independent", "INDEPENDENT-SEGMENTS is missing", edit(good, "#EXT-X-INDEPENDENT-SEGMENTS\n", "")},
		{"no variants", "no variant", "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"},
		{"no bandwidth", "BANDWIDTH", edit(good, "BANDWIDTH=3000000,", "")},
		{"zero bandwidth", "BANDWIDTH is 0", edit(good, "=3000000", "=0")},
		{"average above", "above BANDWIDTH", edit(good, "2500000", "3500000")},
		{"no codecs", "CODECS is missing", edit(good, `CODECS="avc1.42e01f,mp4a.40.2",`, "")},
		{"no resolution", "needs RESOLUTION", edit(good, "RESOLUTION=1280x720,", "")},
		{"no frame rate", "needs RESOLUTION and FRAME-RATE", edit(good, "FRAME-RATE=30.000,", "")},
		{"no such group", "does not exist", edit(good, `AUDIO="aac"`, `AUDIO="opus"`)},
		{"name twice", "stands twice", edit(good, media, media+media)},
		{"default alone", "without AUTOSELECT", edit(good, "AUTOSELECT=YES,", "")},
		{"no URI", "no URI after it", edit(good, "v.m3u8\n", "")},
		{"URI alone", "no EXT-X-STREAM-INF", good + "x.m3u8\n"},
		{"unknown tag", "unknown", good + "#EXT-X-FOO\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want(t, CheckMultivariant([]byte(test.playlist)), test.says)
		})
	}
}

func FuzzParseMedia(f *testing.F) {
	f.Add([]byte(live))
	f.Add([]byte(endedLive))
	f.Fuzz(func(t *testing.T, data []byte) {
		if CheckMedia(data) != nil {
			return
		}
		if err := CheckReload(data, data); err != nil && !strings.Contains(err.Error(), "delta") {
			t.Errorf("a good playlist differs from itself: %v", err)
		}
	})
}

func FuzzParseMultivariant(f *testing.F) {
	f.Add([]byte("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42e01f\",AUDIO=\"a\"\nv.m3u8\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMultivariant(data)
		if err == nil && bytes.Count(data, []byte("#EXT-X-STREAM-INF")) < len(m.Variants) {
			t.Errorf("%d variants in %q", len(m.Variants), data)
		}
	})
}
