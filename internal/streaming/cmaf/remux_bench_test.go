package cmaf

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// fileSource is a segment in a file.
type fileSource struct {
	init []byte
	path string
}

func (s fileSource) Init(context.Context) ([]byte, error) { return s.init, nil }

func (s fileSource) Open(context.Context) (io.ReadSeekCloser, error) { return os.Open(s.path) }

// BenchmarkRemux10Minutes copies a recording of 10 minutes at 2.5 Mbit/s, 300
// segments of 10 parts each, from files to a file.
func BenchmarkRemux10Minutes(b *testing.B) {
	dir := b.TempDir()
	init := Init{Video: testVideo(b), Audio: testOpus()}.Marshal()
	var sources []Source
	var at clock
	for i := range 300 {
		var data []byte
		for range 10 {
			f := part()
			f.Video.BaseTime, f.Audio.BaseTime = at.video, at.audio
			at.video += f.Video.Duration()
			at.audio += f.Audio.Duration()
			data = f.AppendTo(data)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.mp4", i))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		sources = append(sources, fileSource{init, path})
	}
	b.ReportAllocs()
	var info Info
	for b.Loop() {
		out, err := os.Create(filepath.Join(dir, "video.mp4"))
		if err != nil {
			b.Fatal(err)
		}
		if info, err = Remux(context.Background(), out, sources, nil, nil); err != nil {
			b.Fatal(err)
		}
		if err := out.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(info.Size)
	if info.DurationMS != 600_000 {
		b.Errorf("the file lasts %d ms", info.DurationMS)
	}
}
