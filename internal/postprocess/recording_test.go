package postprocess_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// tool runs ffmpeg or ffprobe, both asked for errors alone.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing; install it: apt-get install ffmpeg", name)
	}
	cmd := exec.Command(name, append([]string{"-v", "error"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.Bytes())
	}
	return strings.TrimSpace(out.String())
}

// recordedOnce is one encoding for all tests.
var recordedOnce = sync.OnceValues(func() (map[string][]byte, error) {
	return encode("testsrc=size=1920x1080:rate=10:duration=4")
})

// encode makes the segments of a recording of a picture that ffmpeg's lavfi
// makes, at 10 frames a second with a key frame every second, and of a tone.
func encode(picture string) (map[string][]byte, error) { return encodeAs("libx264", picture) }

// encodeAs is encode with another of ffmpeg's video encoders.
func encodeAs(encoder, picture string) (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "recording-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-shortest",
		"-c:v", encoder, "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10", "-bf", "0",
		"-c:a", "libopus", "-ac", "2", "-b:a", "64k", "-strict", "experimental",
		"-f", "hls", "-hls_segment_options", "video_track_timescale=90000", "-hls_segment_type", "fmp4", "-hls_time", "1", "-hls_list_size", "0",
		"-hls_segment_filename", "seg-%04d.m4s", "-hls_fmp4_init_filename", "init.mp4", "list.m3u8")
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return nil, errs.Wrap(err, errs.Internal, "ffmpeg (apt-get install ffmpeg): "+said.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.m*"))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, f := range files {
		if out[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			return nil, err
		}
	}
	delete(out, "list.m3u8")
	return out, nil
}

// record stores a real recording of 4 s, 1920x1080, below prefix.
func record(t testing.TB, objects blob.Store, prefix string) {
	t.Helper()
	files, err := recordedOnce()
	if err != nil {
		t.Fatal(err)
	}
	put(t, objects, prefix, files)
}

func put(t testing.TB, objects blob.Store, prefix string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := objects.Put(context.Background(), prefix+"/"+name, bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
}

// remuxer is the real remuxer on recordings as ffmpeg stores them.
type remuxer struct{ objects blob.Store }

func (r remuxer) Remux(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
	list, err := r.objects.List(ctx, prefix+"/seg-")
	if err != nil {
		return postprocess.Media{}, err
	}
	if len(list) == 0 {
		return postprocess.Media{}, errs.New(errs.Invalid, "the recording holds no media")
	}
	sources := make([]cmaf.Source, len(list))
	for i, info := range list {
		sources[i] = segment{r.objects, prefix + "/init.mp4", info.Key}
	}
	info, err := cmaf.Remux(ctx, w, sources, nil, progress)
	return postprocess.Media{
		DurationMillis: info.DurationMS, Width: info.Width, Height: info.Height, Codecs: info.Codecs, Frames: info.VideoSamples,
		Entries: info.VideoEntries,
	}, err
}

type segment struct {
	objects   blob.Store
	init, key string
}

func (s segment) Init(ctx context.Context) ([]byte, error) {
	o, err := s.objects.Open(ctx, s.init)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	return io.ReadAll(o)
}

func (s segment) Open(ctx context.Context) (io.ReadSeekCloser, error) {
	return s.objects.Open(ctx, s.key)
}

func read(t testing.TB, objects blob.Store, key string) []byte {
	t.Helper()
	o, err := objects.Open(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	b, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type urls struct{}

func (urls) VOD(v string) string       { return "https://tv.example/vod/" + v + "/master.m3u8" }
func (urls) MP4(v string) string       { return "https://tv.example/vod/" + v + "/video.mp4" }
func (urls) Thumbnail(v string) string { return "https://tv.example/vod/" + v + "/thumbnail.jpg" }
func (urls) Storyboard(v string) string {
	return "https://tv.example/vod/" + v + "/storyboard.vtt"
}
