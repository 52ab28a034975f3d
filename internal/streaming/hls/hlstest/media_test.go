package hlstest

import (
	"fmt"
	"strings"
	"testing"
)

// A live playlist that breaks no rule: two complete segments, one being made.
const live = `#EXTM3U
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
#EXT-X-RENDITION-REPORT:URI="../low/media.m3u8",LAST-MSN=2,LAST-PART=1
`

// Lines of it.
const (
	hintLine   = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.2.mp4\"\n"
	reportLine = "#EXT-X-RENDITION-REPORT:URI=\"../low/media.m3u8\",LAST-MSN=2,LAST-PART=1\n"
	seqLine    = "#EXT-X-MEDIA-SEQUENCE:0\n"
	discLine   = "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
	date0      = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.000Z\n"
	date1      = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.500Z\n"
	date2      = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:00.920Z\n"
)

// endedLive is the same after its last segment is complete.
var endedLive = edit(live, hintLine, "#EXTINF:0.40000,\n1-2.mp4\n", reportLine, reportLine+"#EXT-X-ENDLIST\n")

// A recording.
const vod = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-1.mp4"
#EXTINF:4.00000,
1-0.mp4
#EXTINF:2.00000,
1-1.mp4
#EXT-X-ENDLIST
`

// sliding is a live playlist of segments of 4 s from one that is not the first,
// with the parts of the last ones.
func sliding(from, count int) string {
	var b strings.Builder
	b.WriteString(edit(live[:strings.Index(live, date0)], "SEQUENCE:0\n", fmt.Sprintf("SEQUENCE:%d\n", from)))
	for n := from; n < from+count; n++ {
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:%02d:%02d.000Z\n", n/15, n%15*4)
		if n >= from+count-3 {
			for p := range 20 {
				fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.20000,URI=\"1-%d.%d.mp4\"", n, p)
				if p == 0 {
					b.WriteString(",INDEPENDENT=YES")
				}
				b.WriteString("\n")
			}
		}
		fmt.Fprintf(&b, "#EXTINF:4.00000,\n1-%d.mp4\n", n)
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-%d.0.mp4\"\n", from+count)
	return b.String()
}

func TestGoodMedia(t *testing.T) {
	for name, playlist := range map[string]string{
		"a live playlist":        live,
		"an ended one":           endedLive,
		"a short sliding window": sliding(7, 6),
		"a long sliding window":  sliding(7, 60),
		"a short independent part": edit(live, `0.20000,URI="1-0.0.mp4"`, `0.18000,URI="1-0.0.mp4"`, "0.50000", "0.48000",
			"00.500Z", "00.480Z", "00.920Z", "00.900Z"),
		"a part before a gap": edit(live, `0.20000,URI="1-0.1.mp4"`, `0.05000,URI="1-0.1.mp4"`, `"1-0.2.mp4"`, `"1-0.2.mp4",GAP=YES`,
			"0.50000", "0.35000"),
		"a jump of the date at a discontinuity": edit(live, "19:00:00.500Z", "20:00:00.500Z", "19:00:00.920Z", "20:00:00.920Z"),
		"a small overlap at a discontinuity":    edit(live, "19:00:00.500Z", "19:00:00.100Z", "19:00:00.920Z", "19:00:00.520Z"),
		"a hint at the init segment":            edit(live, hintLine, "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"init-3.mp4\"\n"+hintLine),
	} {
		good(t, name, CheckMedia([]byte(playlist)))
	}
	good(t, "a recording", CheckVOD([]byte(vod)))
}

func badSyntax() []knownBad {
	return []knownBad{
		bad("text", "not UTF-8", live, "1-0.mp4", "1-\xff.mp4"),
		bad("text", "byte order mark", live, "#EXTM3U", "\ufeff#EXTM3U"),
		bad("text", "control character", live, "1-0.mp4", "1-\x01.mp4"),
		bad("lines", "no end", strings.TrimSuffix(live, "\n")),
		bad("lines", "empty line", live, "1-0.mp4\n", "1-0.mp4\n\n"),
		bad("lines", "CRLF", live, "1-0.mp4\n", "1-0.mp4\r\n"),
		bad("extm3u", "missing", live, "#EXTM3U\n", ""),
		bad("tag-known", "misspelt", live, "#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUTY\n"),
		bad("tag-once", "header", live, seqLine, seqLine+seqLine),
		bad("tag-once", "discontinuity", live, "#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n"),
		bad("tag-place", "late header", live, seqLine, "", "1-0.mp4\n", "1-0.mp4\n"+seqLine),
		bad("tag-place", "after the end", endedLive+"#EXT-X-GAP\n"),
		bad("tag-place", "segment after the hint", live+"#EXTINF:1.00000,\nx.mp4\n"),
		bad("playlist-kind", "variant in a media playlist", live, seqLine, seqLine+"#EXT-X-STREAM-INF:BANDWIDTH=1\n"),
		{"playlist-kind", "segment in a multivariant playlist", CheckMultivariant([]byte(edit(master, "#EXT-X-MEDIA:", "#EXTINF:1.0,\n#EXT-X-MEDIA:")))},
		bad("attribute-list", "twice", live, "CAN-BLOCK-RELOAD=YES", "CAN-BLOCK-RELOAD=YES,CAN-BLOCK-RELOAD=YES"),
		bad("attribute-list", "no end quote", live, `"init-1.mp4"`, `"init-1.mp4`),
		bad("attribute-list", "lower case", live, "URI=\"init-1", "uri=\"init-1"),
		bad("attribute-list", "comma at the end", live, "PART-TARGET=0.22000", "PART-TARGET=0.22000,"),
		bad("attribute-value", "no quotes", live, `"init-1.mp4"`, "init-1.mp4"),
		bad("attribute-value", "negative", live, "DURATION=0.20000", "DURATION=-0.2"),
		bad("attribute-value", "no duration", live, "DURATION=0.20000,", ""),
		bad("attribute-value", "no YES", live, "INDEPENDENT=YES", "INDEPENDENT=1"),
		bad("attribute-value", "hint of no type", live, "TYPE=PART", "TYPE=KEY"),
		bad("attribute-value", "type", live, discLine, "#EXT-X-PLAYLIST-TYPE:LIVE\n"),
		bad("attribute-value", "number", live, "LAST-MSN=2", "LAST-MSN=+2"),
		bad("extinf", "no EXTINF", live, "#EXTINF:0.50000,\n", ""),
		bad("extinf", "no URI", live, "1-0.mp4\n", ""),
		bad("extinf", "no URI at the end", edit(vod, "1-1.mp4\n#EXT-X-ENDLIST\n", "")),
		bad("extinf", "no comma", live, "0.50000,", "0.50000"),
		bad("extinf", "no number", live, "EXTINF:0.50000,", "EXTINF:half,"),
		bad("before-parts", "map", live, "#EXT-X-MAP:URI=\"init-1.mp4\"\n", "", "INDEPENDENT=YES\n", "INDEPENDENT=YES\n#EXT-X-MAP:URI=\"init-1.mp4\"\n"),
		bad("before-parts", "date", live, date0, "", "INDEPENDENT=YES\n", "INDEPENDENT=YES\n"+date0),
		bad("date", "day only", live, "2026-11-22T19:00:00.000Z", "2026-11-22"),
		{"stream-inf", "no URI", CheckMultivariant([]byte(edit(master, "v.m3u8\n", "")))},
		{"stream-inf", "URI alone", CheckMultivariant([]byte(master + "x.m3u8\n"))},
		{"stream-inf", "tag between", CheckMultivariant([]byte(edit(master, "v.m3u8\n", "#EXT-X-INDEPENDENT-SEGMENTS\n")))},
		{"tag-known", "multivariant", CheckMultivariant([]byte(master + "#EXT-X-FOO\n"))},
		{"tag-once", "multivariant", CheckMultivariant([]byte(edit(master, "#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6\n")))},
	}
}

func badMedia() []knownBad {
	vodCase := func(rule, name string, pairs ...string) knownBad {
		return knownBad{rule, name, CheckVOD([]byte(edit(vod, pairs...)))}
	}
	return []knownBad{
		bad("version", "map", live, "VERSION:6", "VERSION:5"),
		bad("version", "skip", live, "CAN-BLOCK", "CAN-BLOCK", discLine, discLine+"#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n"),
		bad("version-high", "media", live, "VERSION:6", "VERSION:9"),
		{"version-high", "multivariant", CheckMultivariant([]byte(edit(master, "VERSION:6", "VERSION:7")))},
		bad("target-duration", "missing", live, "#EXT-X-TARGETDURATION:4\n", ""),
		bad("segment-duration", "rounded up", live, "0.42000", "4.50000"),
		bad("apple-7.7", "too long", live, "0.42000", "4.60000"),
		bad("segment-zero", "zero", live, "EXTINF:0.42000", "EXTINF:0"),
		bad("not-empty", "no segments", "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n"),
		bad("type-removal", "event", live, seqLine, "#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-PLAYLIST-TYPE:EVENT\n"),
		vodCase("vod-ended", "goes on", "#EXT-X-ENDLIST\n", ""),
		vodCase("apple-8.6", "no type", "#EXT-X-PLAYLIST-TYPE:VOD\n", discLine),
		bad("map", "missing", live, "#EXT-X-MAP:URI=\"init-1.mp4\"\n", ""),
		bad("map-discontinuity", "new map", live, "#EXT-X-DISCONTINUITY\n", ""),
		bad("uri-once", "part", live, "1-2.0.mp4", "1-1.0.mp4"),
		bad("uri-once", "hint", live, "1-2.2.mp4", "1-2.1.mp4"),
		bad("gap-parts", "segment alone", live, "#EXTINF:0.42000", "#EXT-X-GAP\n#EXTINF:0.42000"),
		bad("gap-parts", "parts alone", live, `1-1.0.mp4"`, `1-1.0.mp4",GAP=YES`, `1-1.1.mp4"`, `1-1.1.mp4",GAP=YES`),
		bad("ended-complete", "parts at the end", endedLive, "#EXTINF:0.40000,\n1-2.mp4\n", ""),
	}
}

func badLive() []knownBad {
	long := sliding(7, 60)
	return []knownBad{
		bad("apple-8.4", "no date", live, date0, ""),
		bad("date-discontinuity", "no date", live, date1, ""),
		bad("date-order", "a second back", live, "19:00:00.500Z", "18:59:59.400Z"),
		bad("date-order", "a whole segment back", live, "19:00:00.500Z", "19:00:00.000Z"),
		bad("date-steady", "jump", live, "19:00:00.920Z", "19:00:01.920Z"),
		bad("apple-8.11", "five segments", sliding(7, 5)),
		bad("three-targets", "too short", live, "SEQUENCE:0\n", "SEQUENCE:7\n"),
		bad("apple-8.17", "no tag", live, discLine, ""),
		bad("hold-back", "short", live, ",HOLD-BACK=12.00000", ",HOLD-BACK=11.00000"),
		bad("skip-until", "short", live, "24.00000", "23.00000"),
		bad("skip-offered", "not offered", live, ",CAN-SKIP-UNTIL=24.00000", "", discLine, discLine+"#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n"),
		bad("skip-offered", "ended", endedLive, discLine, discLine+"#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n"),
		bad("server-control", "no blocking", live, "CAN-BLOCK-RELOAD=YES,", ""),
		bad("server-control", "no hold back", live, "PART-HOLD-BACK=0.66000,", ""),
		bad("server-control", "gone at the end", endedLive, live[strings.Index(live, "#EXT-X-SERVER"):strings.Index(live, "#EXT-X-PART-INF")], ""),
		bad("apple-14.3", "short", live, "0.66000", "0.60000"),
		bad("apple-14.4", "no delta updates", long, ",CAN-SKIP-UNTIL=24.00000", ""),
		bad("hint", "missing", live, hintLine, ""),
		bad("hint-ended", "still there", edit(live, reportLine, "")+"#EXT-X-ENDLIST\n"),
		bad("hint-once", "two", live, hintLine, hintLine+edit(hintLine, "2.2", "2.3")),
		bad("report-uri", "absolute", live, "../low/media.m3u8", "http://example.com/low/media.m3u8"),
		bad("report-values", "no part", live, ",LAST-PART=1", ""),
		bad("report-values", "no number", live, ",LAST-MSN=2", ""),
	}
}

func badParts() []knownBad {
	var old strings.Builder // segments after the parts of the first ones
	for n := 3; n < 7; n++ {
		fmt.Fprintf(&old, "#EXTINF:4.00000,\n1-%d.mp4\n", n)
	}
	return []knownBad{
		bad("part-inf", "missing", live, "#EXT-X-PART-INF:PART-TARGET=0.22000\n", ""),
		bad("part-inf", "no target", live, "PART-TARGET=0.22000", "FOO=1"),
		bad("part-long", "too long", live, `0.22000,URI`, `0.23000,URI`, "0.42000", "0.43000"),
		bad("part-short", "in the middle", live, `0.20000,URI="1-0.1.mp4"`, `0.18000,URI="1-0.1.mp4"`, "0.50000", "0.48000"),
		bad("part-zero", "zero", live, `0.10000,URI`, `0.00000,URI`, "0.50000", "0.40000"),
		bad("part-sum", "a millisecond", live, "0.50000", "0.50100"),
		bad("part-old", "not gone", live, date2, old.String()+date2),
		bad("part-order", "gone too early", live, live[strings.Index(live, "#EXT-X-PART:DURATION=0.20000,URI=\"1-1.0"):strings.Index(live, "#EXTINF:0.42")], ""),
		bad("part-first", "dependent", live, ",INDEPENDENT=YES", ""),
		bad("part-independent", "none", live, ",INDEPENDENT=YES", "", "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
	}
}

func FuzzParseMedia(f *testing.F) {
	f.Add([]byte(live))
	f.Add([]byte(endedLive))
	f.Add([]byte(vod))
	f.Add([]byte(sliding(7, 6)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMedia(data)
		if err != nil {
			if len(FindingsOf(err)) != 1 {
				t.Fatalf("the error %v is no finding", err)
			}
			return
		}
		if found := checkReload(m, m); len(found) > 0 && m.Skipped == 0 {
			t.Errorf("a playlist differs from itself: %v", found)
		}
		for _, other := range []string{live, endedLive, vod} {
			_ = CheckReload([]byte(other), data)
			_ = CheckReload(data, []byte(other))
			_ = CheckDelta([]byte(other), data)
			_ = CheckRenditions("http://h/m.m3u8", []byte(master), []Listed{{"http://h/a.m3u8", []byte(other)}, {"http://h/v.m3u8", data}})
		}
		_ = CheckBlocked(data, 3, 1)
	})
}
