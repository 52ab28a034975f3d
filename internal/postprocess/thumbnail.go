package postprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"strconv"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	thumbnailWidth = 1280    // pixels at most
	maxPicture     = 8 << 20 // bytes of a JPEG
)

type thumbnailResult struct {
	Made bool
	Note string // for the history, why there is none
}

// makeThumbnail takes pictures out of the MP4 at the given times, in ms, and
// stores the one with the best score. That a server has no ffmpeg is a note and
// no error.
func (s *Service) makeThumbnail(ctx context.Context, j Job, m Media, candidates []int64) (thumbnailResult, error) {
	if m.Width == 0 {
		return thumbnailResult{Note: "No thumbnail: the video has no picture."}, nil
	}
	if _, err := s.findFFmpeg(); err != nil {
		return thumbnailResult{Note: noThumbnail(err)}, nil
	}
	video, release, err := s.begin(ctx, j, stepThumbnail)
	if err != nil {
		return thumbnailResult{}, err
	}
	defer release()
	if len(candidates) == 0 {
		candidates = spread(m.DurationMillis)
	}
	best, err := s.bestPicture(ctx, j, video, candidates)
	if err != nil {
		return thumbnailResult{}, err
	}
	return thumbnailResult{Made: true}, s.putBytes(ctx, thumbnailKey(j.ID), best)
}

func noThumbnail(err error) string { return "No thumbnail: " + errs.MessageOf(err) + "." }

// spread are the candidates of a video that has no storyboard.
func spread(durationMS int64) []int64 {
	var out []int64
	for _, tenth := range []int64{1, 3, 5, 7, 9} {
		out = append(out, durationMS*tenth/10)
	}
	return out
}

// bestPicture returns the picture, a JPEG, with the best score. One that cannot
// be taken is passed over, unless none can.
func (s *Service) bestPicture(ctx context.Context, j Job, video string, candidates []int64) ([]byte, error) {
	var best []byte
	var failures []error
	top := -1.0
	for i, at := range candidates {
		data, picture, err := s.takePicture(ctx, video, time.Duration(at)*time.Millisecond)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.tracker.at(j, stepThumbnail, float64(i+1)/float64(len(candidates)))
		if errors.Is(err, errStalled) {
			return nil, err // the next one would hang as long
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if points := score(picture); points > top {
			best, top = data, points
		}
	}
	if best == nil {
		return nil, coded(errors.Join(failures...), "ffmpeg could not take a picture out of the video")
	}
	return best, nil
}

// takePicture takes the key frame at a time, or the last before it.
func (s *Service) takePicture(ctx context.Context, video string, at time.Duration) ([]byte, *image.YCbCr, error) {
	args := append(inputArgs(video, "-noaccurate_seek", "-ss", strconv.FormatFloat(at.Seconds(), 'f', 3, 64)),
		"-frames:v", "1", "-vf", fmt.Sprintf("scale='min(%d,iw)':-2", thumbnailWidth),
		"-c:v", "mjpeg", "-q:v", "3", "-f", "image2pipe", "pipe:1")
	var data []byte
	err := s.runFFmpeg(ctx, args, func(r io.Reader) error {
		var err error
		data, err = io.ReadAll(io.LimitReader(r, maxPicture))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if len(data) == 0 {
		// ffmpeg is content when there is no frame at that place.
		return nil, nil, fmt.Errorf("ffmpeg found no picture at %v", at)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, nil, fmt.Errorf("ffmpeg's picture at %v: %w", at, err)
	}
	picture, ok := decoded.(*image.YCbCr)
	if !ok {
		return nil, nil, fmt.Errorf("ffmpeg's picture at %v is a %T", at, decoded)
	}
	return data, picture, nil
}
