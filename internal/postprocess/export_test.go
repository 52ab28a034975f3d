package postprocess

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// TilesOf makes the storyboard of a file, keeps nothing of it, and returns how
// many tiles it has.
func TilesOf(ctx context.Context, path string, m Media) (int, error) {
	s := &Service{cfg: Config{}.withDefaults(), log: slog.New(slog.DiscardHandler)}
	s.cfg.FFmpegStall = 10 * time.Second
	b := planStoryboard(m)
	all := newSheets(b, func(int, []byte) error { return nil })
	err := s.runFFmpeg(ctx, b.args(path), func(r io.Reader) error { return all.read(r, func(int) {}) })
	return len(all.scores), err
}

// EncodingArgs is what ffmpeg is told to encode a video, nil for nothing.
func EncodingArgs(in, out string, m Media) []string {
	e := planEncoding(m)
	if !e.video && !e.audio {
		return nil
	}
	return e.args(in, out, m)
}
