package transcode

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// quick restarts at once.
func quick() Limits {
	l := noLimits()
	l.Backoff, l.MaxBackoff = time.Nanosecond, time.Nanosecond
	return l
}

func pidOf(t testing.TB, s *supervisor) int {
	t.Helper()
	waitFor(t, "a process runs", func() bool { return s.running() != nil })
	return s.running().cmd.Process.Pid
}

// gone tells whether there is no such process, zombies apart.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// signal sends a signal to a process of the test's own.
func signal(t testing.TB, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// TestKilled kills ffmpeg in the middle of a group of pictures: what it had is a
// gap, and it goes on at the next key frame.
func TestKilled(t *testing.T) {
	in := makeVideo(t, "H264", moving(320, 180), 120)
	h := &heard{}
	v := NewVideo(tools(t), h.video(VideoConfig{Height: 90, Limits: quick()}), logTo(t))
	defer v.Close()
	sent := 0
	for round := 1; round <= 3; round++ { // killed after the 40th, 70th and 100th frame
		for ; sent < 10+30*round; sent++ {
			v.Video(in[sent].Video, in[sent].at)
		}
		// All but the rest of the group that was interrupted comes out.
		waitFor(t, "pictures come out", func() bool { return h.count() >= 40+10*(round-1) })
		signal(t, pidOf(t, v.sup), syscall.SIGKILL)
		waitFor(t, "its death is seen", func() bool { return v.sup.running() == nil })
	}
	sendAll(v, in[sent:])
	v.End()
	ended(t, v.Done())
	h.checkVideo(t, in)
	if s := v.Stats(); s.Restarts != 2 || s.Lost != 60 || s.Out != 60 || s.In != 120 || s.Failed != "" || len(h.failed) > 0 {
		t.Errorf("%+v", s)
	}
	if last := h.gaps[len(h.gaps)-1]; last.to != 120*tick {
		t.Errorf("the last gap %v does not reach to the end", last)
	}
}

// TestResolutionChange changes size and orientation in mid-stream, as browsers do.
func TestResolutionChange(t *testing.T) {
	var in []placed
	for i, size := range [][2]int{{640, 360}, {1280, 720}, {320, 180}, {360, 640}} {
		in = append(in, later(makeVideo(t, "H264", moving(size[0], size[1]), 30), int64(i)*30*tick)...)
	}
	h := &heard{}
	v := NewVideo(tools(t), h.video(VideoConfig{Height: 240, Limits: noLimits()}), logTo(t))
	defer v.Close()
	sendAll(v, in)
	v.End()
	ended(t, v.Done())
	h.checkVideo(t, in)
	if len(h.gaps) > 0 {
		t.Fatalf("gaps %v", h.gaps)
	}
	for i, want := range [][2]int{{426, 240}, {426, 240}, {320, 180}, {240, 426}} {
		if c := h.frames[i*30].Config; c.Width != want[0] || c.Height != want[1] {
			t.Errorf("part %d: %dx%d", i, c.Width, c.Height)
		}
	}
}

// later moves frames on the timeline.
func later(in []placed, by int64) []placed {
	out := make([]placed, len(in))
	for i, f := range in {
		f.at += by
		out[i] = f
	}
	return out
}

// TestCodecChange goes from one codec to another.
func TestCodecChange(t *testing.T) {
	in := append(makeVideo(t, "VP8", moving(320, 180), 30), later(makeVideo(t, "H264", moving(320, 180), 30), 30*tick)...)
	h := &heard{}
	v := NewVideo(tools(t), h.video(VideoConfig{Limits: noLimits()}), logTo(t))
	defer v.Close()
	sendAll(v, in)
	v.End()
	ended(t, v.Done())
	h.checkVideo(t, in)
	if len(h.gaps) > 0 {
		t.Errorf("gaps %v", h.gaps)
	}
}

// TestBreak loses the publisher in a group of pictures; the times jump.
func TestBreak(t *testing.T) {
	in := makeVideo(t, "H264", moving(320, 180), 60)
	after := later(in, 20*cmaf.VideoTimescale)
	h := &heard{}
	v := NewVideo(tools(t), h.video(VideoConfig{Limits: noLimits()}), logTo(t))
	defer v.Close()
	sendAll(v, in[:45])
	v.Break()
	sendAll(v, after)
	v.End()
	ended(t, v.Done())
	h.checkVideo(t, append(in[:45:45], after...))
	if s := v.Stats(); len(h.gaps) > 0 || s.Restarts > 0 {
		t.Errorf("gaps %v, %+v", h.gaps, s)
	}
}

// TestStopped stops ffmpeg for a while: the queue overflows, frames up to a key
// frame are dropped, and no call ever waits.
func TestStopped(t *testing.T) {
	in := makeVideo(t, "H264", moving(640, 360), 300)
	limits := Limits{Stall: time.Minute, Start: time.Minute, QueueFrames: 40}
	h := &heard{}
	v := NewVideo(tools(t), h.video(VideoConfig{Limits: limits}), logTo(t))
	defer v.Close()
	settled := func() bool { s := v.Stats(); return s.Out+s.Dropped >= s.In }
	sendAll(v, in[:20])
	waitFor(t, "pictures come out", settled)
	pid := pidOf(t, v.sup)
	signal(t, pid, syscall.SIGSTOP)
	sendAll(v, in[20:220])
	if s := v.Stats(); s.Dropped < 50 {
		t.Errorf("%+v", s)
	}
	signal(t, pid, syscall.SIGCONT)
	waitFor(t, "what was in the queue comes out", settled)
	for n := 220; n < len(in); n += 10 { // no faster than it takes them
		sendAll(v, in[n:n+10])
		waitFor(t, "pictures come out", settled)
	}
	v.End()
	ended(t, v.Done())
	h.checkVideo(t, in)
	if s := v.Stats(); s.Restarts > 0 || h.frames[len(h.frames)-1].at != in[len(in)-1].at {
		t.Errorf("%+v", s)
	}
}

// TestStalled stops ffmpeg for good: it is killed and started anew.
func TestStalled(t *testing.T) {
	in := makeVideo(t, "H264", moving(320, 180), 90)
	limits := quick()
	limits.Stall = 200 * time.Millisecond
	h := &heard{}
	v := NewVideo(tools(t), h.video(VideoConfig{Limits: limits}), logTo(t))
	defer v.Close()
	sendAll(v, in[:30])
	waitFor(t, "all comes out", func() bool { return h.count() == 30 })
	pid := pidOf(t, v.sup)
	signal(t, pid, syscall.SIGSTOP)
	sendAll(v, in[30:50])
	waitFor(t, "it is killed", func() bool { return gone(pid) })
	waitFor(t, "its death is seen", func() bool { return v.sup.running() == nil })
	sendAll(v, in[50:])
	v.End()
	ended(t, v.Done())
	h.checkVideo(t, in)
	if s := v.Stats(); s.Restarts != 1 || s.Lost != 30 || s.Out != 60 {
		t.Errorf("%+v", s)
	}
}

// script writes a program that stands for ffmpeg.
func script(t *testing.T, body string) Tools {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Tools{path: path}
}

// TestGivesUp has programs that never work.
func TestGivesUp(t *testing.T) {
	in := makeVideo(t, "H264", moving(320, 180), 30)
	tests := map[string]struct{ script, reason string }{
		"it reads nothing":         {"sleep 600 & sleep 600", "it gave nothing for 300ms"},
		"it reads and gives none":  {"cat >/dev/null", "it gave nothing for 300ms"},
		"it ends":                  {"echo out of luck >&2; exit 3", "exit status 3"},
		"it ends well":             {"exit 0", "it ended by itself"},
		"its output is none":       {"yes", "does not begin with its identification"},
		"its output ends early":    {`printf 'nut/multimedia container\000NM'`, "unexpected EOF"},
		"it closes its output":     {"exec >&-; sleep 600", "signal: killed"},
		"it is gone":               {"", "no such file"},
		"it says what never stops": {"yes 'no luck' >&2", "it gave nothing for 300ms"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tool := script(t, tt.script)
			if tt.script == "" {
				tool.path += "-none"
			}
			limits := quick()
			limits.Start, limits.Stall, limits.Failures = 300*time.Millisecond, 300*time.Millisecond, 3
			h := &heard{}
			v := NewVideo(tool, h.video(VideoConfig{Limits: limits}), logTo(t))
			defer v.Close()
			var sent []placed
			waitFor(t, "it is given up", func() bool {
				group := later(in, int64(len(sent))*tick) // the stream goes on
				sendAll(v, group)
				sent = append(sent, group...)
				return v.Stats().Failed != ""
			})
			v.End()
			ended(t, v.Done())
			h.checkVideo(t, sent)
			if s := v.Stats(); len(h.failed) != 1 || !strings.Contains(h.failed[0], tt.reason) || s.Restarts != 2 || len(h.frames) > 0 {
				t.Errorf("failed %q, %+v", h.failed, s)
			}
		})
	}
}

// TestCloseWhileBusy closes at every moment of a process's life.
func TestCloseWhileBusy(t *testing.T) {
	in := makeVideo(t, "H264", moving(640, 360), 60)
	moments := map[string]func(v *Video, h *heard){
		"before anything":   func(*Video, *heard) {},
		"as it starts":      func(v *Video, _ *heard) { v.Video(in[0].Video, 0) },
		"with a full queue": func(v *Video, _ *heard) { sendAll(v, in) },
		"in the middle": func(v *Video, h *heard) {
			sendAll(v, in)
			waitFor(t, "pictures come out", func() bool { return h.count() > 5 })
		},
		"while it is stopped": func(v *Video, h *heard) {
			v.Video(in[0].Video, 0)
			waitFor(t, "pictures come out", func() bool { return h.count() > 0 })
			signal(t, pidOf(t, v.sup), syscall.SIGSTOP)
			sendAll(v, in[1:])
		},
		"after the end": func(v *Video, _ *heard) {
			sendAll(v, in)
			v.End()
		},
	}
	for name, moment := range moments {
		t.Run(name, func(t *testing.T) {
			h := &heard{}
			v := NewVideo(tools(t), h.video(VideoConfig{Limits: noLimits()}), logTo(t))
			moment(v, h)
			v.Close()
			n := h.count()
			if left := children(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			sendAll(v, in) // to nobody
			v.Close()
			if h.count() != n || len(h.failed) > 0 {
				t.Errorf("%d frames came after Close; failed %q", h.count()-n, h.failed)
			}
		})
	}
}

func sendAll(v *Video, in []placed) {
	for _, f := range in {
		v.Video(f.Video, f.at)
	}
}

// TestParentKilled kills the process that has the sidecar: ffmpeg goes with it,
// though it is stopped and will never see the end of its input.
func TestParentKilled(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), childOf+"=1")
	out, err := parent.StdoutPipe()
	if err == nil {
		err = parent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscan(out, &pid)
	if err != nil || gone(pid) {
		t.Errorf("ffmpeg %d: %v", pid, err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	waitFor(t, "ffmpeg is gone", func() bool { return gone(pid) })
}

// childWithSidecar starts a sidecar, stops its process and prints its id.
func childWithSidecar() {
	p, err := startProcess("ffmpeg", append(common("ivf"), "-i", "pipe:0", "-f", "null", "-"), Limits{}.withDefaults(), ignore)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	fmt.Println(p.cmd.Process.Pid)
	select {}
}

// ignore reads output to the end.
func ignore(out io.Reader, _ func()) error {
	_, err := io.Copy(io.Discard, out)
	return err
}
