package postprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const (
	maxMessages = 4096        // bytes kept of what ffmpeg says
	maxPixels   = 8192 * 8192 // of a picture that ffmpeg decodes
)

// errNoFFmpeg is why a server makes no pictures.
func errNoFFmpeg() error {
	return errs.New(errs.Unsupported, "ffmpeg is not installed on the server")
}

// findFFmpeg returns the program. Errors: errs.Unsupported.
func (s *Service) findFFmpeg() (string, error) {
	path, err := exec.LookPath(s.cfg.FFmpeg)
	if err != nil {
		return "", errNoFFmpeg()
	}
	return path, nil
}

// inputArgs are what ffmpeg is told about a video of which key frames alone are
// decoded: they are all that pictures are made of, and a twentieth of the work.
func inputArgs(video string, before ...string) []string {
	args := []string{"-nostdin", "-hide_banner", "-nostats", "-v", "error", "-protocol_whitelist", "file,pipe",
		"-max_pixels", strconv.Itoa(maxPixels), "-threads", "1", "-skip_frame", "nokey"}
	return append(append(args, before...), "-i", video, "-map", "0:v:0")
}

// runFFmpeg runs ffmpeg and hands what it writes to take, which reads it all or
// fails. ffmpeg is killed with all its children when ctx ends, when take fails,
// and when it has given nothing for too long; errs.Unavailable says so then.
func (s *Service) runFFmpeg(ctx context.Context, args []string, take func(io.Reader) error) error {
	return s.runFFmpegWithin(ctx, s.cfg.FFmpegStall, args, take)
}

// runFFmpegWithin is runFFmpeg where ffmpeg may be silent for so long.
func (s *Service) runFFmpegWithin(ctx context.Context, stall time.Duration, args []string, take func(io.Reader) error) error {
	path, err := s.findFFmpeg()
	if err != nil {
		return err
	}
	dog := watch(ctx, stall)
	defer dog.stop()
	cmd := exec.CommandContext(dog.ctx, path, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = childEnvironment(), s.cfg.WorkDir, 2*time.Second
	ownGroup(cmd)
	var said tail
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// The thread that started it stays until it is gone: Linux sends a child the
	// death signal of its parent's thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	lowerPriority(cmd.Process.Pid)
	taken := take(watchedReader{out, dog})
	if taken != nil {
		dog.cancel(nil) // it need not go on
	}
	if err := errors.Join(taken, cmd.Wait()); err != nil {
		return dog.judge(fmt.Errorf("ffmpeg: %w: %s", errors.Join(err, ctx.Err()), said.b), "ffmpeg")
	}
	return nil
}

// childEnvironment is what ffmpeg gets to know: it decodes what strangers sent,
// so none of our settings and secrets.
func childEnvironment() []string {
	env := []string{}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// watchedReader tells a watchdog of what is read.
type watchedReader struct {
	r   io.Reader
	dog *watchdog
}

func (w watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.dog.alive()
	}
	return n, err
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
