package flv

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

func TestParseVideo(t *testing.T) {
	tests := []struct {
		name, wire string
		want       Video
	}{
		{"empty", "", Video{}},
		{"AVC header", "\x17\x00\x00\x00\x00rec", Video{Kind: Header, Codec: cmaf.H264, Key: true, Data: []byte("rec")}},
		{"AVC key frame", "\x17\x01\x00\x00\x42nal", Video{Kind: Frame, Codec: cmaf.H264, Key: true, Offset: 66, Data: []byte("nal")}},
		{"AVC frame before its time", "\x27\x01\xff\xff\xdfnal", Video{Kind: Frame, Codec: cmaf.H264, Offset: -33, Data: []byte("nal")}},
		{"AVC end", "\x17\x02\x00\x00\x00", Video{Kind: End, Codec: cmaf.H264, Key: true, Data: []byte{}}},
		{"AVC packet type that is not defined", "\x17\x09\x00\x00\x00", Video{Codec: cmaf.H264, Key: true, Data: []byte{}}},
		{"command", "\x57\x00", Video{}},
		{"HEVC by its old number", "\x1c\x01\x00\x00\x00nal", Video{Kind: Frame, Codec: cmaf.H265, Key: true, Data: []byte("nal")}},
		{"HEVC header", "\x90hvc1rec", Video{Kind: Header, Codec: cmaf.H265, Key: true, Data: []byte("rec")}},
		{"HEVC frame", "\xa1hvc1\x00\x00\x21nal", Video{Kind: Frame, Codec: cmaf.H265, Offset: 33, Data: []byte("nal")}},
		{"HEVC frame in time", "\xa3hvc1nal", Video{Kind: Frame, Codec: cmaf.H265, Data: []byte("nal")}},
		{"AVC in the new form", "\x91avc1\xff\xff\xffnal", Video{Kind: Frame, Codec: cmaf.H264, Key: true, Offset: -1, Data: []byte("nal")}},
		{"AV1 frame has no offset", "\x91av01obu", Video{Kind: Frame, Codec: cmaf.AV1, Key: true, Data: []byte("obu")}},
		{"VP9 end", "\x92vp09", Video{Kind: End, Codec: cmaf.VP9, Key: true, Data: []byte{}}},
		{"metadata", "\x94hvc1\x02", Video{Key: true}},
		{"MPEG-2 TS header", "\x95av01x", Video{Key: true}},
		{"command in the new form", "\xd1\x00", Video{}},
		{"nanoseconds", "\x97\x02\x00\x01\x00\x03hvc1nal", Video{Kind: Frame, Codec: cmaf.H265, Key: true, Nano: 256, Data: []byte("nal")}},
		{"nanoseconds over a millisecond", "\x97\x02\xff\xff\xff\x03hvc1nal", Video{Kind: Frame, Codec: cmaf.H265, Key: true, Nano: 999_999, Data: []byte("nal")}},
		{"a modifier of 300 bytes, then another", "\x97\xff\x01\x2b" + strings.Repeat("m", 300) + "\x17" + "\x00m\x13vp09f",
			Video{Kind: Frame, Codec: cmaf.VP9, Key: true, Data: []byte("f")}},
		{"one track", "\x96\x03hvc1\x00nal", Video{Kind: Frame, Codec: cmaf.H265, Key: true, Data: []byte("nal")}},
		{"one track, another one", "\x96\x03hvc1\x01nal", Video{Key: true, Skipped: true}},
		{"two tracks", "\x96\x13hvc1\x01\x00\x00\x01x\x00\x00\x00\x03nal", Video{Kind: Frame, Codec: cmaf.H265, Key: true, Skipped: true, Data: []byte("nal")}},
		{"two tracks, two codecs", "\x96\x23hvc1\x00\x00\x00\x03nalvvc1\x01\x00\x00\x01x",
			Video{Kind: Frame, Codec: cmaf.H265, Key: true, Skipped: true, Data: []byte("nal")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseVideo([]byte(tt.wire))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("parsed %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseAudio(t *testing.T) {
	tests := []struct {
		name, wire string
		want       Audio
	}{
		{"empty", "", Audio{}},
		{"AAC header", "\xaf\x00\x12\x10", Audio{Kind: Header, Codec: cmaf.AAC, Data: []byte{0x12, 0x10}}},
		{"AAC frame", "\xaf\x01raw", Audio{Kind: Frame, Codec: cmaf.AAC, Data: []byte("raw")}},
		{"AAC silence", "\xaf\x01", Audio{Codec: cmaf.AAC, Data: []byte{}}},
		{"AAC in the new form", "\x91mp4araw", Audio{Kind: Frame, Codec: cmaf.AAC, Data: []byte("raw")}},
		{"Opus header", "\x90OpusOpusHead", Audio{Kind: Header, Codec: cmaf.Opus, Data: []byte("OpusHead")}},
		{"Opus end", "\x92Opus", Audio{Kind: End, Codec: cmaf.Opus, Data: []byte{}}},
		{"channels", "\x94Opus\x01\x02", Audio{Codec: cmaf.Opus, Data: []byte{1, 2}}},
		{"nanoseconds", "\x97\x02\x00\x00\x09\x01Opusp", Audio{Kind: Frame, Codec: cmaf.Opus, Nano: 9, Data: []byte("p")}},
		{"two tracks", "\x95\x11mp4a\x01\x00\x00\x01x\x00\x00\x00\x03raw", Audio{Kind: Frame, Codec: cmaf.AAC, Skipped: true, Data: []byte("raw")}},
		{"another track", "\x95\x01mp4a\x01x", Audio{Skipped: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAudio([]byte(tt.wire))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("parsed %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	video := func(b []byte) error { _, err := ParseVideo(b); return err }
	audio := func(b []byte) error { _, err := ParseAudio(b); return err }
	tests := []struct {
		name  string
		parse func([]byte) error
		wire  string
		code  errs.Code
		want  string
	}{
		{"Sorenson", video, "\x12\x00", errs.Unsupported, "Sorenson H.263 is not taken over RTMP; use H264, H265, AV1 or VP9"},
		{"VP8", video, "\x91vp08x", errs.Unsupported, "vp08"},
		{"a codec nobody knows", video, "\x91\x00\n\x7fxf", errs.Unsupported, "???x"},
		{"MP3", audio, "\x2fx", errs.Unsupported, "MP3 is not taken over RTMP; use AAC or Opus"},
		{"FLAC", audio, "\x91fLaCx", errs.Unsupported, "fLaC"},
		{"AVC that is cut", video, "\x17\x01\x00", errs.Internal, "too early"},
		{"HEVC that is cut", video, "\x91hvc1\x00", errs.Internal, "too early"},
		{"no codec", video, "\x91hv", errs.Internal, "too early"},
		{"AAC that is cut", audio, "\xaf", errs.Internal, "too early"},
		{"a modifier that is cut", video, "\x97\x05abc", errs.Internal, "too early"},
		{"a track that is cut", video, "\x96\x13hvc1\x00\x00\x00\x09nal", errs.Internal, "too early"},
		{"tracks in tracks", video, "\x96\x06hvc1\x00", errs.Internal, "not defined"},
		{"a kind of tracks that is not defined", audio, "\x95\x31mp4a\x00", errs.Internal, "not defined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.parse([]byte(tt.wire))
			if err == nil || errs.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v (%s), want %s with %q", err, errs.CodeOf(err), tt.code, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"\x17\x01\x00\x00\x42nal", "\xa1hvc1\x00\x00\x21nal", "\x97\x02\x00\x01\x00\x03hvc1nal", "\xaf\x01raw",
		"\x96\x23hvc1\x00\x00\x00\x03nalvvc1\x01\x00\x00\x01x", "\x95\x11mp4a\x01\x00\x00\x01x\x00\x00\x00\x03raw",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		before := bytes.Clone(message)
		v, err := ParseVideo(message)
		if err == nil && v.Kind != Ignored && (v.Codec == 0 || len(v.Data) >= len(message) || v.Nano > 999_999) {
			t.Fatalf("video %+v", v)
		}
		a, err := ParseAudio(message)
		if err == nil && a.Kind != Ignored && (a.Codec == 0 || len(a.Data) >= len(message) || a.Nano > 999_999) {
			t.Fatalf("audio %+v", a)
		}
		if !bytes.Equal(before, message) {
			t.Fatal("the message was changed")
		}
	})
}
