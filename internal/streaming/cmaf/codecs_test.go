package cmaf

import (
	"reflect"
	"strings"
	"testing"
)

// What ffmpeg's encoders make is read as ffprobe reads it, whether it comes as
// bitstream or as the configuration record of a file.
func TestParseVideoCodecs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, codec   string
		spec          clipSpec
		width, height int
	}{
		{"H264", "avc1.42c00d", clipSpec{size: "320x180", video: []string{"-profile:v", "baseline"}}, 320, 180},
		{"H265", "hvc1.1.6.L60.90", clipSpec{size: "320x180", codec: "libx265"}, 320, 180},
		{"H265 cropped", "hvc1.1.6.L60.90", clipSpec{size: "322x182", codec: "libx265"}, 322, 182},
		{"H265 10 bit", "hvc1.2.4.L60.90", clipSpec{size: "320x180", codec: "libx265", video: []string{"-pix_fmt", "yuv420p10le"}}, 320, 180},
		{"H265 4:4:4", "hvc1.4.10.L60.9E.8", clipSpec{size: "322x182", codec: "libx265", video: []string{"-pix_fmt", "yuv444p"}}, 322, 182},
		{"VP8", "vp08.00.20.08", clipSpec{size: "322x182", codec: "libvpx"}, 322, 182},
		{"VP9", "vp09.00.20.08", clipSpec{size: "322x182", codec: "libvpx-vp9"}, 322, 182},
		{"VP9 720p", "vp09.00.40.08", clipSpec{size: "1280x720", codec: "libvpx-vp9"}, 1280, 720},
		{"VP9 4:4:4", "vp09.01.20.08.03.02.02.02.00", clipSpec{size: "320x180", codec: "libvpx-vp9", video: []string{"-pix_fmt", "yuv444p"}}, 320, 180},
		{"VP9 10 bit", "vp09.02.20.10", clipSpec{size: "320x180", codec: "libvpx-vp9", video: []string{"-pix_fmt", "yuv420p10le"}}, 320, 180},
		{"AV1 of libaom", "av01.0.00M.08", clipSpec{size: "322x182", codec: "libaom-av1"}, 322, 182},
		{"AV1 of SVT", "av01.0.00M.08", clipSpec{size: "320x180", codec: "libsvtav1"}, 320, 180},
		{"AV1 10 bit", "av01.0.00M.10", clipSpec{size: "320x180", codec: "libaom-av1", video: []string{"-pix_fmt", "yuv420p10le"}}, 320, 180},
		{"AV1 4:4:4", "av01.1.00M.08", clipSpec{size: "320x180", codec: "libaom-av1", video: []string{"-pix_fmt", "yuv444p"}}, 320, 180},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.spec.seconds = 0.1
			c := encode(t, test.spec)
			v := *c.init.Video
			got := fromBitstream(t, v, c.video[0].Data)
			v.VP.Level = got.VP.Level // ffmpeg knows the frame rate
			if v.Width != test.width || v.Height != test.height || v.CodecString() != test.codec {
				t.Errorf("%dx%d %s, want %dx%d %s", v.Width, v.Height, v.CodecString(), test.width, test.height, test.codec)
			}
			if test.spec.codec == "libsvtav1" { // its header for files is not quite that of its key frames
				v.SequenceHeader = got.SequenceHeader
			}
			if !got.Equal(v) {
				t.Errorf("the bitstream gives %+v, the record %+v", got, v)
			}
			back, err := ParseInit(Init{Video: &v}.Marshal())
			if err != nil || !reflect.DeepEqual(*back.Video, v) {
				t.Errorf("%+v became %+v, %v", v, back.Video, err)
			}
		})
	}
}

// fromBitstream makes a configuration of what a key frame has, or for H.264 and
// H.265, whose parameter sets are out of band in files, of those.
func fromBitstream(t *testing.T, v VideoConfig, key []byte) VideoConfig {
	t.Helper()
	var c VideoConfig
	var err error
	switch v.Codec {
	case H264:
		c, err = ParseAVC(v.SPS, v.PPS)
	case H265:
		c, err = ParseHEVC(v.VPS, v.SPS, v.PPS)
	case VP8:
		c, err = ParseVP8(key)
	case VP9:
		c, err = ParseVP9(key)
	case AV1:
		var obus [][]byte
		if obus, err = SplitOBUs(key); err != nil {
			break
		}
		for _, obu := range obus {
			if OBUType(obu) == OBUSequenceHeader {
				c, err = ParseAV1(obu)
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseAV1WithoutSize(t *testing.T) {
	want, err := ParseAV1(testAV1)
	if err != nil {
		t.Fatal(err)
	}
	bare := append([]byte{testAV1[0] &^ 2}, testAV1[2:]...)
	got, err := ParseAV1(bare)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestParseVideoRefuses(t *testing.T) {
	hevc := func(vps, sps, pps []byte) error { _, err := ParseHEVC(vps, sps, pps); return err }
	one := func(parse func([]byte) (VideoConfig, error), hex string) error {
		_, err := parse(unhex(strings.ReplaceAll(hex, " ", "")))
		return err
	}
	long := func(parse func([]byte) (VideoConfig, error)) error {
		_, err := parse(make([]byte, maxRecord+1))
		return err
	}
	for _, test := range []struct {
		name, says string
		err        error
	}{
		{"no VPS", "VPS: NAL unit of type -1", hevc(nil, testHEVC[1], testHEVC[2])},
		{"no PPS", "PPS: NAL unit of type 33", hevc(testHEVC[0], testHEVC[1], testHEVC[1])},
		{"no SPS", "SPS: NAL unit of type 34", hevc(testHEVC[0], testHEVC[2], testHEVC[2])},
		{"short SPS", "SPS: it ends too early", hevc(testHEVC[0], testHEVC[1][:12], testHEVC[2])},
		{"nothing", "too early", one(ParseAV1, "")},
		{"forbidden bit", "forbidden", one(ParseAV1, "8a 01 00")},
		{"another OBU", "type 2", one(ParseAV1, "12 00")},
		{"size without end", "size of an OBU", one(ParseAV1, "0a ffffffffffffffffff")},
		{"too large for its bytes", "an OBU of 5 bytes in 1", one(ParseAV1, "0a 05 00")},
		{"more after it", "2 after it", one(ParseAV1, "0a 01 00 12 00")},
		{"an undefined profile", "profile 7", one(ParseAV1, "0a 01 ff")},
		{"short header", "too early", one(ParseAV1, "0a 01 00")},
		{"VP8 inter frame", "inter frame", one(ParseVP8, "31 0200 9d012a 4001 b400")},
		{"VP8 without start code", "start code", one(ParseVP8, "30 0200 9d012b 4001 b400")},
		{"VP8 of no size", "0x180", one(ParseVP8, "30 0200 9d012a 0000 b400")},
		{"VP8 too short", "9 bytes", one(ParseVP8, "30 0200 9d012a 4001 b4")},
		{"VP8 version", "version 4", one(ParseVP8, "38 0200 9d012a 4001 b400")},
		{"VP9 marker", "frame marker", one(ParseVP9, "42 498342 00 0000 0000")},
		{"VP9 inter frame", "inter frame", one(ParseVP9, "86 498342 00 0000 0000")},
		{"VP9 shown again", "inter frame", one(ParseVP9, "8a 498342 00 0000 0000")},
		{"VP9 sync code", "sync code", one(ParseVP9, "82 498343 00 0000 0000")},
		{"VP9 too short", "too early", one(ParseVP9, "82 498342 00")},
		{"VP9 RGB", "RGB", one(ParseVP9, "82 498342 e0 0000 0000")},
		{"lengths of 2 bytes", "2 bytes; 4", one(ParseAVCRecord, "01 42c01e fd e1 0002 6742 01 0001 68")},
		{"two SPS", "2 different", one(ParseAVCRecord, "01 42c01e ff e2 0002 6742 0002 6743 01 0001 68")},
		{"record cut off", "too early", one(ParseAVCRecord, "01 42c01e ff e1 0009 6742")},
		{"HEVC record cut off", "too early", one(ParseHEVCRecord, "01 00")},
		{"HEVC lengths", "1 bytes; 4", one(ParseHEVCRecord, "01"+strings.Repeat("00", 20)+"fc 00")},
		{"AV1 record cut off", "too early", one(ParseAV1Record, "81 00")},
		{"AV1 record without header", "no sequence header", one(ParseAV1Record, "81 000c00")},
		{"VP record cut off", "too early", one(ParseVPRecord, "00 1f 82 02 02")},
		{"VP record profile", "profile 4", one(ParseVPRecord, "04 1f 82 02 02 02 0000")},
		{"VP record depth", "bit depth of 9", one(ParseVPRecord, "00 1f 92 02 02 02 0000")},
		{"long AVC record", "at most", long(ParseAVCRecord)},
		{"long HEVC record", "at most", long(ParseHEVCRecord)},
		{"long AV1 record", "at most", long(ParseAV1Record)},
		{"long VP record", "at most", long(ParseVPRecord)},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%s: the error is %v, it should say %q", test.name, test.err, test.says)
		}
	}
}
