package whep

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
)

// Viewers are another process, so that their work is not counted as the
// server's: the test binary itself, with these.
const (
	childEndpoint = "WHEP_TEST_ENDPOINT"
	childViewers  = "WHEP_TEST_VIEWERS"
)

const (
	benchSettle = 3 * time.Second
	benchTime   = 10 * time.Second
)

// watched is what the child reports.
type watched struct {
	Frames, Lost, NACKs int
	P50, P95, Max       float64 // ms from the publisher's stamp to the complete frame
	Join                float64 // ms from the answer to the first key frame, the median
	Failed              string
}

// child watches when the process was started for it.
func child() bool {
	endpoint := os.Getenv(childEndpoint)
	if endpoint == "" {
		return false
	}
	n, err := strconv.Atoi(os.Getenv(childViewers))
	if err == nil {
		err = watchMany(endpoint, n)
	}
	if err != nil {
		_ = json.NewEncoder(os.Stdout).Encode(watched{Failed: err.Error()})
	}
	return true
}

// watchMany connects viewers, says "ready", and measures from a line on standard
// input to the next one.
func watchMany(endpoint string, n int) error {
	var mu sync.Mutex
	var delays []float64
	measuring := false
	unit := func(u wheptest.Unit) {
		if !u.Video {
			return
		}
		sent := stampOf(u.Data)
		mu.Lock()
		defer mu.Unlock()
		if measuring && !sent.IsZero() {
			delays = append(delays, float64(u.Complete.Sub(sent))/1e6)
		}
	}
	client := &http.Client{Timeout: waitTime}
	viewers := make([]*wheptest.Viewer, n)
	for i := range viewers {
		v, err := wheptest.Watch(context.Background(), endpoint, wheptest.Options{Unit: unit, Client: client})
		if err != nil {
			return err
		}
		defer func() { _ = v.Close() }()
		viewers[i] = v
	}
	var joins []float64
	ctx, cancel := context.WithTimeout(context.Background(), waitTime)
	defer cancel()
	for _, v := range viewers {
		if err := v.Wait(ctx, func(s wheptest.Stats) bool { return s.KeyFrames > 0 }); err != nil {
			return err
		}
		joins = append(joins, float64(v.Stats().FirstKey.Sub(v.Answered()))/1e6)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	lines.Scan()
	before := total(viewers)
	mu.Lock()
	measuring = true
	mu.Unlock()
	lines.Scan()
	mu.Lock()
	measuring = false
	mu.Unlock()
	w := total(viewers)
	w.Frames, w.Lost, w.NACKs = w.Frames-before.Frames, w.Lost-before.Lost, w.NACKs-before.NACKs
	slices.Sort(delays)
	slices.Sort(joins)
	if len(delays) > 0 {
		w.P50, w.P95, w.Max = delays[len(delays)/2], delays[len(delays)*95/100], delays[len(delays)-1]
	}
	w.Join = joins[len(joins)/2]
	return json.NewEncoder(os.Stdout).Encode(w)
}

func total(viewers []*wheptest.Viewer) watched {
	var w watched
	for _, v := range viewers {
		s := v.Stats()
		w.Frames += s.Frames
		w.Lost += s.Lost
		w.NACKs += s.NACKs
	}
	return w
}

// usage is this process's CPU time and resident memory.
func usage(b *testing.B) (time.Duration, float64) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), float64(resident) * float64(os.Getpagesize()) / 1e6
}

// BenchmarkViewers measures a 720p30 stream of 2.5 Mbit/s with Opus, of a
// publisher that is part of the process: its share is measured with one viewer's
// fan and no viewer more, and taken off. Run it with -benchtime 1x.
func BenchmarkViewers(b *testing.B) {
	c := clip(b, streamtest.Picture{Width: 1280, Height: 720, Bitrate: 2_500_000, KeyEvery: 60}, 4)
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				benchViewers(b, c, n)
			}
		})
	}
}

func benchViewers(b *testing.B, c *streamtest.Clip, n int) {
	stream := newClipStream(b, "st-1", c)
	stream.play(b)
	s, endpoint := serve(b, stream, Config{}, nil)
	// The fan runs without viewers too.
	f := s.acquire(stream, stream.rungs[0])
	defer s.release(f)
	time.Sleep(benchSettle)
	idleFrom, memory0 := usage(b)
	time.Sleep(benchTime / 2)
	idleTo, _ := usage(b)

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEndpoint+"="+endpoint, childViewers+"="+strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		b.Fatalf("the viewers: %s", lines.Text())
	}
	time.Sleep(benchSettle)
	fmt.Fprintln(in)
	from, _ := usage(b)
	time.Sleep(benchTime)
	to, memory := usage(b)
	fmt.Fprintln(in)
	var w watched
	if !lines.Scan() {
		b.Fatal("the viewers say nothing")
	}
	if err := json.Unmarshal(lines.Bytes(), &w); err != nil || w.Failed != "" {
		b.Fatalf("the viewers: %v %s", err, w.Failed)
	}
	if err := cmd.Wait(); err != nil {
		b.Error(err)
	}
	idle := 100 * float64(idleTo-idleFrom) / float64(benchTime/2)
	busy := 100 * float64(to-from) / float64(benchTime)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(w.P50, "p50-ms")
	b.ReportMetric(w.P95, "p95-ms")
	b.ReportMetric(w.Max, "max-ms")
	b.ReportMetric(w.Join, "join-ms")
	b.ReportMetric((busy-idle)/float64(n), "cpu%/viewer")
	b.ReportMetric((memory-memory0)/float64(n), "MB/viewer")
	b.ReportMetric(float64(w.Lost), "lost")
	b.ReportMetric(float64(w.NACKs), "nacks")
	b.ReportMetric(float64(w.Frames)/float64(n)/benchTime.Seconds(), "fps")
}
