package postprocess

import (
	"context"
	"image"
	"io"
	"log/slog"
	"time"
)

// TilesOf makes the storyboard of a file, and returns its sheets and how many tiles
// they have, each of the size.
func TilesOf(ctx context.Context, path string, m Media) (jpegs [][]byte, tiles int, size image.Point, err error) {
	s := &Service{cfg: Config{}.withDefaults(), log: slog.New(slog.DiscardHandler)}
	s.cfg.FFmpegStall = 10 * time.Second
	b := planStoryboard(m)
	all := newSheets(b, func(_ int, jpeg []byte) error { jpegs = append(jpegs, jpeg); return nil })
	err = s.runFFmpeg(ctx, b.args(path), func(r io.Reader) error { return all.read(r, func(int) {}) })
	return jpegs, len(all.scores), image.Pt(b.width, b.height), err
}

// EncodingArgs is what ffmpeg is told to encode a video, nil for nothing.
func EncodingArgs(in, out string, m Media) []string {
	e := planEncoding(m)
	if !e.video && !e.audio {
		return nil
	}
	return e.args(in, out, m)
}
