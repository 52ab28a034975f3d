package rtmp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
)

// sink is a host and its session that keep nothing.
type sink struct{ begun, bytes atomic.Int64 }

func (s *sink) Begin(context.Context, ingest.Offer, ingest.Publisher) (ingest.Session, error) {
	s.begun.Add(1)
	return s, nil
}
func (s *sink) Codec() cmaf.VideoCodec      { return cmaf.H264 }
func (s *sink) Video(frame.Video)           {}
func (s *sink) Audio(frame.Audio)           {}
func (s *sink) VideoReport(frame.Report)    {}
func (s *sink) AudioReport(frame.Report)    {}
func (s *sink) Lost(time.Time)              {}
func (s *sink) Received(n int, _ time.Time) { s.bytes.Add(int64(n)) }
func (s *sink) Dropped(int)                 {}
func (s *sink) Leave(bool, string)          {}

// secondOfMedia is one second of 720p30 at 2.5 Mbit/s with 48 kHz AAC: each element is
// the bytes of one message.
func secondOfMedia(b *testing.B) (headers []byte, messages [][]byte) {
	b.Helper()
	c := clip(b, rtmptest.Spec{Size: "1280x720", Bitrate: "2500k", Seconds: 4, Args: []string{"-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "1250k"}})
	w := chunk.NewWriter()
	w.SetSize(nil, 4096)
	put := func(t rtmptest.Tag) []byte {
		return w.Append(nil, 4, chunk.Message{Type: t.Type, StreamID: 1, Timestamp: t.Timestamp, Payload: t.Data})
	}
	for _, t := range c.Headers {
		headers = append(headers, put(t)...)
	}
	for _, t := range c.Tags {
		if t.Timestamp >= 2000 && t.Timestamp < 3000 {
			messages = append(messages, put(t))
		}
	}
	return headers, messages
}

// BenchmarkRead is the work alone: one operation is one second of media, so a
// nanosecond is 1e-7 % of a core.
func BenchmarkRead(b *testing.B) {
	headers, messages := secondOfMedia(b)
	second := bytes.Join(messages, nil)
	start := append(overture(), headers...)
	s := New(Config{}, oneKey{}, &sink{}, slog.New(slog.DiscardHandler))
	repeated := &repeat{block: second, left: b.N}
	b.ReportAllocs()
	b.ResetTimer()
	newSession(s, canned{io.MultiReader(bytes.NewReader(start), repeated)}, "bench").run(s.ctx)
	b.ReportMetric(float64(len(messages)), "messages/op")
	b.ReportMetric(float64(len(second)*8)/1e6, "Mbit/s")
	b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N), "%core")
}

// repeat gives a block again and again.
type repeat struct {
	block    []byte
	at, left int
}

func (r *repeat) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.block[r.at:])
	if r.at += n; r.at == len(r.block) {
		r.at, r.left = 0, r.left-1
	}
	return n, nil
}

// BenchmarkLive is streams in real time, each from an ffmpeg that copies, so
// that the process is the server alone. An operation is a second: run it with
// -benchtime 15x or so.
func BenchmarkLive(b *testing.B) {
	file := filepath.Join(b.TempDir(), "clip.flv")
	if out, err := exec.Command("ffmpeg", "-hide_banner", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30",
		"-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "10", "-c:v", "libx264", "-preset", "ultrafast", "-g", "60",
		"-b:v", "2500k", "-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "1250k", "-c:a", "aac", file).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, streams := range []int{1, 10} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			h := &sink{}
			address := serve(b, Config{}, h)
			var encoders sync.WaitGroup
			ctx, cancel := context.WithCancel(b.Context())
			for range streams {
				encoders.Go(func() {
					_ = exec.CommandContext(ctx, "ffmpeg", "-v", "quiet", "-nostdin", "-re", "-stream_loop", "-1", "-i", file,
						"-c", "copy", "-f", "flv", address+"/live/"+testKey).Run() // until it is stopped
				})
			}
			for h.begun.Load() < int64(streams) {
				time.Sleep(10 * time.Millisecond)
			}
			runtime.GC()
			before, came := cpuTime(b), h.bytes.Load()
			b.ResetTimer()
			time.Sleep(time.Duration(b.N) * time.Second)
			b.StopTimer()
			seconds := b.Elapsed().Seconds()
			b.ReportMetric(100*(cpuTime(b)-before).Seconds()/seconds, "%core")
			b.ReportMetric(float64(h.bytes.Load()-came)*8/1e6/seconds, "Mbit/s")
			cancel()
			encoders.Wait()
		})
	}
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
