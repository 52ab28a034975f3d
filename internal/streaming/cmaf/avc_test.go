package cmaf

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Parameter sets of constrained baseline at 640x360.
var (
	testSPS = unhex("6742c01ed900a02ff970110000030001000003003c0f162e48")
	testPPS = unhex("68cb83cb20")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func testVideo(t testing.TB) *VideoConfig {
	t.Helper()
	c, err := ParseAVC(testSPS, testPPS)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func testOpus() *AudioConfig {
	return &AudioConfig{Codec: Opus, SampleRate: 48000, Channels: 2}
}

func TestParseAVC(t *testing.T) {
	c := testVideo(t)
	if c.Width != 640 || c.Height != 360 || c.CodecString() != "avc1.42c01e" {
		t.Errorf("%dx%d %s", c.Width, c.Height, c.CodecString())
	}
	if &c.SPS[0] == &testSPS[0] || &c.PPS[0] == &testPPS[0] {
		t.Error("the parameter sets were not copied")
	}
	other := *c
	other.PPS = unhex("68cb83cb21")
	if !c.Equal(*testVideo(t)) || c.Equal(other) {
		t.Error("Equal is wrong")
	}
	for _, test := range []struct {
		name, says string
		sps, pps   []byte
	}{
		{"no SPS", "SPS: NAL unit of type 0 with 0 bytes", nil, testPPS},
		{"no PPS", "PPS: NAL unit of type 0", testSPS, nil},
		{"exchanged", "PPS: NAL unit of type 7", testPPS, testSPS},
		{"cut off", "SPS: it ends too early", testSPS[:6], testPPS},
		{"too long", "4097 bytes", append(testSPS[:4:4], make([]byte, 4093)...), testPPS},
		{"endless code", "longer than 32 bits", append(testSPS[:4:4], make([]byte, 9)...), testPPS},
		// seq_parameter_set_id 0, then chroma_format_idc 4
		{"chroma format", "chroma_format_idc is 4", append([]byte{0x67, 100, 0, 31}, 0b10010_100), testPPS},
	} {
		_, err := ParseAVC(test.sps, test.pps)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, it should say %q", test.name, err, test.says)
		}
	}
}

func TestParseAAC(t *testing.T) {
	c, err := ParseAAC([]byte{0x12, 0x10})
	if err != nil || c.SampleRate != 44100 || c.Channels != 2 || c.CodecString() != "mp4a.40.2" || c.Timescale() != 44100 {
		t.Errorf("%+v, %v", c, err)
	}
	// HE-AAC, announced: a core of 22050 Hz under 44100 Hz. Not announced, and in
	// the backward compatible way: the core alone.
	for asc, want := range map[string]string{"2b9208": "22050 2 mp4a.40.5", "eb8a08": "22050 1 mp4a.40.29",
		"1390": "22050 2 mp4a.40.2", "139056e5a0": "22050 2 mp4a.40.2"} {
		c, err := ParseAAC(unhex(asc))
		if got := fmt.Sprintf("%d %d %s", c.SampleRate, c.Channels, c.CodecString()); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %s", asc, got, err, want)
		}
	}
	for _, test := range []struct{ asc, says string }{
		{"", "ends too early"},
		{"0a10", "object type 1"},
		{"2b92", "ends too early"},
		{"1214", "960 samples"},
		{"1690", "sample rate"},
		{"1238", "channel configuration 7"},
		{strings.Repeat("12", 65), "at most 64"},
	} {
		if _, err := ParseAAC(unhex(test.asc)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, it should say %q", test.asc, err, test.says)
		}
	}
}

func TestNALUnits(t *testing.T) {
	nals := [][]byte{{0x67, 1, 2}, {0x68, 3}, {0x65, 0, 0, 3, 1}}
	var stream []byte
	for i, n := range nals {
		if i == 0 {
			stream = append(stream, 0)
		}
		stream = append(append(stream, 0, 0, 1), n...)
	}
	if got := SplitAnnexB(append([]byte{9, 9}, append(stream, 0, 0)...)); !equalNALs(got, nals) {
		t.Errorf("annex B gives %x", got)
	}
	if got := SplitAnnexB([]byte{1, 2, 3}); got != nil {
		t.Errorf("no start code gives %x", got)
	}
	sample := AppendAVCC(nil, nals...)
	if got, err := SplitAVCC(sample); err != nil || !equalNALs(got, nals) {
		t.Errorf("AVCC gives %x, %v", got, err)
	}
	for _, bad := range [][]byte{{0, 0, 0}, {0, 0, 0, 5, 1}, {0xff, 0xff, 0xff, 0xff}} {
		if _, err := SplitAVCC(bad); err == nil {
			t.Errorf("%x passes", bad)
		}
	}
	if NALType(nals[0]) != NALSPS || NALType(nil) != 0 {
		t.Error("NALType is wrong")
	}
}

func equalNALs(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }
