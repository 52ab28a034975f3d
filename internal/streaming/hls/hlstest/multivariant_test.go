package hlstest

import (
	"bytes"
	"testing"
)

const master = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Sound",LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Other",LANGUAGE="en",AUTOSELECT=YES,CHANNELS="2",URI="b.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS="avc1.42e01f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="aac"
v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=500000,CODECS="avc1.42e01f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO="aac"
w.m3u8
`

func TestGoodMultivariant(t *testing.T) {
	for name, playlist := range map[string]string{
		"one":                master,
		"independent":        edit(master, "#EXT-X-VERSION:6\n", "#EXT-X-INDEPENDENT-SEGMENTS\n"),
		"with scores":        edit(master, ",FRAME-RATE=30", ",SCORE=2,FRAME-RATE=30", ",FRAME-RATE=29", ",SCORE=1.5,FRAME-RATE=29"),
		"HDR":                edit(master, ",FRAME-RATE=30", ",VIDEO-RANGE=PQ,FRAME-RATE=30", ",FRAME-RATE=29", ",VIDEO-RANGE=SDR,FRAME-RATE=29"),
		"some told as SDR":   edit(master, ",FRAME-RATE=30", ",VIDEO-RANGE=SDR,FRAME-RATE=30"),
		"a variant of audio": master + "#EXT-X-STREAM-INF:BANDWIDTH=70000,AVERAGE-BANDWIDTH=60000,CODECS=\"mp4a.40.2\",AUDIO=\"aac\"\na.m3u8\n",
	} {
		good(t, name, CheckMultivariant([]byte(playlist)))
		good(t, name, CheckLadder([]byte(playlist)))
	}
}

func badMultivariant() []knownBad {
	mv := func(rule, name string, pairs ...string) knownBad {
		return knownBad{rule, name, CheckMultivariant([]byte(edit(master, pairs...)))}
	}
	ladder := func(rule, name, playlist string) knownBad { return knownBad{rule, name, CheckLadder([]byte(playlist))} }
	second := master[bytes.LastIndex([]byte(master), []byte("#EXT-X-STREAM-INF")):]
	other := "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"opus\",NAME=\"Sound\",LANGUAGE=\"de\",AUTOSELECT=YES,CHANNELS=\"2\",URI=\"o.m3u8\"\n"
	return []knownBad{
		{"variants", "none", CheckMultivariant([]byte("#EXTM3U\n#EXT-X-VERSION:6\n"))},
		mv("bandwidth", "missing", "BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,", ""),
		mv("bandwidth", "zero", "=3000000", "=0"),
		mv("apple-9.14", "missing", ",AVERAGE-BANDWIDTH=2500000", ""),
		mv("average-bandwidth", "above", "2500000", "3500000"),
		mv("apple-9.1", "missing", `CODECS="avc1.42e01f,mp4a.40.2",`, ""),
		mv("apple-9.2", "missing", "RESOLUTION=1280x720,", ""),
		mv("apple-9.15", "missing", "FRAME-RATE=30.000,", ""),
		mv("frame-rate", "no decimals", "30.000", "30"),
		mv("frame-rate", "zero", "30.000", "0.000"),
		mv("apple-9.16", "unknown", ",FRAME-RATE=30", ",VIDEO-RANGE=HDR,FRAME-RATE=30"),
		mv("apple-9.16", "of one alone", ",FRAME-RATE=30", ",VIDEO-RANGE=PQ,FRAME-RATE=30"),
		mv("apple-9.19", "of one alone", ",FRAME-RATE=30", ",SCORE=2,FRAME-RATE=30"),
		mv("apple-9.19", "zero", ",FRAME-RATE=30", ",SCORE=0,FRAME-RATE=30", ",FRAME-RATE=29", ",SCORE=1,FRAME-RATE=29"),
		ladder("apple-9.9", "one variant", edit(master, second, "")),
		ladder("apple-2.3", "Opus alone", edit(edit(master, "mp4a.40.2", "opus"), "mp4a.40.2", "opus")),
		mv("audio-group", "not there", `AUDIO="aac"`, `AUDIO="opus"`),
		mv("media-name", "twice", `"Other"`, `"Sound"`),
		mv("media-default", "two", `LANGUAGE="en"`, `LANGUAGE="en",DEFAULT=YES`),
		mv("media-autoselect", "default alone", "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO"),
		mv("media-distinct", "one language", `"en"`, `"de"`),
		mv("media-channels", "missing", `,CHANNELS="2"`, ""),
		mv("media-channels", "no number", `CHANNELS="2"`, `CHANNELS="stereo"`),
		mv("media-groups", "other members", "#EXT-X-STREAM", other+"#EXT-X-STREAM"),
		mv("apple-8.10", "missing", `,LANGUAGE="de"`, ""),
		mv("attribute-value", "type", "TYPE=AUDIO", "TYPE=TEXT"),
		mv("attribute-value", "resolution", "1280x720", "1280*720"),
		mv("attribute-value", "no name", `,NAME="Sound"`, ""),
	}
}

func FuzzParseMultivariant(f *testing.F) {
	f.Add([]byte(master))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMultivariant(data)
		if err != nil {
			if len(FindingsOf(err)) != 1 {
				t.Fatalf("the error %v is no finding", err)
			}
			return
		}
		if bytes.Count(data, []byte("#EXT-X-STREAM-INF")) < len(m.Variants) {
			t.Errorf("%d variants in %q", len(m.Variants), data)
		}
		_ = m.check()
		_ = m.checkLadder()
	})
}
