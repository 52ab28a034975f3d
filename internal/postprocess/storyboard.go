package postprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	tileSide    = 256 // pixels of a tile's longer side
	sheetTiles  = 5   // tiles in a row of a sheet, and rows
	maxTiles    = 200 // of a storyboard, or a few more
	jpegQuality = 72
)

// storyboard is the plan of a video's storyboard (previews on the player's time
// line): pictures at regular times, many on a sheet.
type storyboard struct {
	every         time.Duration // between two tiles
	length        time.Duration // of the video
	width, height int           // pixels of a tile
}

// distances are the times between two tiles that people count in, in seconds.
// Tiles are at least 2 s apart, because key frames are.
func distances() []time.Duration {
	return []time.Duration{2, 5, 10, 15, 20, 30, 60, 90, 120, 180, 300}
}

// planStoryboard is for a video with a picture.
func planStoryboard(m Media) storyboard {
	length := time.Duration(m.DurationMillis) * time.Millisecond
	b := storyboard{length: length, every: (length / maxTiles).Truncate(time.Second)}
	for _, d := range distances() {
		if length <= d*time.Second*maxTiles {
			b.every = d * time.Second
			break
		}
	}
	even := func(n int) int { return max(16, n&^1) }
	if m.Width >= m.Height {
		b.width, b.height = tileSide, even(tileSide*m.Height/m.Width)
	} else {
		b.width, b.height = even(tileSide*m.Width/m.Height), tileSide
	}
	return b
}

// most is how many tiles there can be.
func (b storyboard) most() int { return int(b.length/b.every) + 1 }

// storyboardResult is what the step found. Sheets is 0 when there is none.
type storyboardResult struct {
	Sheets     int
	Candidates []int64 `json:",omitempty"` // ms: the best pictures, the best first
	Note       string  `json:",omitempty"` // for the history, why there is none
}

func storyboardKey(jobID string) string { return filesPrefix(jobID) + "storyboard.vtt" }
func sheetName(n int) string            { return fmt.Sprintf("storyboard-%d.jpg", n) }

// makeStoryboard makes the sheets and what describes them, and finds the
// pictures that may become the thumbnail. That a server has no ffmpeg is no
// error of the video's.
func (s *Service) makeStoryboard(ctx context.Context, j Job, m Media) (storyboardResult, error) {
	if m.Width <= 0 || m.Height <= 0 {
		return storyboardResult{}, nil // the thumbnail's step says so
	}
	if _, err := s.findFFmpeg(); err != nil {
		return storyboardResult{Note: noStoryboard(err)}, nil
	}
	video, release, err := s.begin(ctx, j, stepStoryboard)
	if err != nil {
		return storyboardResult{}, err
	}
	defer release()
	b := planStoryboard(m)
	sheets := newSheets(b, func(n int, data []byte) error {
		return s.putBytes(ctx, filesPrefix(j.ID)+sheetName(n), data)
	})
	err = s.runFFmpeg(ctx, b.args(video), func(r io.Reader) error {
		return sheets.read(r, func(tiles int) { s.tracker.at(j, stepStoryboard, float64(tiles)/float64(b.most())) })
	})
	switch {
	case ctx.Err() != nil:
		return storyboardResult{}, ctx.Err()
	case err != nil:
		return storyboardResult{}, coded(err, "ffmpeg could not read the video")
	}
	if err := s.putBytes(ctx, storyboardKey(j.ID), b.webVTT(len(sheets.scores))); err != nil {
		return storyboardResult{}, err
	}
	return storyboardResult{Sheets: sheets.made, Candidates: b.candidates(sheets.scores)}, nil
}

func noStoryboard(err error) string {
	return "No previews on the time line: " + errs.MessageOf(err) + "."
}

// args have ffmpeg write tiles, one after the other, planar YUV 4:2:0 of the full
// range. Each shows the key frame at its time or the last before it. A picture of
// another shape, of a phone that was turned, keeps its shape between black bars:
// scale and pad look at each frame, because filters that were made anew for it
// would count the time from 0 again.
func (b storyboard) args(video string) []string {
	return append(inputArgs(video, "-reinit_filter", "0"), "-vf", fmt.Sprintf(
		"fps=1/%[1]d:start_time=0:round=up,"+
			"scale=%[2]d:%[3]d:force_original_aspect_ratio=decrease:force_divisible_by=2:eval=frame:flags=bilinear:out_range=full,"+
			"pad=%[2]d:%[3]d:-1:-1:eval=frame,format=yuv420p",
		int(b.every.Seconds()), b.width, b.height), "-threads", "1", "-f", "rawvideo", "pipe:1")
}

// sheets gathers tiles.
type sheets struct {
	plan   storyboard
	put    func(n int, jpeg []byte) error
	sheet  *image.YCbCr
	made   int
	scores []float64 // of the tiles
}

func newSheets(b storyboard, put func(n int, jpeg []byte) error) *sheets {
	size := image.Rect(0, 0, b.width*sheetTiles, b.height*sheetTiles)
	return &sheets{plan: b, put: put, sheet: image.NewYCbCr(size, image.YCbCrSubsampleRatio420)}
}

// read takes tiles until the end, and stores each sheet that is full.
func (s *sheets) read(r io.Reader, progress func(tiles int)) error {
	tile := image.NewYCbCr(image.Rect(0, 0, s.plan.width, s.plan.height), image.YCbCrSubsampleRatio420)
	for {
		switch err := readPicture(r, tile); {
		case errors.Is(err, io.EOF):
			return s.end()
		case err != nil:
			return err
		case len(s.scores) == s.plan.most()+1: // its last frame may be rounded up
			return errs.New(errs.Internal, "the video is longer than it says")
		}
		if at := len(s.scores) % (sheetTiles * sheetTiles); at == 0 && len(s.scores) > 0 {
			if err := s.store(sheetTiles * sheetTiles); err != nil {
				return err
			}
		}
		s.add(tile)
		progress(len(s.scores))
	}
}

// readPicture fills a picture with its three planes.
func readPicture(r io.Reader, p *image.YCbCr) error {
	for i, plane := range [][]byte{p.Y, p.Cb, p.Cr} {
		_, err := io.ReadFull(r, plane)
		if err != nil && i > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add puts the next tile in its place.
func (s *sheets) add(tile *image.YCbCr) {
	x, y := s.plan.place(len(s.scores))
	for row := range s.plan.height {
		copy(s.sheet.Y[s.sheet.YOffset(x, y+row):], tile.Y[row*tile.YStride:][:s.plan.width])
	}
	for row := range s.plan.height / 2 {
		at := s.sheet.COffset(x, y+2*row)
		copy(s.sheet.Cb[at:], tile.Cb[row*tile.CStride:][:s.plan.width/2])
		copy(s.sheet.Cr[at:], tile.Cr[row*tile.CStride:][:s.plan.width/2])
	}
	s.scores = append(s.scores, score(tile))
}

// place is where a tile lies on its sheet.
func (b storyboard) place(tile int) (x, y int) {
	tile %= sheetTiles * sheetTiles
	return tile % sheetTiles * b.width, tile / sheetTiles * b.height
}

func (s *sheets) end() error {
	if len(s.scores) == 0 {
		return errors.New("there is no key frame")
	}
	return s.store((len(s.scores)-1)%(sheetTiles*sheetTiles) + 1)
}

// store stores the sheet, as large as its tiles need.
func (s *sheets) store(tiles int) error {
	columns, rows := min(tiles, sheetTiles), (tiles+sheetTiles-1)/sheetTiles
	used := s.sheet.SubImage(image.Rect(0, 0, columns*s.plan.width, rows*s.plan.height))
	var out bytes.Buffer
	if err := jpeg.Encode(&out, used, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return err
	}
	s.made++
	return s.put(s.made, out.Bytes())
}

// candidates returns the times, in ms, of the best picture of each fifth of the
// video, the best first.
func (b storyboard) candidates(scores []float64) []int64 {
	const parts = 5
	var best []int
	for part := range parts {
		from, to := part*len(scores)/parts, (part+1)*len(scores)/parts
		if from == to {
			continue
		}
		at := from
		for i := from; i < to; i++ {
			if scores[i] > scores[at] {
				at = i
			}
		}
		best = append(best, at)
	}
	return b.times(best, scores)
}
