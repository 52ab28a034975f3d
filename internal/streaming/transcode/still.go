package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	stillTimeout = 10 * time.Second
	maxStill     = 4 << 20 // bytes of a JPEG
	maxWidth     = 1920    // pixels
)

// Stills makes pictures of segments, few at a time.
type Stills struct {
	tools   Tools
	slots   chan struct{}
	timeout time.Duration
}

// NewStills lets a number of pictures be made at once, at least 1.
func NewStills(tools Tools, atOnce int) *Stills {
	return &Stills{tools: tools, slots: make(chan struct{}, max(1, atOnce)), timeout: stillTimeout}
}

// Still returns a JPEG, at most width pixels wide, of the first key frame of a
// CMAF segment. It waits for its turn, then takes at most 10 s. Errors:
// errs.Unsupported without ffmpeg, errs.Unavailable when its turn does not come
// before ctx ends, errs.Invalid for a width that is none, errs.Internal when
// ffmpeg finds no picture.
func (s *Stills) Still(ctx context.Context, init, segment []byte, width int) ([]byte, error) {
	if s.tools.path == "" {
		return nil, errs.New(errs.Unsupported, "this server has no ffmpeg to make pictures of a stream")
	}
	if width < 16 || width > maxWidth {
		return nil, errs.Newf(errs.Invalid, "a picture %d pixels wide; 16 to %d can be made", width, maxWidth)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, errs.Wrap(ctx.Err(), errs.Unavailable, "too many pictures are being made")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	jpeg, err := s.run(ctx, io.MultiReader(bytes.NewReader(init), bytes.NewReader(segment)), width)
	return jpeg, errs.Wrap(err, errs.Internal, "ffmpeg could not take a picture out of the stream")
}

func (s *Stills) run(ctx context.Context, in io.Reader, width int) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.tools.path, "-hide_banner", "-nostdin", "-nostats", "-v", "error", "-protocol_whitelist", "pipe",
		"-max_pixels", strconv.Itoa(maxPixels), "-threads", "1", "-skip_frame", "nokey", "-f", "mp4", "-i", "pipe:0", "-map", "0:v:0",
		"-frames:v", "1", "-vf", fmt.Sprintf("scale='min(%d,iw)':-2", width&^1), "-threads", "1", "-q:v", "4", "-f", "mjpeg", "pipe:1")
	var out bytes.Buffer
	said := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &limitedWriter{w: &out, left: maxStill}, said
	cmd.Env, cmd.Dir, cmd.WaitDelay = childEnvironment(), os.TempDir(), time.Second
	ownGroup(cmd)
	cmd.Cancel = func() error { killGroup(cmd); return nil }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lowerPriority(cmd.Process.Pid)
	err := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it took too long: %w", ctx.Err())
	case out.Len() > 0 && bytes.HasPrefix(out.Bytes(), []byte{0xff, 0xd8}):
		return out.Bytes(), nil // it may complain that we did not take the rest of its input
	case err != nil:
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	return nil, errors.New("it found no key frame: " + said.String())
}
