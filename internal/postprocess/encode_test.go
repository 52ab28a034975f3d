package postprocess_test

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// TestEncode: an MP4 that not every player shows becomes one that they do, where
// the operator wants it.
func TestEncode(t *testing.T) {
	const picture = "testsrc=size=640x360:rate=10:duration=4"
	for _, tt := range []struct {
		name, encoder, encode string
		ffmpeg                string
		codecs                string // a prefix of each
		note                  string
	}{
		{"sound", "libx264", postprocess.EncodeMissing, "", "avc1.42 mp4a.40.2", ""},
		{"picture and sound", "libx265", postprocess.EncodeMissing, "", "avc1.64 mp4a.40.2", ""},
		{"never", "libx265", postprocess.EncodeNever, "", "hvc1. opus", ""},
		{"without ffmpeg", "libx265", postprocess.EncodeMissing, "nowhere", "hvc1. opus",
			"The MP4 is not for every player: ffmpeg is not installed on the server."},
		{"ffmpeg fails", "libx265", postprocess.EncodeMissing, "exit 1", "hvc1. opus",
			"The MP4 is not for every player: ffmpeg could not encode the video."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := encodeAs(tt.encoder, picture)
			if err != nil {
				t.Fatal(err)
			}
			eachPlace(t, func(t *testing.T, p place) {
				cfg := postprocess.Config{Encode: tt.encode}
				if tt.ffmpeg != "" {
					cfg.FFmpeg = filepath.Join(p.Dir, "ffmpeg")
					if tt.ffmpeg != "nowhere" {
						script(t, cfg.FFmpeg, tt.ffmpeg)
					}
				}
				n := open(t, p, cfg, nil)
				n.start(t)
				stream := streamID()
				put(t, n.objects, "recordings/chan/"+stream, files)
				n.mustHear(t, ended(stream))
				n.await(t, stream, flow.Done)
				d := last[event.MP4ProcessingComplete](t, n)
				mp4 := read(t, n.objects, "videos/"+stream+"/video.mp4")
				checkCodecs(t, d.Codecs, strings.Fields(tt.codecs))
				if d.Size != int64(len(mp4)) || d.Width != 640 || d.Height != 360 {
					t.Errorf("%d bytes of %d, %dx%d", d.Size, len(mp4), d.Width, d.Height)
				}
				if tt.note != "" && !slices.Contains(d.Notes, tt.note) || tt.ffmpeg == "" && len(d.Notes) > 0 {
					t.Errorf("notes %q", d.Notes)
				}
				checkMP4(t, mp4)
				emptyWorkDir(t, p)
			})
		})
	}
}

func checkCodecs(t *testing.T, got, prefixes []string) {
	t.Helper()
	if len(got) != len(prefixes) {
		t.Fatalf("codecs %q, want %q", got, prefixes)
	}
	for i, prefix := range prefixes {
		if !strings.HasPrefix(got[i], prefix) {
			t.Errorf("codecs %q, want %q", got, prefixes)
		}
	}
}

func TestEncodingPlan(t *testing.T) {
	wide := func(entries int, codecs ...string) postprocess.Media {
		return postprocess.Media{DurationMillis: 8000, Width: 640, Height: 360, Entries: entries, Codecs: codecs}
	}
	for name, tt := range map[string]struct {
		media        postprocess.Media
		video, audio string // what ffmpeg is told; "" when it is not called
	}{
		"every player shows it":   {wide(1, "avc1.42c028", "mp4a.40.2"), "", ""},
		"no sound":                {wide(1, "avc1.42c028"), "", ""},
		"Opus":                    {wide(1, "avc1.42c028", "opus"), "copy", "aac"},
		"Opus, turned":            {wide(2, "avc1.42c028", "opus"), "libx264", "aac"},
		"Opus, of an older build": {wide(0, "avc1.42c028", "opus"), "libx264", "aac"},
		"AAC, turned":             {wide(2, "avc1.42c028", "avc1.42c01f", "mp4a.40.2"), "", ""},
		"turned without sound":    {wide(2, "avc1.42c028", "avc1.42c01f"), "", ""},
		"AV1":                     {wide(1, "av01.0.04M.08", "mp4a.40.2"), "libx264", "copy"},
		"VP9 without sound":       {wide(1, "vp09.00.31.08"), "libx264", "copy"},
		"then H.264":              {wide(2, "hvc1.1.6.L93.B0", "avc1.42c028", "mp4a.40.2"), "libx264", "copy"},
		"sound alone":             {postprocess.Media{DurationMillis: 8000, Codecs: []string{"opus"}}, "copy", "aac"},
	} {
		args := postprocess.EncodingArgs("in.mp4", "out.mp4", tt.media)
		value := func(flag string) string {
			if i := slices.Index(args, flag); i >= 0 {
				return args[i+1]
			}
			return ""
		}
		if v, a := value("-c:v"), value("-c:a"); v != tt.video || a != tt.audio {
			t.Errorf("%s: video %q, audio %q", name, v, a)
		}
	}
}

// TestEncodeTurnedPhone: a picture of another shape is not stretched.
func TestEncodeTurnedPhone(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.mp4")
	tool(t, "ffmpeg", postprocess.EncodingArgs(turned(t, "testsrc=size=640x360", "testsrc=size=360x640"), out,
		postprocess.Media{DurationMillis: 8000, Width: 640, Height: 360, Entries: 2, Codecs: []string{"avc1.42c028", "opus"}})...)
	for at, share := range map[string]float64{"2": 0.2, "6": 0.05} {
		path := filepath.Join(t.TempDir(), "picture.png")
		tool(t, "ffmpeg", "-ss", at, "-i", out, "-frames:v", "1", path)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if size := picture.Bounds().Size(); size.X != 640 || size.Y != 360 {
			t.Errorf("at %s s the picture is %v", at, size)
		}
		left := picture.Bounds()
		left.Max.X = 200 // upright, 360x640 is 202x360 in the middle
		if got := coloured(picture, left); (got > 0.05) != (share > 0.1) {
			t.Errorf("at %s s %.0f %% of the left is coloured", at, 100*got)
		}
	}
}
