package hlstest

import (
	"strings"
	"testing"
	"time"
)

// Playlists that follow on live.
var (
	nextPart = edit(live, hintLine, "#EXT-X-PART:DURATION=0.20000,URI=\"1-2.2.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.3.mp4\"\n")
	first    = live[strings.Index(live, "#EXT-X-MAP"):strings.Index(live, "#EXT-X-DISCONTINUITY\n")]
	slid     = edit(nextPart, first, "", "MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:1")
	second   = slid[strings.Index(slid, "#EXT-X-DISCONTINUITY\n"):strings.Index(slid, date2)]
	slid2    = edit(slid, second, "#EXT-X-MAP:URI=\"init-2.mp4\"\n", "MEDIA-SEQUENCE:1\n", "MEDIA-SEQUENCE:2\n", discLine, edit(discLine, "0", "1"))
	event    = edit(live, discLine, discLine+"#EXT-X-PLAYLIST-TYPE:EVENT\n")
	// At the end of a segment the hint is at the first part of the next.
	closed = edit(live, hintLine, "#EXTINF:0.40000,\n1-2.mp4\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-3.0.mp4\"\n")
	newMap = "#EXTINF:0.40000,\n1-2.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-3.mp4\"\n" +
		"#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:01.320Z\n#EXT-X-PART:DURATION=0.20000,URI=\"1-3.0.mp4\",INDEPENDENT=YES\n" +
		"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-3.1.mp4\"\n"
)

func TestGoodReload(t *testing.T) {
	mapHinted := edit(closed, "#EXT-X-PRELOAD-HINT", "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"init-3.mp4\"\n#EXT-X-PRELOAD-HINT")
	for name, pair := range map[string][2]string{
		"the same":                              {live, live},
		"one part more":                         {live, nextPart},
		"a segment less":                        {live, slid},
		"a discontinuity less":                  {live, slid2},
		"ended":                                 {live, endedLive},
		"nothing after the end":                 {endedLive, endedLive},
		"the segment ended at the hint":         {live, closed},
		"another init segment after a late key": {live, edit(live, hintLine, newMap)},
		"another init segment as hinted":        {mapHinted, edit(live, hintLine, newMap)},
		"old parts leave":                       {live, edit(nextPart, live[strings.Index(live, "#EXT-X-PART:"):strings.Index(live, "#EXTINF")], "")},
	} {
		good(t, name, CheckUpdate([]byte(pair[0]), []byte(pair[1]), 430*time.Millisecond))
	}
	for name, playlist := range map[string]string{"live": live, "next": nextPart, "slid": slid, "ended": endedLive, "new map": edit(live, hintLine, newMap)} {
		if err := CheckMedia([]byte(playlist)); err != nil && name != "slid" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func badReload() []knownBad {
	re := func(rule, name, before, after string) knownBad {
		return knownBad{rule, name, CheckReload([]byte(before), []byte(after))}
	}
	plain := edit(event, "#EXT-X-PART-INF:PART-TARGET=0.22000\n", "", hintLine, "", "CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.66000,", "")
	for strings.Contains(plain, "#EXT-X-PART:") {
		at := strings.Index(plain, "#EXT-X-PART:")
		plain = plain[:at] + plain[at+strings.Index(plain[at:], "\n")+1:]
	}
	return []knownBad{
		re("reload-target", "longer", live, edit(live, "TARGETDURATION:4", "TARGETDURATION:5")),
		re("reload-header", "part target", live, edit(live, "PART-TARGET=0.22", "PART-TARGET=0.23")),
		re("reload-header", "control gone", live, edit(endedLive, "CAN-BLOCK-RELOAD=YES,", "")),
		re("reload-header", "independence lost", live, edit(nextPart, "#EXT-X-INDEPENDENT-SEGMENTS\n", "")),
		re("reload-ended", "goes on", endedLive, live),
		re("sequence-back", "back", slid, live),
		re("edge-back", "segment lost", live, live[:strings.Index(live, date2)]),
		re("part-changed", "part lost", nextPart, live),
		re("reload-jump", "too far", live, edit(slid, "MEDIA-SEQUENCE:1", "MEDIA-SEQUENCE:9")),
		re("event-removed", "removed", event, edit(slid, discLine, discLine+"#EXT-X-PLAYLIST-TYPE:EVENT\n")),
		re("discontinuity-sequence", "not raised", live, edit(slid2, edit(discLine, "0", "1"), discLine)),
		re("discontinuity-sequence", "too early", live, edit(slid, discLine, edit(discLine, "0", "1"))),
		re("segment-changed", "duration", live, edit(live, "EXTINF:0.50000", "EXTINF:0.50010")),
		re("segment-changed", "name", live, edit(live, "\n1-1.mp4", "\n1-x.mp4")),
		re("segment-changed", "date", live, edit(live, "00.920Z", "00.930Z")),
		re("part-changed", "name", live, edit(live, "1-2.1", "1-2.x")),
		re("part-changed", "added to a complete segment", live, edit(live, "#EXTINF:0.50000", "#EXT-X-PART:DURATION=0.10000,URI=\"x.mp4\"\n#EXTINF:0.50000")),
		re("hint-kept", "another", live, edit(nextPart, "URI=\"1-2.2", "URI=\"1-2.x")),
		re("hint-map", "not hinted", closed, edit(live, hintLine, edit(newMap, "#EXT-X-DISCONTINUITY\n", ""))),
		{"update-part", "late", CheckUpdate([]byte(live), []byte(nextPart), 450*time.Millisecond)},
		{"update-segment", "late", CheckUpdate([]byte(plain), []byte(plain), 7*time.Second)},
		{"text", "the earlier playlist", CheckReload([]byte("\xff"), []byte(live))},
	}
}

// A full playlist and its delta update: 11 segments of 4 s, of which 5 and a
// little are further from the end than 24 s.
var (
	full  = sliding(7, 11)
	delta = edit(full, "VERSION:6", "VERSION:9", "#EXT-X-MAP:URI=\"init-1.mp4\"\n",
		"#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n", full[strings.Index(full, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:28"):strings.Index(full, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:44")], "")
)

func TestGoodDelta(t *testing.T) {
	good(t, "a delta update", CheckDelta([]byte(full), []byte(delta)))
	good(t, "a delta update alone", CheckMedia([]byte(delta)))
	before, after := mustParse(t, sliding(6, 11)), mustParse(t, delta)
	merged, ok := before.Merge(after)
	if !ok || merged.NextMSN() != 18 || len(merged.Segments) != 11 || merged.Segments[4].Init != "init-1.mp4" {
		t.Errorf("merged: %v, %+v", ok, merged)
	}
	if _, ok := mustParse(t, sliding(9, 6)).Merge(after); ok {
		t.Error("a player that has not what is skipped can merge")
	}
	if same, ok := before.Merge(before); !ok || same != before {
		t.Error("a whole playlist does not stand for itself")
	}
}

func mustParse(t *testing.T, playlist string) *Media {
	t.Helper()
	m, err := ParseMedia([]byte(playlist))
	if err != nil {
		t.Fatalf("%v\n%s", err, playlist)
	}
	return m
}

func badDelta() []knownBad {
	d := func(rule, name string, pairs ...string) knownBad {
		return knownBad{rule, name, CheckDelta([]byte(full), []byte(edit(delta, pairs...)))}
	}
	segment := func(n string) string {
		at := strings.Index(delta, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:"+n)
		return delta[at : at+strings.Index(delta[at:], ".mp4\n")+5]
	}
	earlier := full[strings.Index(full, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:40"):strings.Index(full, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T19:00:44")]
	return []knownBad{
		d("delta-header", "target", "PART-TARGET=0.22", "PART-TARGET=0.23"),
		d("delta-header", "sequence", "MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:8"),
		d("delta-header", "discontinuities", discLine, edit(discLine, "0", "1")),
		d("delta-header", "hint", "1-18.0", "1-18.1"),
		d("delta-count", "wrong", "SEGMENTS=4", "SEGMENTS=3"),
		d("delta-count", "zero", "SEGMENTS=4", "SEGMENTS=0"),
		{"delta-count", "nothing", CheckDelta([]byte(full), []byte(full))},
		d("delta-tail", "renamed", "\n1-12.mp4", "\n1-x.mp4"),
		d("delta-tail", "map again", "SEGMENTS=4\n", "SEGMENTS=4\n#EXT-X-MAP:URI=\"init-1.mp4\"\n"),
		d("delta-boundary", "two too many", "SEGMENTS=4\n", "SEGMENTS=6\n", segment("44"), "", segment("48"), ""),
		d("delta-all", "one too few", "SEGMENTS=4\n", "SEGMENTS=3\n"+earlier),
	}
}
