package cmaf

import (
	"slices"
	"testing"
)

func TestCommonCodec(t *testing.T) {
	tests := []struct{ name, a, b, want string }{
		{"the same", "avc1.42c01e", "avc1.42c01e", "avc1.42c01e"},
		{"another level", "avc1.42c01e", "avc1.42c01f", "avc1.42c01f"},
		{"a lower level", "avc1.42c01f", "avc1.42c01e", "avc1.42c01f"},
		{"fewer constraints", "avc1.42e01f", "avc1.42c01e", "avc1.42c01f"},
		{"level 1b is below 1.1", "avc1.42d00b", "avc1.42c00a", "avc1.42c00b"},
		{"constrained baseline and main", "avc1.42e01f", "avc1.4d401e", "avc1.4d401f"},
		{"constrained baseline and high", "avc1.42c01e", "avc1.640028", "avc1.640028"},
		{"main and high", "avc1.640c1f", "avc1.4d0028", "avc1.640028"},
		{"high and high 10", "avc1.6e0028", "avc1.640029", "avc1.6e0029"},
		{"baseline is not of main", "avc1.42001e", "avc1.4d401f", ""},
		{"baseline twice", "avc1.42001e", "avc1.42001f", "avc1.42001f"},
		{"baseline and constrained baseline", "avc1.42001e", "avc1.42e01f", "avc1.42001f"},
		{"extended stands apart", "avc1.58001e", "avc1.64001f", ""},
		{"extended twice", "avc1.58001e", "avc1.58001f", "avc1.58001f"},
		{"no profile", "avc1", "avc1.42e01f", ""},
		{"no hex", "avc1.42e01g", "avc1.42e01f", ""},
		{"VP9", "vp09.00.21.08", "vp09.00.31.08", "vp09.00.31.08"},
		{"VP9 of another depth", "vp09.02.21.10", "vp09.00.31.08", ""},
		{"VP9 with colour", "vp09.00.31.08.01.01.01.00.00", "vp09.00.21.08.01.01.01.00.00", "vp09.00.31.08.01.01.01.00.00"},
		{"VP9 with colour and without", "vp09.00.31.08.01.01.01.00.00", "vp09.00.21.08", ""},
		{"AV1", "av01.0.05M.08", "av01.0.08M.08", "av01.0.08M.08"},
		{"AV1 of another tier", "av01.0.12H.08", "av01.0.08M.08", ""},
		{"H265", "hvc1.1.6.L93.B0", "hvc1.1.6.L120.B0", "hvc1.1.6.L120.B0"},
		{"H265 of another profile", "hvc1.2.4.L93.B0", "hvc1.1.6.L120.B0", ""},
		{"H265 of another tier", "hvc1.1.6.H93.B0", "hvc1.1.6.L120.B0", ""},
		{"H265 cut off", "hvc1.1", "hvc1.2", ""},
		{"another codec", "avc1.42c01e", "vp09.00.21.08", ""},
		{"audio", "mp4a.40.2", "mp4a.40.5", ""},
	}
	for _, tt := range tests {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			got, ok := CommonCodec(pair[0], pair[1])
			if ok != (tt.want != "") || ok && got != tt.want {
				t.Errorf("%s: of %q it is %q, %t, want %q", tt.name, pair, got, ok, tt.want)
			}
		}
	}
}

func TestFormats(t *testing.T) {
	var f Formats
	opus := &AudioConfig{Codec: Opus, SampleRate: 48000, Channels: 2}
	picture := func(w, h int, profile ...byte) *VideoConfig {
		return &VideoConfig{Codec: H264, SPS: append([]byte{0x67}, profile...), Width: w, Height: h}
	}
	f.Add(Init{Audio: opus})
	f.Add(Init{Video: picture(640, 360, 0x42, 0xc0, 0x1e), Audio: opus})
	f.Add(Init{Video: picture(1280, 720, 0x42, 0xc0, 0x1f)})
	f.Add(Init{Video: picture(720, 1280, 0x42, 0xc0, 0x1f)}) // no larger
	f.Add(Init{Video: &VideoConfig{Codec: VP9, VP: VPConfig{Level: 21, BitDepth: 8, ChromaSubsampling: 1, Matrix: 1}, Width: 640, Height: 360}})
	if want := []string{"avc1.42c01f", "vp09.00.21.08"}; !slices.Equal(f.Video, want) {
		t.Errorf("video is %q, want %q", f.Video, want)
	}
	if !slices.Equal(f.Audio, []string{"opus"}) || f.Width != 1280 || f.Height != 720 {
		t.Errorf("%+v", f)
	}
}
