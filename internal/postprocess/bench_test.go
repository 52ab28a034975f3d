package postprocess_test

import (
	"path/filepath"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// BenchmarkStoryboard10Minutes makes the storyboard of 10 minutes of 720p30 at
// 2.5 Mbit/s with a key frame every 2 s, and finds the thumbnail's candidates.
func BenchmarkStoryboard10Minutes(b *testing.B) {
	dir := b.TempDir()
	clip, video := filepath.Join(dir, "clip.mp4"), filepath.Join(dir, "video.mp4")
	tool(b, "ffmpeg", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=20,noise=alls=12:allf=t",
		"-c:v", "libx264", "-profile:v", "baseline", "-preset", "veryfast", "-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "2500k",
		"-pix_fmt", "yuv420p", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0", clip)
	tool(b, "ffmpeg", "-stream_loop", "29", "-i", clip, "-c", "copy", video)
	b.ResetTimer()
	for b.Loop() {
		_, tiles, _, err := postprocess.TilesOf(b.Context(), video, postprocess.Media{DurationMillis: 600_000, Width: 1280, Height: 720})
		if err != nil || tiles < 119 || tiles > 121 {
			b.Fatalf("%d tiles, %v", tiles, err)
		}
	}
}
