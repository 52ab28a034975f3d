package postprocess_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
)

// The tests here run a node in a process of its own, this test's binary, to end
// it as the operating system would.
const childEnv = "POSTPROCESS_TEST_CHILD"

type plan struct {
	Place  place
	Stream string
	FFmpeg string // one that says when it works; then the MP4 is made as always
}

// child works on a recording, says "working" in the middle of its MP4, and then
// hangs until SIGTERM or worse. With an ffmpeg of its own it hangs in that.
func child() {
	var p plan
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &p)
	if err == nil {
		err = p.run()
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func (p plan) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	wrap := hanging
	if p.FFmpeg != "" {
		wrap = nil
	}
	n, err := p.Place.open(slog.New(slog.NewTextHandler(os.Stderr, nil)), postprocess.Config{FFmpeg: p.FFmpeg}, wrap)
	if err != nil {
		return err
	}
	if err := n.flows.Start(ctx); err != nil {
		return err
	}
	if err := n.hear(ended(p.Stream)); err != nil {
		return err
	}
	<-ctx.Done()
	return n.stop()
}

// hanging writes a megabyte of the real MP4 and then waits for the end.
func hanging(real postprocess.Remuxer) postprocess.Remuxer {
	return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
		return real.Remux(ctx, prefix, &hangingWriter{ctx: ctx, w: w}, progress)
	})
}

type hangingWriter struct {
	ctx context.Context
	w   io.Writer
}

func (h *hangingWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	if err != nil {
		return n, err
	}
	fmt.Println("working")
	<-h.ctx.Done()
	return n, h.ctx.Err()
}

// TestProcessEndsInMidMP4: after kill -9 and after SIGTERM in the middle of the
// MP4, the next process goes on; every effect is there once.
func TestProcessEndsInMidMP4(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "term": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			eachPlace(t, func(t *testing.T, p place) {
				n := open(t, p, postprocess.Config{}, nil)
				stream := streamID()
				record(t, n.objects, "recordings/chan/"+stream)
				n.shutdown(t)

				endInMidMP4(t, plan{Place: p, Stream: stream}, sig)
				if sig == syscall.SIGKILL {
					if left, err := os.ReadDir(p.workDir()); err != nil || len(left) != 1 {
						t.Fatalf("a killed process leaves its unfinished file: %v, %v", left, err)
					}
				}

				n = open(t, p, postprocess.Config{}, nil)
				emptyWorkDir(t, p)
				if _, err := n.objects.Open(context.Background(), "videos/"+stream+"/video.mp4"); err == nil {
					t.Fatal("there is an MP4 already")
				}
				n.start(t)
				n.await(t, stream, flow.Done)
				if got, want := n.types(t), []string{"MP4ProcessingStarted", "MP4ProcessingComplete"}; !slices.Equal(got, want) {
					t.Errorf("said %v, want %v", got, want)
				}
				if d := last[event.MP4ProcessingComplete](t, n); d.Thumbnail == "" || len(d.Notes) > 0 {
					t.Errorf("complete: %+v", d)
				}
				checkMP4(t, read(t, n.objects, "videos/"+stream+"/video.mp4"))
			})
		})
	}
}

func endInMidMP4(t *testing.T, p plan, sig syscall.Signal) {
	t.Helper()
	end := startChild(t, p)
	end(sig)
}

// startChild returns once the child says that it works.
func startChild(t *testing.T, p plan) (end func(sig syscall.Signal)) {
	t.Helper()
	env, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := bufio.NewScanner(out)
	if p.FFmpeg == "" && (!said.Scan() || said.Text() != "working") {
		t.Fatalf("the process said %q", said.Text())
	}
	return func(sig syscall.Signal) {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); sig == syscall.SIGTERM && err != nil {
			t.Fatalf("the process ended with %v: %s", err, said.Text())
		}
	}
}

// TestProcessIsKilledInMidStoryboard: ffmpeg dies with its node, what was in the
// work folder goes at the next start, and the MP4 is not made again.
func TestProcessIsKilledInMidStoryboard(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		n := open(t, p, postprocess.Config{}, nil)
		stream := streamID()
		record(t, n.objects, "recordings/chan/"+stream)
		n.shutdown(t)

		ffmpeg, pid := filepath.Join(p.Dir, "slow-ffmpeg"), filepath.Join(p.Dir, "pid")
		script(t, ffmpeg, "echo $$ > "+pid+".new; mv "+pid+".new "+pid+"; head -c 60000 /dev/zero; exec sleep 600")
		end := startChild(t, plan{Place: p, Stream: stream, FFmpeg: ffmpeg})
		waitFor(t, "ffmpeg runs", func() bool { _, err := os.Stat(pid); return err == nil })
		end(syscall.SIGKILL)
		if left, err := os.ReadDir(p.workDir()); err != nil || len(left) != 1 {
			t.Fatalf("a killed process leaves its MP4: %v, %v", left, err)
		}
		if runtime.GOOS == "linux" {
			text, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			waitFor(t, "ffmpeg is gone", func() bool { return gone(strings.TrimSpace(string(text))) })
		}

		var remuxed atomic.Int64
		n = open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				remuxed.Add(1)
				return real.Remux(ctx, prefix, w, progress)
			})
		})
		emptyWorkDir(t, p)
		n.start(t)
		n.await(t, stream, flow.Done)
		if d := last[event.MP4ProcessingComplete](t, n); d.Thumbnail == "" || d.Storyboard == "" || len(d.Notes) > 0 {
			t.Errorf("complete: %+v", d)
		}
		if remuxed.Load() != 0 {
			t.Error("the MP4 was made twice")
		}
		emptyWorkDir(t, p)
	})
}

// TestShutdownKillsFFmpeg: a node that stops ends its ffmpeg, with the children
// it has; the next one makes the thumbnail, from the stored MP4.
func TestShutdownKillsFFmpeg(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ffmpeg, pids := filepath.Join(p.Dir, "slow-ffmpeg"), filepath.Join(p.Dir, "pids")
		script(t, ffmpeg, "sleep 600 & echo $$ $! > "+pids+".new; mv "+pids+".new "+pids+"; wait")
		n := open(t, p, postprocess.Config{FFmpeg: ffmpeg}, nil)
		n.start(t)
		stream := streamID()
		record(t, n.objects, "recordings/chan/"+stream)
		n.mustHear(t, ended(stream))
		waitFor(t, "ffmpeg runs", func() bool { _, err := os.Stat(pids); return err == nil })
		n.shutdown(t)
		b, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range strings.Fields(string(b)) {
			waitFor(t, "process "+text+" is gone", func() bool { return gone(text) })
		}
		emptyWorkDir(t, p)

		var remuxed atomic.Int64
		n = open(t, p, postprocess.Config{}, func(real postprocess.Remuxer) postprocess.Remuxer {
			return wrapped(func(ctx context.Context, prefix string, w io.Writer, progress func(done, total int64)) (postprocess.Media, error) {
				remuxed.Add(1)
				return real.Remux(ctx, prefix, w, progress)
			})
		})
		n.start(t)
		n.await(t, stream, flow.Done)
		if d := last[event.MP4ProcessingComplete](t, n); d.Thumbnail == "" || len(d.Notes) > 0 {
			t.Errorf("complete: %+v", d)
		}
		if remuxed.Load() != 0 {
			t.Error("the MP4 was made twice")
		}
		emptyWorkDir(t, p)
	})
}

// gone says whether a process has ended. One that nobody has waited for yet is
// a zombie, and as good as gone.
func gone(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(state, "Z")
}
