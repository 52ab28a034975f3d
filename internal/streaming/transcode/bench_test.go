package transcode

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// The benchmarks run in real time, some seconds each, whatever b.N is:
//
//	go test -run '^$' -bench . -benchtime 1x ./internal/streaming/transcode
//
// ms is from a frame's way in to its way out, core the share of one core that
// ffmpeg has taken (of Linux), both without the first second.

const (
	benchSeconds = 5
	warmUp       = 1 // seconds
)

func BenchmarkVideo(b *testing.B) {
	tests := []struct {
		kind                string
		width, height, rung int
	}{
		{"H264", 1280, 720, 480},
		{"H264", 1280, 720, 360},
		{"H264", 1920, 1080, 480},
		{"H264-B", 1280, 720, 480},
		{"VP8", 1280, 720, 0},
		{"VP8", 1280, 720, 480},
		{"VP9", 1280, 720, 0},
		{"AV1", 1280, 720, 0},
		{"H265", 1280, 720, 0},
	}
	for _, tt := range tests {
		b.Run(fmt.Sprintf("%s/%dx%d/to=%d", tt.kind, tt.width, tt.height, tt.rung), func(b *testing.B) {
			in := makeVideo(b, tt.kind, moving(tt.width, tt.height), benchSeconds*30)
			h := &heard{}
			v := NewVideo(tools(b), h.video(VideoConfig{Height: tt.rung}), logTo(b))
			defer v.Close()
			sent := map[int64]time.Time{}
			b.ResetTimer()
			cpu := inRealTime(len(in), time.Second/30, v.sup, func(i int) {
				sent[in[i].at] = time.Now()
				v.Video(in[i].Video, in[i].at)
			})
			v.End()
			ended(b, v.Done())
			var took []time.Duration
			size := 0
			for i, f := range h.frames {
				if size += len(f.Data); i >= warmUp*30 {
					took = append(took, h.when[i].Sub(sent[f.at]))
				}
			}
			b.ReportMetric(float64(size*8/benchSeconds)/1e6, "Mbit/s")
			report(b, took, cpu)
		})
	}
}

// BenchmarkSizeChange: ms is from the first frame of another size, which needs
// another process, to its way out.
func BenchmarkSizeChange(b *testing.B) {
	small, large := makeVideo(b, "H264", moving(640, 360), 30), makeVideo(b, "H264", moving(1280, 720), 30)
	in := slices.Concat(small, later(large, 30*3000), later(small, 60*3000), later(large, 90*3000), later(small, 120*3000))
	h := &heard{}
	v := NewVideo(tools(b), h.video(VideoConfig{Height: 480}), logTo(b))
	defer v.Close()
	sent := map[int64]time.Time{}
	b.ResetTimer()
	inRealTime(len(in), time.Second/30, v.sup, func(i int) {
		sent[in[i].at] = time.Now()
		v.Video(in[i].Video, in[i].at)
	})
	v.End()
	ended(b, v.Done())
	var took []time.Duration
	for i, f := range h.frames {
		if i > 0 && f.at%(30*3000) == 0 {
			took = append(took, h.when[i].Sub(sent[f.at]))
		}
	}
	report(b, took, 0)
}

func BenchmarkAudio(b *testing.B) {
	for _, to := range []cmaf.AudioCodec{cmaf.AAC, cmaf.Opus} {
		from := cmaf.Opus + cmaf.AAC - to
		b.Run(fmt.Sprintf("%s to %s", from, to), func(b *testing.B) {
			source, packets := makeAudio(b, from, 48000, 2, tone, benchSeconds)
			h := &heard{}
			a := NewAudio(tools(b), h.audio(AudioConfig{Source: source, Codec: to}), logTo(b))
			defer a.Close()
			sent := make([]time.Time, len(packets))
			b.ResetTimer()
			length := benchSeconds * time.Second / time.Duration(len(packets))
			cpu := inRealTime(len(packets), length, a.sup, func(i int) {
				sent[i] = time.Now()
				a.Audio(packets[i].Audio, packets[i].at)
			})
			a.End()
			ended(b, a.Done())
			var took []time.Duration
			for i, s := range h.sounds {
				// Its last sample came with the packet that ends at or after its end.
				last := slices.IndexFunc(packets, func(p sound) bool { return p.at+packets[1].at > s.at+a.packet()-1 })
				if last >= 0 && s.at >= warmUp*AudioTimescale && s.at < (benchSeconds-1)*AudioTimescale {
					took = append(took, h.when[i].Sub(sent[last]))
				}
			}
			report(b, took, cpu)
		})
	}
}

// inRealTime sends n frames and returns the share of a core that the process of
// a sidecar has taken, without the first second.
func inRealTime(n int, length time.Duration, sup *supervisor, send func(i int)) float64 {
	begin := time.Now()
	var from time.Time
	var cpu time.Duration
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * length)))
		if from.IsZero() && time.Since(begin) > warmUp*time.Second {
			from, cpu = time.Now(), cpuTime(sup.running())
		}
		send(i)
	}
	return float64(cpuTime(sup.running())-cpu) / float64(time.Since(from))
}

// cpuTime is what a running process has taken.
func cpuTime(p *process) time.Duration {
	const ticks = 100 // a second, on every Linux that Go runs on
	if p == nil {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if err != nil || len(fields) < 13 {
		return 0
	}
	var user, system int64
	_, _ = fmt.Sscan(string(fields[11])+" "+string(fields[12]), &user, &system)
	return time.Duration(user+system) * time.Second / ticks
}

func report(b *testing.B, took []time.Duration, cpu float64) {
	b.Helper()
	if len(took) == 0 {
		b.Fatal("nothing came out")
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	b.ReportMetric(ms(took[len(took)/2]), "ms-p50")
	b.ReportMetric(ms(took[len(took)*95/100]), "ms-p95")
	b.ReportMetric(cpu, "core")
	b.ReportMetric(0, "ns/op")
}
