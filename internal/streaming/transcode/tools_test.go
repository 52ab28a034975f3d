package transcode

import (
	"context"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

func TestAvailable(t *testing.T) {
	got := tools(t)
	if got.Path() == "" || got.Version() == "" {
		t.Errorf("%q, version %q", got.Path(), got.Version())
	}
	for _, c := range []cmaf.VideoCodec{cmaf.H264, cmaf.H265, cmaf.VP8, cmaf.VP9, cmaf.AV1} {
		if err := got.CanVideo(c); err != nil {
			t.Error(err)
		}
	}
	for _, to := range []cmaf.AudioCodec{cmaf.AAC, cmaf.Opus} {
		if err := got.CanAudio(cmaf.AAC+cmaf.Opus-to, to); err != nil {
			t.Error(err)
		}
	}
}

func TestUnavailable(t *testing.T) {
	tests := map[string]struct{ script, says string }{
		"missing":     {"", "install ffmpeg"},
		"fails":       {"exit 1", "is it an ffmpeg?"},
		"says much":   {"yes", "is it an ffmpeg?"},
		"is another":  {"echo hello", "libx264"},
		"has nothing": {`echo ' V....D libaom-av1  libaom AV1'`, "libx264"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := script(t, tt.script).path
			if tt.script == "" {
				path += "-none"
			}
			got, err := Available(t.Context(), path)
			if errs.CodeOf(err) != errs.Unsupported || !strings.Contains(errs.MessageOf(err), tt.says) || got.Path() != "" {
				t.Errorf("%v, %q", err, got.Path())
			}
			if err := got.CanVideo(cmaf.VP8); errs.CodeOf(err) != errs.Unsupported || !strings.Contains(err.Error(), "send H264") {
				t.Errorf("video: %v", err)
			}
			if err := got.CanAudio(cmaf.Opus, cmaf.AAC); errs.CodeOf(err) != errs.Unsupported {
				t.Errorf("audio: %v", err)
			}
		})
	}
}

// TestAvailableHangs has an ffmpeg that never answers, with a child.
func TestAvailableHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Available(ctx, script(t, "sleep 600 & wait").path); errs.CodeOf(err) != errs.Unsupported {
		t.Error(err)
	}
}

func TestParseVersion(t *testing.T) {
	tests := []struct {
		out, version string
		old          bool
	}{
		{"ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026", "5.1.9-0+deb12u1", false},
		{"ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright", "4.4.2-0ubuntu0.22.04.1", true},
		{"ffmpeg version n5.0 Copyright", "n5.0", true},
		{"ffmpeg version 8.0 Copyright", "8.0", false},
		{"ffmpeg version N-113007-g8d24a28d06 Copyright", "N-113007-g8d24a28d06", false},
		{"something else", "", false},
	}
	for _, tt := range tests {
		version, old := parseVersion(tt.out)
		if version != tt.version || old != tt.old {
			t.Errorf("%q: %q, %v", tt.out, version, old)
		}
		want := "-fps_mode"
		if tt.old {
			want = "-vsync"
		}
		if got := (Tools{oldSync: old}).passthrough()[0]; got != want {
			t.Errorf("%q: %s", tt.out, got)
		}
	}
}
