package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

// Parameter sets of a 320x180 and a 640x360 stream, baseline.
var (
	spsSmall = []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9e, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0xa4, 0x80}
	spsLarge = []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2e, 0x48}
	pps      = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

// avc is the configuration of a parameter set above.
func avc(sps []byte) *cmaf.VideoConfig {
	c, err := cmaf.ParseAVC(sps, pps)
	if err != nil {
		panic(err)
	}
	return &c
}

// formatsOf is the formats of parameter sets above.
func formatsOf(sps ...[]byte) (f cmaf.Formats) {
	for _, one := range sps {
		f.Add(cmaf.Init{Video: avc(one)})
	}
	return f
}

// recorded is what a stream handed on.
type recorded struct {
	segments []*Segment
	data     [][]byte
	keys     int // key frame requests
}

// testStream is a stream with one publisher.
type testStream struct {
	*Stream
	*Session
	window *window
}

func newTestStream(audio bool, begin time.Time) (testStream, *recorded) {
	r := &recorded{}
	cfg := Config{
		ID: "st-1", Channel: "c", PartTarget: 220 * time.Millisecond,
		OnSegment: func(_ string, s *Segment) {
			r.segments = append(r.segments, s)
			var all []byte
			for _, d := range s.Data() {
				all = append(all, d...)
			}
			r.data = append(r.data, all)
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if audio {
		cfg.Audio = &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2}
	}
	s := New(cfg)
	x := s.Attach(SessionConfig{Epoch: 7, Audio: cfg.Audio, RequestKeyFrame: func() { r.keys++ }}, begin)
	return testStream{s, x, s.packager.window}, r
}

// scenario is a publisher, simulated by its times.
type scenario struct {
	rate    float64       // frames per second
	gop     int           // frames
	length  time.Duration // of video
	jitter  time.Duration // of arrivals
	noAudio bool
	audio   func(at time.Duration) bool // whether audio comes then, nil: always
	video   func(at time.Duration) bool
	skew    time.Duration // video arrives later than audio by
	reports bool
	large   int // frame number where the picture size changes, 0: never
	// Both clocks jump by so much after half the time; audio begins near the end
	// of its timestamps, as video does always.
	jump time.Duration
	wrap bool
}

// run plays a scenario, checking the playlist at every step.
func (sc scenario) run(t *testing.T) (testStream, *recorded) {
	t.Helper()
	rnd := rand.New(rand.NewSource(1))
	begin := time.Unix(1_700_000_000, 0)
	s, r := newTestStream(!sc.noAudio, begin)
	type step struct {
		at time.Duration
		do func(now time.Time)
	}
	var steps []step
	jittered := func(at time.Duration) time.Duration {
		if sc.jitter == 0 {
			return at
		}
		return at + time.Duration(rnd.Int63n(int64(sc.jitter)))
	}
	// stamp is a time by the publisher's clocks, in ticks of rate.
	stamp := func(at time.Duration, rate int64) uint32 {
		if sc.jump != 0 && at >= sc.length/2 {
			at += sc.jump
		}
		return uint32(int64(at/time.Microsecond) * rate / 1_000_000)
	}
	var last time.Duration
	frames := int(sc.rate * sc.length.Seconds())
	for i := range frames {
		at := time.Duration(float64(i) / sc.rate * float64(time.Second))
		if sc.video != nil && !sc.video(at) {
			continue
		}
		last = max(last, jittered(at)+sc.skew)
		steps = append(steps, step{last, func(now time.Time) {
			f := frame.Video{Data: []byte{0, 0, 0, 2, 0x41, 0}, Timestamp: 4_294_900_000 + stamp(at, 90_000), Arrival: now}
			if i%sc.gop == 0 {
				f.Key, f.Config, f.Data = true, avc(spsSmall), []byte{0, 0, 0, 2, 0x65, 0}
				if sc.large > 0 && i >= sc.large {
					f.Config = avc(spsLarge)
				}
			}
			s.Session.Video(f)
			if sc.reports && i%30 == 29 {
				s.VideoReport(frame.Report{NTP: ntp(begin.Add(at)), Timestamp: f.Timestamp})
			}
		}})
	}
	last = 0
	for at := time.Duration(0); !sc.noAudio && at < sc.length; at += 20 * time.Millisecond {
		if sc.audio != nil && !sc.audio(at) {
			continue
		}
		last = max(last, jittered(at))
		steps = append(steps, step{last, func(now time.Time) {
			ts := stamp(at, 48_000)
			if sc.wrap {
				ts += 4_294_900_000
			}
			s.Session.Audio(frame.Audio{Data: []byte{0xfc, 1, 2}, Timestamp: ts, Arrival: now})
			if sc.reports && at%time.Second == 0 {
				s.AudioReport(frame.Report{NTP: ntp(begin.Add(at)), Timestamp: ts})
			}
		}})
	}
	for at := time.Duration(0); at < sc.length; at += TickEvery {
		steps = append(steps, step{at, s.Tick})
	}
	sortSteps(steps, func(i, j int) bool { return steps[i].at < steps[j].at })
	var before []byte
	for i, st := range steps {
		st.do(begin.Add(st.at))
		if i%31 != 0 {
			continue
		}
		now := s.window.state.playlist(muxed, false).plain
		if s.window.state.shown {
			sc.checkPlaylist(t, before, now)
			before = now
		}
	}
	s.End()
	sc.checkPlaylist(t, before, s.window.state.playlist(muxed, false).plain)
	return s, r
}

func (sc scenario) checkPlaylist(t *testing.T, before, now []byte) {
	t.Helper()
	err := hlstest.CheckMedia(now)
	if err == nil && before != nil {
		err = hlstest.CheckReload(before, now)
	}
	var findings hlstest.Findings
	if errors.As(err, &findings) && sc.gop > 4*int(sc.rate) {
		// Where no key frame comes nothing can be independent.
		findings = slices.DeleteFunc(findings, func(f hlstest.Finding) bool { return f.Rule == "part-independent" })
		if err = findings; len(findings) == 0 {
			err = nil
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, before, now)
	}
}

func ntp(at time.Time) uint64 {
	s := uint64(at.Unix()) + 2_208_988_800
	return s<<32 | uint64(at.Nanosecond())<<32/1_000_000_000
}

// TestContiguous checks that every sample of every track starts where the last
// one ended, whatever the publisher does, and how long it all is.
func TestContiguous(t *testing.T) {
	between := func(from, to time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool { return at < from || at >= to }
	}
	tests := map[string]scenario{
		"30 fps":                   {rate: 30, gop: 60},
		"24 fps":                   {rate: 24, gop: 48},
		"25 fps":                   {rate: 25, gop: 50},
		"50 fps":                   {rate: 50, gop: 100},
		"60 fps":                   {rate: 60, gop: 120},
		"29.97 fps":                {rate: 29.97, gop: 60},
		"12 fps":                   {rate: 12, gop: 24},
		"3 fps":                    {rate: 3, gop: 6},
		"jitter":                   {rate: 30, gop: 60, jitter: 60 * time.Millisecond},
		"much jitter":              {rate: 30, gop: 60, jitter: 250 * time.Millisecond},
		"late video":               {rate: 30, gop: 60, skew: 150 * time.Millisecond},
		"reports":                  {rate: 30, gop: 60, jitter: 30 * time.Millisecond, skew: 100 * time.Millisecond, reports: true},
		"video only":               {rate: 30, gop: 60, noAudio: true, jitter: 30 * time.Millisecond},
		"video only, 3 fps":        {rate: 3, gop: 6, noAudio: true},
		"audio with holes":         {rate: 30, gop: 60, audio: func(at time.Duration) bool { return at%time.Second < 700*time.Millisecond }},
		"audio ends":               {rate: 30, gop: 60, audio: func(at time.Duration) bool { return at < 3*time.Second }},
		"no audio ever":            {rate: 30, gop: 60, audio: func(time.Duration) bool { return false }},
		"audio begins late":        {rate: 30, gop: 60, audio: func(at time.Duration) bool { return at > 2*time.Second }},
		"video stands still":       {rate: 30, gop: 60, video: between(2*time.Second, 4*time.Second)},
		"video stands still alone": {rate: 30, gop: 60, noAudio: true, video: between(2*time.Second, 2700*time.Millisecond)},
		"120 fps":                  {rate: 120, gop: 240},
		"240 fps":                  {rate: 240, gop: 480, jitter: 5 * time.Millisecond},
		"1000 fps":                 {rate: 1000, gop: 2000},
		"clocks jump back":         {rate: 30, gop: 60, jump: -time.Hour},
		"clocks jump ahead":        {rate: 30, gop: 60, jump: 5 * time.Hour, jitter: 20 * time.Millisecond},
		"timestamps wrap":          {rate: 30, gop: 60, wrap: true, reports: true},
		"GOP of 10 s":              {rate: 30, gop: 300},
		"new size":                 {rate: 30, gop: 60, large: 120},
		"new size early":           {rate: 30, gop: 15, large: 15},
	}
	for name, sc := range tests {
		t.Run(name, func(t *testing.T) {
			sc.length = 12 * time.Second
			s, r := sc.run(t)
			v, a := checkSamples(t, r)
			if diff := v - sc.length; diff < -400*time.Millisecond || diff > 100*time.Millisecond {
				t.Errorf("the video lasts %s, not %s", v, sc.length)
			}
			if !sc.noAudio && (a < sc.length-900*time.Millisecond || a > sc.length+100*time.Millisecond) {
				t.Errorf("the audio lasts %s, not %s", a, sc.length)
			}
			var listed time.Duration
			for _, seg := range r.segments {
				listed += duration(seg.Ticks)
			}
			if diff := listed - v; diff < -250*time.Millisecond || diff > 250*time.Millisecond {
				t.Errorf("the playlist lasts %s, the video %s", listed, v)
			}
			if sc.large > 0 {
				if s.packager.init != 2 || !r.segments[len(r.segments)-1].Discontinuity && countDiscontinuities(r) != 1 {
					t.Errorf("%d init segments, %d discontinuities", s.packager.init, countDiscontinuities(r))
				}
			}
		})
	}
}

// TestPlaceAfterLoss loses pictures up to a key frame: it is shown when it was
// filmed, and those after it too, unless the last one before had ended its part.
func TestPlaceAfterLoss(t *testing.T) {
	const frame = time.Second / 30
	early := 0
	for lost := range 12 { // pictures
		from := 3*time.Second - time.Duration(lost)*frame - frame/2
		sc := scenario{rate: 30, gop: 30, length: 6 * time.Second, video: func(at time.Duration) bool {
			return at < from || at >= 3*time.Second-frame/2
		}}
		_, r := sc.run(t)
		for i, at := range pictures(t, r) {
			n := i
			if at > from {
				n += lost
			}
			diff := at - time.Duration(n)*frame
			switch {
			case n == 90 && diff < -frame:
				early++
			case diff < -frame || diff > frame/2:
				t.Errorf("%d are lost: picture %d is %v off", lost, n, diff)
			}
		}
	}
	if early > 3 {
		t.Errorf("%d key frames of 12 are early", early)
	}
}

// pictures returns when the pictures are decoded.
func pictures(t *testing.T, r *recorded) []time.Duration {
	t.Helper()
	var times []time.Duration
	for _, data := range r.data {
		fragments, err := cmaf.ReadSegment(newReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fragments {
			if f.Video == nil {
				continue
			}
			at := int64(f.Video.BaseTime)
			for _, sample := range f.Video.Samples {
				times = append(times, duration(at))
				at += int64(sample.Duration)
			}
		}
	}
	return times
}

func countDiscontinuities(r *recorded) int {
	n := 0
	for _, s := range r.segments {
		if s.Discontinuity {
			n++
		}
	}
	return n
}

// checkSamples reads all segments back and returns how long the tracks are.
func checkSamples(t *testing.T, r *recorded) (video, audio time.Duration) {
	t.Helper()
	var ends [2]uint64
	var begun [2]bool
	for i, data := range r.data {
		fragments, err := cmaf.ReadSegment(newReader(data))
		if err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		for _, f := range fragments {
			for track, run := range []*cmaf.RunInfo{f.Video, f.Audio} {
				if run == nil {
					continue
				}
				if begun[track] && run.BaseTime != ends[track] {
					t.Errorf("segment %d: track %d goes on at %d, it ended at %d", i, track+1, run.BaseTime, ends[track])
				}
				begun[track] = true
				ends[track] = run.BaseTime + run.Duration()
				for _, sample := range run.Samples {
					if sample.Duration == 0 || int32(sample.Duration) < 0 {
						t.Errorf("segment %d: track %d has a sample of %d", i, track+1, int32(sample.Duration))
					}
				}
			}
		}
	}
	return duration(int64(ends[0])), time.Duration(ends[1]) * time.Second / cmaf.OpusTimescale
}

// TestSkew checks that sender reports bring video and audio together that
// arrive apart, and that without them the arrivals do.
func TestSkew(t *testing.T) {
	for _, reports := range []bool{true, false} {
		t.Run(fmt.Sprint(reports), func(t *testing.T) {
			sc := scenario{rate: 30, gop: 60, length: 20 * time.Second, skew: 200 * time.Millisecond, reports: reports}
			s, _ := sc.run(t)
			// A frame captured with an audio sample belongs where that is.
			tl := s.Session.timeline
			captured := int64(10 * time.Second)
			video := captured + tl.videoClock.ns(4_294_900_000) + tl.videoShift
			audio := captured - tl.audioClock.ns(tl.audioZero)
			diff := time.Duration(video - audio)
			want := time.Duration(0)
			if !reports {
				want = sc.skew
			}
			if off := diff - want; off > 10*time.Millisecond || off < -10*time.Millisecond {
				t.Errorf("video is %s after the audio, want %s", diff, want)
			}
		})
	}
}

// TestJitterIsNotFollowed: what nobody hears does not move the video.
func TestJitterIsNotFollowed(t *testing.T) {
	shift := func(length time.Duration) int64 {
		sc := scenario{rate: 30, gop: 30, length: length, jitter: 10 * time.Millisecond, reports: true}
		s, _ := sc.run(t)
		return s.Session.timeline.videoShift
	}
	if early, late := shift(2*time.Second), shift(20*time.Second); early != late {
		t.Errorf("the video moved by %s", time.Duration(late-early))
	}
}

// TestAway takes time without any media out of the stream.
func TestAway(t *testing.T) {
	gap := func(at time.Duration) bool { return at < 4*time.Second || at >= 7*time.Second }
	sc := scenario{rate: 30, gop: 30, length: 10 * time.Second, audio: gap, video: gap}
	_, r := sc.run(t)
	video, audio := checkSamples(t, r)
	for name, d := range map[string]time.Duration{"video": video, "audio": audio} {
		if d < 6800*time.Millisecond || d > 7300*time.Millisecond {
			t.Errorf("the %s lasts %s, sent were 7 s", name, d)
		}
	}
	first, last := r.segments[0], r.segments[len(r.segments)-1]
	wall := last.Start.Sub(first.Start) - duration(last.start-first.start)
	if wall < 2500*time.Millisecond || wall > 3500*time.Millisecond {
		t.Errorf("the wall clock jumped by %s, not by the 3 s without media", wall)
	}
}

// TestKeyFrameRequests checks when key frames are asked for.
func TestKeyFrameRequests(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	var k keyRequests
	asked := []time.Duration{}
	for at := time.Duration(0); at < 4*time.Second; at += TickEvery {
		if at == time.Second {
			k.arrived(begin.Add(at))
		}
		if k.due(begin.Add(at)) {
			asked = append(asked, at)
		}
	}
	want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 3500 * time.Millisecond}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked at %v, want %v", asked, want)
	}
	k.arrived(begin.Add(4 * time.Second))
	if !k.lost(begin.Add(4100*time.Millisecond)) || k.lost(begin.Add(4200*time.Millisecond)) || !k.lost(begin.Add(4700*time.Millisecond)) {
		t.Error("loss asks at once, and then every 500 ms")
	}
}

// TestOpusSamples reads TOCs (RFC 6716, 3.1), our own silence among them.
func TestOpusSamples(t *testing.T) {
	for _, tt := range []struct {
		packet []byte
		want   int64
	}{
		{[]byte{0xfc}, 960}, {[]byte{0x08}, 960}, {[]byte{0x18}, 2880}, {[]byte{0xfd}, 1920},
		{[]byte{0xe0}, 120}, {[]byte{0x83, 2}, 240}, {[]byte{0xfb, 6}, 5760}, {[]byte{0x60}, 480},
	} {
		if got, err := opusSamples(tt.packet); err != nil || got != tt.want {
			t.Errorf("%x: %d %v, want %d", tt.packet, got, err, tt.want)
		}
	}
	for _, bad := range [][]byte{nil, {0xff}, {0xff, 0}, {0xff, 7}} {
		if got, err := opusSamples(bad); err == nil {
			t.Errorf("%x: %d", bad, got)
		}
	}
	for room := int64(shortestSilence); room < 3000; room += 7 {
		packet, samples := opusSilence(room, 2)
		if toc, err := opusSamples(packet); err != nil || toc != samples || samples > room {
			t.Errorf("silence for %d: %d by TOC %d, %v", room, samples, toc, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("1-2.mp4")
	f.Add("1-2.3.mp4")
	f.Add("1-init-2.mp4")
	f.Fuzz(func(t *testing.T, name string) {
		n, ok := parseName(name)
		if !ok {
			return
		}
		again := segmentName(n.epoch, n.msn)
		switch {
		case n.init > 0:
			again = initName(n.epoch, n.init)
		case n.part >= 0:
			again = partName(n.epoch, n.msn, n.part)
		}
		if m, ok := parseName(again); !ok || m != n {
			t.Errorf("%q is %+v, %q is %+v", name, n, again, m)
		}
	})
}

// FuzzStream sends frames with any times and sizes.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Unix(1_700_000_000, 0)
		s, r := newTestStream(true, now)
		for len(script) >= 6 && len(script) < 6*500 {
			op, ts, wait := script[0], binary.BigEndian.Uint32(script[1:]), script[5]
			script = script[6:]
			now = now.Add(time.Duration(wait) * 10 * time.Millisecond)
			switch op % 8 {
			case 0:
				s.Session.Video(frame.Video{Data: []byte{0, 0, 0, 1, 0x65}, Key: true, Config: avc(spsSmall), Timestamp: ts, Arrival: now})
			case 1:
				s.Session.Video(frame.Video{Data: []byte{0, 0, 0, 1, 0x65}, Key: true, Config: avc(spsLarge), Timestamp: ts, Arrival: now})
			case 2, 3:
				s.Session.Video(frame.Video{Data: []byte{0, 0, 0, 1, 0x41}, Timestamp: ts % 100_000, Arrival: now})
			case 4:
				s.Session.Audio(frame.Audio{Data: []byte{op}, Timestamp: ts % 100_000, Arrival: now})
			case 5:
				s.VideoReport(frame.Report{NTP: uint64(ts) << 32, Timestamp: ts})
				s.AudioReport(frame.Report{NTP: uint64(ts) << 30, Timestamp: ts})
			case 6:
				s.Lost(now)
			default:
				s.Tick(now)
			}
		}
		s.End()
		checkSamples(t, r)
		for _, seg := range r.segments {
			if seg.Ticks <= 0 || seg.Ticks >= 9*ticksPerSecond/2 {
				t.Errorf("a segment of %d ticks", seg.Ticks)
			}
		}
	})
}
