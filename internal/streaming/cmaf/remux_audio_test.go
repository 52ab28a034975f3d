package cmaf

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
)

// rendition packs the audio of a clip into segments of its own, n frames each.
func (c clip) rendition(at *clock, n int) []Source {
	init := Init{Audio: c.init.Audio}.Marshal()
	var list []Source
	for frames := range slices.Chunk(c.audio, n) {
		f := Fragment{Audio: &Run{BaseTime: at.audio, Samples: frames}}
		at.audio += f.Audio.Duration()
		list = append(list, memorySource{init, f.AppendTo(nil)})
	}
	return list
}

// An AAC rendition recorded beside a source with Opus takes its place, over a
// reconnect with a jump of time or a restart too, and over a resolution change.
func TestRemuxRendition(t *testing.T) {
	t.Parallel()
	source := encode(t, clipSpec{size: "320x180", seconds: 2, audio: "libopus"})
	larger := encode(t, clipSpec{size: "640x360", seconds: 2, audio: "libopus"})
	aac := encode(t, clipSpec{seconds: 2, audio: "aac"})
	aac.audio = aac.audio[:94] // 2.005 s
	for name, next := range map[string][2]clock{
		"jump":      {{video: 60 * VideoTimescale, audio: 60 * OpusTimescale}, {audio: 60 * 48000}},
		"restart":   {},
		"jump back": {{video: VideoTimescale, audio: OpusTimescale}, {audio: 48000}},
	} {
		t.Run(name, func(t *testing.T) {
			at, beside := clock{video: 7 * VideoTimescale, audio: 7 * OpusTimescale}, clock{audio: 7 * 48000}
			video, audio := source.sources(&at), aac.rendition(&beside, 40)
			video, audio = append(video, larger.sources(&next[0])...), append(audio, aac.rendition(&next[1], 50)...)
			r := remuxBoth(t, video, audio)
			near(t, "the duration", r.duration(t), 4, 0.05)
			if got := r.info.Codecs[len(r.info.Codecs)-1]; got != "mp4a.40.2" || r.info.AudioSamples != 2*94 {
				t.Errorf("Info is %+v", r.info)
			}
			var times [2][]float64
			for _, p := range probePackets(t, r.path) {
				i := 0
				if p.kind == "audio" {
					i = 1
				}
				times[i] = append(times[i], p.pts)
			}
			near(t, "the first sound", times[1][0], times[0][0], 0.001)
			near(t, "the first sound after the break", times[1][94], times[0][60], 0.01)
			if sizes, want := strings.Join(r.frameSizes(t), ", "), "320,180 x 60, 640,360 x 60"; sizes != want {
				t.Errorf("decoded frames: %s, want %s", sizes, want)
			}
		})
	}
}

// uneven lists when the samples of a track start whose duration is not the
// usual one, with the duration.
func (t *trackPlan) uneven(usual int64) [][2]int64 {
	var list [][2]int64
	at := t.start
	for _, d := range t.deltas {
		for range d.count {
			if d.value != usual {
				list = append(list, [2]int64{at, d.value})
			}
			at += d.value
		}
	}
	return list
}

// How segments of video (1 s each) and audio (1.024 s each) find together, in
// video frames of 100 ms and audio frames of 1024 at 8 kHz (128 ms).
func TestRemuxTwoLanes(t *testing.T) {
	aac, err := ParseAAC([]byte{0x15, 0x88}) // 8 kHz mono
	if err != nil {
		t.Fatal(err)
	}
	videoInit, audioInit := Init{Video: testVideo(t)}.Marshal(), Init{Audio: &aac}.Marshal()
	video := func(starts ...float64) (list []Source) {
		for _, s := range starts {
			run := &Run{BaseTime: uint64(s * VideoTimescale)}
			for range 10 {
				run.Samples = append(run.Samples, Sample{Duration: 9000, Key: true, Data: []byte{1}})
			}
			list = append(list, memorySource{videoInit, (&Fragment{Video: run}).AppendTo(nil)})
		}
		return list
	}
	audio := func(starts ...float64) (list []Source) {
		for _, s := range starts {
			run := &Run{BaseTime: uint64(s * 8000)}
			for range 8 {
				run.Samples = append(run.Samples, Sample{Duration: 1024, Key: true, Data: []byte{1}})
			}
			list = append(list, memorySource{audioInit, (&Fragment{Audio: run}).AppendTo(nil)})
		}
		return list
	}
	type odd = [][2]int64
	for _, test := range []struct {
		name         string
		video, audio []Source
		duration     float64
		oddVideo     odd // ticks of 90 kHz
		oddAudio     odd // samples
		audioStart   int64
	}{
		{"side by side", video(0, 1, 2, 3), audio(0, 1.024, 2.048, 3.072), 4.096, nil, nil, 0},
		{"from far on", video(500, 501), audio(500, 501.024), 2.048, nil, nil, 0},
		{"audio is late", video(0, 1, 2, 3), audio(2), 4, nil, nil, 16000},
		{"audio is very late", video(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17), audio(17), 18.024, nil, nil, 17 * 8000},
		{"audio has a hole", video(0, 1, 2, 3, 4), audio(0, 3), 5, nil, odd{{7 * 1024, 3*8000 - 7*1024}}, 0},
		{"video has a hole", video(0, 3), audio(0, 1.024, 2.048, 3.072), 4.096, odd{{81000, 2*90000 + 9000}}, nil, 0},
		{"both miss the same", video(0, 3), audio(0, 3.024), 2.048, nil, nil, 0},
		{"restart", video(0, 1, 0, 1), audio(0, 1.024, 0, 1.024), 4.096, odd{{171000, 9000 + 4320}}, nil, 0},
		{"jump", video(0, 1, 100, 101), audio(0, 1.024, 100.048, 101.072), 4.096, nil, nil, 0},
		{"jump without audio for a while", video(0, 1, 100, 101, 200), audio(0, 1.024, 200), 5.024, nil, odd{{15 * 1024, 2*16000 - 15*1024}}, 0},
		{"audio ends", video(0, 1, 2, 100), audio(0), 4, nil, nil, 0},
		{"video ends", video(0), audio(0, 1.024, 2.048), 3.072, nil, nil, 0},
		{"an empty segment", append(video(0), append([]Source{memorySource{videoInit, nil}}, video(1)...)...), audio(0, 1.024), 2.048, nil, nil, 0},
	} {
		plan := newRemuxPlan()
		if err := plan.readAll(context.Background(), test.video, test.audio); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if err := plan.finish(); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		near(t, test.name+": the duration", float64(plan.duration)/1e9, test.duration, 0.0001)
		if got := plan.video.uneven(9000); !slices.Equal(got, test.oddVideo) {
			t.Errorf("%s: odd video samples %v, want %v", test.name, got, test.oddVideo)
		}
		if got := plan.audio.uneven(1024); !slices.Equal(got, test.oddAudio) {
			t.Errorf("%s: odd audio samples %v, want %v", test.name, got, test.oddAudio)
		}
		if plan.audio.start != test.audioStart || plan.video.start != 0 {
			t.Errorf("%s: the tracks start at %d and %d", test.name, plan.video.start, plan.audio.start)
		}
	}
	broken := append(audio(0), memorySource{audioInit, []byte("broken")})
	_, err = Remux(context.Background(), io.Discard, video(0, 1), broken, nil)
	if err == nil || !strings.Contains(err.Error(), "audio segment 2 of 2") {
		t.Errorf("the error is %v", err)
	}
}
