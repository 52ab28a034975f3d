package whip

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// The benchmark's publishers are processes of their own, so that their work is
// not counted.
const (
	benchURL     = "WHIP_BENCH_URL"
	benchStreams = "WHIP_BENCH_STREAMS"
	benchSeconds = 10
)

// TestBenchPublisher is such a process.
func TestBenchPublisher(t *testing.T) {
	url := os.Getenv(benchURL)
	if url == "" {
		t.Skip("it belongs to BenchmarkIngest")
	}
	streams, err := strconv.Atoi(os.Getenv(benchStreams))
	if err != nil {
		t.Fatal(err)
	}
	clip, err := streamtest.MakeClip(context.Background(), streamtest.Picture{Width: 1280, Height: 720}, 4)
	if err != nil {
		t.Fatal(err)
	}
	loudest(clip)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for range streams {
		p, err := streamtest.Publish(ctx, url, key, streamtest.Options{Clips: []*streamtest.Clip{clip}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
	}
	<-ctx.Done()
}

// loudest brings a clip to 2.5 Mbit/s by filler (NAL type 12), which counts on the
// way in and is no picture.
func loudest(c *streamtest.Clip) {
	bytes := 0
	for _, f := range c.Frames {
		bytes += len(f)
	}
	want := int(c.Length().Seconds() * 2_500_000 / 8)
	for i := range c.Frames {
		if n := (want - bytes) / len(c.Frames); n > 8 {
			filler := make([]byte, n)
			for j := range filler {
				filler[j] = 0xff
			}
			c.Frames[i] = append(append(append([]byte(nil), c.Frames[i]...), 0, 0, 0, 1, 12), filler...)
		}
	}
}

// BenchmarkIngest reports what a WHIP stream of 2.5 Mbit/s costs this process in
// percent of a core, from the socket to whole access units.
func BenchmarkIngest(b *testing.B) {
	for _, streams := range []int{1, 5} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			h := &host{codec: cmaf.H264}
			n := startIngest(b, Config{}, h)
			cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "TestBenchPublisher")
			cmd.Env = append(os.Environ(), benchURL+"="+n.url, benchStreams+"="+strconv.Itoa(streams))
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(os.Interrupt)
				_ = cmd.Wait()
			}()
			eventually(b, "all publishers send", func() bool {
				h.mu.Lock()
				defer h.mu.Unlock()
				for _, s := range h.sinks {
					if frames, _ := s.counts(); frames < 30 {
						return false
					}
				}
				return len(h.sinks) == streams
			})
			for b.Loop() {
				before, start := used(b), time.Now()
				time.Sleep(benchSeconds * time.Second)
				share := (used(b) - before).Seconds() / time.Since(start).Seconds()
				b.ReportMetric(100*share/float64(streams), "%core/stream")
			}
			_, p := n.last()
			stats := p.Stats()
			b.ReportMetric(float64(stats.PacketsLost), "lost")
		})
	}
}

// used is the processor time of this process.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
