package postprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"time"
)

const (
	thumbnailWidth = 1280 // pixels at most
	thumbnailAt    = 0.1  // of the video's length
	maxMessages    = 4096 // bytes kept of what ffmpeg says
)

type thumbnailResult struct {
	Made bool
	Note string // for the history, why there is none
}

// makeThumbnail takes a picture out of the MP4 and stores it. That a server has
// no ffmpeg, or that ffmpeg finds no picture, is a note and no error.
func (s *Service) makeThumbnail(ctx context.Context, j Job, mp4 mp4Result) (thumbnailResult, error) {
	if mp4.Width == 0 {
		return s.noThumbnail(j, "No thumbnail: the video has no picture.")
	}
	ffmpeg, err := exec.LookPath(s.cfg.FFmpeg)
	if err != nil {
		return s.noThumbnail(j, "No thumbnail: ffmpeg is not installed on the server.")
	}
	release, err := s.slot(ctx)
	if err != nil {
		return thumbnailResult{}, err
	}
	defer release()
	video, err := s.fetch(ctx, j)
	if err != nil {
		return thumbnailResult{}, err
	}
	picture := video + ".jpg"
	at := time.Duration(float64(mp4.DurationMillis)*thumbnailAt) * time.Millisecond
	err = errors.Join(s.takePicture(ctx, ffmpeg, video, picture, at), removed(video))
	defer func() { _ = os.Remove(picture) }()
	switch {
	case ctx.Err() != nil:
		return thumbnailResult{}, ctx.Err()
	case err != nil:
		s.log.Warn("post-processing: ffmpeg makes no thumbnail", "video", j.ID, "err", err)
		return s.noThumbnail(j, "No thumbnail: ffmpeg could not take a picture out of the video.")
	}
	_, err = s.put(ctx, thumbnailKey(j.ID), picture)
	return thumbnailResult{Made: err == nil}, err
}

func (s *Service) noThumbnail(j Job, note string) (thumbnailResult, error) {
	return thumbnailResult{Note: note}, removed(s.localMP4(j.ID))
}

func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// takePicture runs ffmpeg for one frame. It is killed with all its children
// when ctx ends or when it takes too long.
func (s *Service) takePicture(ctx context.Context, ffmpeg, video, picture string, at time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FFmpegTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-threads", "1",
		"-ss", strconv.FormatFloat(at.Seconds(), 'f', 3, 64), "-i", video,
		"-map", "0:v:0", "-frames:v", "1", "-vf", fmt.Sprintf("scale='min(%d,iw)':-2", thumbnailWidth),
		"-c:v", "mjpeg", "-q:v", "3", "-f", "image2", "-update", "1", "-y", picture)
	var said tail
	cmd.Stderr = &said
	ownGroup(cmd)
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", errors.Join(err, ctx.Err()), said.b)
	}
	info, err := os.Stat(picture)
	if err != nil || info.Size() == 0 {
		// ffmpeg is content when there is no frame at that place.
		return fmt.Errorf("ffmpeg wrote no picture: %s", said.b)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxMessages; over > 0 {
		t.b = bytes.Clone(t.b[over:])
	}
	return len(p), nil
}
