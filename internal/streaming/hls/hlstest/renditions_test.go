package hlstest

import (
	"strings"
	"testing"
	"time"
)

const base = "http://h/live/c/"

// threeOf returns the media playlists v, w and a of master, each with reports on
// the others, made of one playlist.
func threeOf(playlist string, last string) []Listed {
	report := func(name string) string { return "#EXT-X-RENDITION-REPORT:URI=\"" + name + ".m3u8\"," + last + "\n" }
	var out []Listed
	for _, name := range []string{"v", "w", "a", "b"} {
		text := edit(playlist, reportLine, "")
		for _, other := range []string{"v", "w", "a", "b"} {
			if other != name {
				text += report(other)
			}
		}
		out = append(out, Listed{URI: base + name + ".m3u8", Playlist: []byte(text)})
	}
	return out
}

func aligned() []Listed { return threeOf(live, "LAST-MSN=2,LAST-PART=1") }

func TestGoodRenditions(t *testing.T) {
	good(t, "three playlists", CheckRenditions(base+"m.m3u8", []byte(master), aligned()))
	one := edit(master[:strings.Index(master, "#EXT-X-MEDIA")]+master[strings.LastIndex(master, "#EXT-X-STREAM"):], ",AUDIO=\"aac\"", "")
	good(t, "one playlist", CheckRenditions(base+"m.m3u8", []byte(one), []Listed{{base + "w.m3u8", []byte(edit(live, reportLine, ""))}}))
	ahead := aligned()
	ahead[1].Playlist = threeOf(nextPart, "LAST-MSN=2,LAST-PART=1")[1].Playlist
	for i := range ahead {
		if i != 1 {
			ahead[i].Playlist = []byte(edit(string(ahead[i].Playlist), "URI=\"w.m3u8\",LAST-MSN=2,LAST-PART=1", "URI=\"w.m3u8\",LAST-MSN=2,LAST-PART=2"))
		}
	}
	good(t, "one a part ahead", CheckRenditions(base+"m.m3u8", []byte(master), ahead))
}

func badRenditions(t *testing.T) []knownBad {
	t.Helper()
	// set returns a case where one of the playlists is edited.
	set := func(rule, name string, which int, pairs ...string) knownBad {
		three := aligned()
		three[which].Playlist = []byte(edit(string(three[which].Playlist), pairs...))
		return knownBad{rule, name, CheckRenditions(base+"m.m3u8", []byte(master), three)}
	}
	of := func(rule, name, mv string, listed []Listed) knownBad {
		return knownBad{rule, name, CheckRenditions(base+"m.m3u8", []byte(mv), listed)}
	}
	mixed := aligned()
	far := strings.Replace(nextPart, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.3.mp4\"\n",
		"#EXT-X-PART:DURATION=0.20000,URI=\"1-2.3.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1-2.4.mp4\"\n", 1)
	mixed[1].Playlist = threeOf(far, "LAST-MSN=2,LAST-PART=1")[1].Playlist
	independent := edit(master, "#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	return []knownBad{
		set("same-target", "other", 1, "TARGETDURATION:4", "TARGETDURATION:3"),
		set("same-type", "other", 1, discLine, discLine+"#EXT-X-PLAYLIST-TYPE:EVENT\n"),
		set("same-control", "other", 1, "PART-HOLD-BACK=0.66", "PART-HOLD-BACK=0.77"),
		set("same-dates", "other", 1, "00.920Z", "00.980Z"),
		set("apple-8.15", "missing", 1, "#EXT-X-DISCONTINUITY\n", ""),
		set("apple-8.15", "number", 1, discLine, edit(discLine, "0", "1")),
		set("apple-8.22", "longer", 1, "0.42000,", "0.48000,"),
		set("same-parts", "cut elsewhere", 1, `0.20000,URI="1-0.0`, `0.14000,URI="1-0.0`),
		set("same-parts", "fewer", 1, "#EXT-X-PART:DURATION=0.10000,URI=\"1-0.2.mp4\"\n", ""),
		of("in-sync", "two parts ahead", master, mixed),
		set("in-sync", "report", 0, "LAST-PART=1", "LAST-PART=3"),
		set("report-each", "missing", 0, "#EXT-X-RENDITION-REPORT:URI=\"w.m3u8\",LAST-MSN=2,LAST-PART=1\n", ""),
		set("report-each", "twice", 0, "URI=\"a.m3u8\",LAST", "URI=\"w.m3u8\",LAST"),
		set("report-current", "behind", 0, "LAST-PART=1", "LAST-PART=0"),
		set("apple-9.12", "nowhere", 0, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
		of("independent-twice", "both", independent, aligned()),
		set("extm3u", "unreadable", 2, "#EXTM3U\n", ""),
	}
}

// What reports tell is compared with what was seen before and what comes later.
func TestReportHistory(t *testing.T) {
	now := mustParse(t, live)
	var h history
	at := func(second int) timeOf { return timeOf(second) }
	if f := h.saw(at(0).time(), at(1).time(), now.last(), "w"); len(f) > 0 {
		t.Error(f)
	}
	if f := h.told("v", at(2).time(), at(3).time(), place{2, 0}, "w"); !broke(f.err(), "report-current") {
		t.Errorf("a report behind what was seen is taken: %v", f)
	}
	if f := h.told("v", at(0).time(), at(3).time(), place{2, 0}, "w"); len(f) > 0 {
		t.Errorf("a report asked for before is refused: %v", f)
	}
	if f := h.told("v", at(2).time(), at(3).time(), place{2, 5}, "w"); len(f) > 0 {
		t.Error(f)
	}
	if f := h.saw(at(2).time(), at(4).time(), place{2, 4}, "w"); len(f) > 0 {
		t.Errorf("a playlist asked for before the report is compared: %v", f)
	}
	if f := h.saw(at(4).time(), at(5).time(), place{2, 4}, "w"); !broke(f.err(), "report-current") {
		t.Errorf("a report ahead of what comes later is taken: %v", f)
	}
	if f := h.saw(at(6).time(), at(7).time(), place{2, 4}, "w"); len(f) > 0 {
		t.Errorf("it is told twice: %v", f)
	}
}

// timeOf is a moment in seconds.
type timeOf int

func (s timeOf) time() time.Time { return time.Unix(int64(s), 0) }
