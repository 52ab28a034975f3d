package transcode

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const (
	tone = "0.5*sin(2*PI*440*t)"
	// beeps is a tone that begins with every second and lasts 100 ms.
	beeps = "if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)"
)

// makeAudio encodes seconds of a sound. The times are those of a live stream,
// on which a packet plays its first sample at its time as it is decoded: the
// encoder's delay is taken off.
func makeAudio(t testing.TB, codec cmaf.AudioCodec, rate, channels int, expression string, seconds int) (cmaf.AudioConfig, []sound) {
	t.Helper()
	encoder, delay, samples := "libopus", int64(312), int64(960)
	if codec == cmaf.AAC {
		encoder, delay, samples = "aac", 1024, 1024
	}
	_, frames := readNUT(t, ffmpeg(t, nil, "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='%s':s=%d:d=%d", expression, rate, seconds),
		"-ac", fmt.Sprint(channels), "-c:a", encoder, "-b:a", "96k", "-f", "nut", "-"))
	out := make([]sound, len(frames))
	for i, f := range frames {
		out[i] = sound{frame.Audio{Data: f.data}, int64(i)*samples - delay}
	}
	// The stream begins with the first packet that is not before it.
	first := slices.IndexFunc(out, func(s sound) bool { return s.at >= 0 })
	if codec == cmaf.Opus {
		return cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: channels}, out[first:]
	}
	index := map[int]byte{48000: 3, 44100: 4}[rate]
	return must(cmaf.ParseAAC([]byte{0x10 | index>>1, index<<7 | byte(channels)<<3}))(t), out[first:]
}

// TestAudio has each codec made the other one, and listens: the beeps must
// begin with the seconds.
func TestAudio(t *testing.T) {
	tests := []struct {
		from, to       cmaf.AudioCodec
		rate, channels int
		into           cmaf.AudioConfig // rate and channels that are asked for
	}{
		{cmaf.Opus, cmaf.AAC, 48000, 2, cmaf.AudioConfig{}},
		{cmaf.Opus, cmaf.AAC, 48000, 1, cmaf.AudioConfig{}},
		{cmaf.Opus, cmaf.AAC, 48000, 2, cmaf.AudioConfig{SampleRate: 44100, Channels: 2}},
		{cmaf.Opus, cmaf.AAC, 48000, 2, cmaf.AudioConfig{SampleRate: 44100, Channels: 1}},
		{cmaf.AAC, cmaf.AAC, 44100, 1, cmaf.AudioConfig{SampleRate: 32000, Channels: 2}},
		{cmaf.AAC, cmaf.Opus, 48000, 2, cmaf.AudioConfig{}},
		{cmaf.AAC, cmaf.Opus, 44100, 1, cmaf.AudioConfig{}},
		{cmaf.AAC, cmaf.Opus, 44100, 2, cmaf.AudioConfig{}},
		{cmaf.AAC, cmaf.Opus, 44100, 1, cmaf.AudioConfig{SampleRate: 44100, Channels: 2}}, // Opus has one rate
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s at %d with %d to %s at %d with %d", tt.from, tt.rate, tt.channels, tt.to, tt.into.SampleRate, tt.into.Channels), func(t *testing.T) {
			const seconds, later = 4, 100_000 // packets from somewhere in the stream
			source, packets := makeAudio(t, tt.from, tt.rate, tt.channels, beeps, seconds)
			h := &heard{}
			a := NewAudio(tools(t), h.audio(AudioConfig{
				Source: source, Codec: tt.to, Rate: tt.into.SampleRate, Channels: tt.into.Channels, Limits: noLimits(),
			}), logTo(t))
			defer a.Close()
			made := a.Config()
			if want := cmp.Or(tt.into.Channels, tt.channels); made.Channels != want {
				t.Errorf("%d channels, not %d", made.Channels, want)
			}
			offset := int64(later * tt.rate)
			for _, p := range packets {
				a.Audio(p.Audio, p.at+offset)
			}
			a.End()
			ended(t, a.Done())
			if len(h.gaps) > 0 || len(h.sounds) < seconds*30 {
				t.Fatalf("%d packets, gaps %v, %+v", len(h.sounds), h.gaps, a.Stats())
			}
			for i, s := range h.sounds {
				if want := h.sounds[0].at + int64(i)*a.packet(); s.at != want {
					t.Fatalf("packet %d is at %d, not %d", i, s.at, want)
				}
			}
			start := rescale(h.sounds[0].at, AudioTimescale, int64(made.Timescale())) - later*AudioTimescale
			if lead := start - rescale(packets[0].at, AudioTimescale, int64(tt.rate)); lead < 0 || lead > 960 {
				t.Errorf("the output begins %d samples after the input", lead)
			}
			onsets := listen(t, a.Config(), h.sounds)
			if len(onsets) < seconds-1 {
				t.Fatalf("beeps at %v", onsets)
			}
			for _, at := range onsets {
				at += start
				if off := (at+AudioTimescale/2)%AudioTimescale - AudioTimescale/2; off < -96 || off > 96 {
					t.Errorf("a beep begins %d samples off the second", off)
				}
			}
		})
	}
}

// TestCanGoOn says into which tracks sound can be made.
func TestCanGoOn(t *testing.T) {
	for _, tt := range []struct {
		track cmaf.AudioConfig
		want  bool
	}{
		{cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 37000}, true}, // which its encoder was given
		{cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 44100}, true},
		{cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 7350}, true},
		{cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 37000}, false},
	} {
		if got := CanGoOn(tt.track); got != tt.want {
			t.Errorf("%v at %d: %v", tt.track.Codec, tt.track.SampleRate, got)
		}
	}
}

// listen decodes packets, every sample of them, and returns where sound begins.
func listen(t *testing.T, c cmaf.AudioConfig, packets []sound) []int64 {
	t.Helper()
	w := &nutWriter{}
	stream := w.header(c)
	for _, p := range packets {
		stream = w.appendFrame(stream, p.Data, p.at-packets[0].at)
	}
	pcm := ffmpeg(t, stream, "-v", "error", "-f", "nut", "-i", "-", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
	var onsets []int64
	silent := AudioTimescale / 10 // samples since the last sound; none is open at the start
	for i := 0; i+1 < len(pcm); i += 2 {
		level := math.Abs(float64(int16(uint16(pcm[i]) | uint16(pcm[i+1])<<8)))
		switch {
		case level < 1500:
			silent++
		case silent >= AudioTimescale/10 && i/2 > AudioTimescale/2:
			onsets = append(onsets, int64(i/2))
			silent = 0
		default:
			silent = 0
		}
	}
	return onsets
}

func sendSounds(a *Audio, in []sound) {
	for _, p := range in {
		a.Audio(p.Audio, p.at)
	}
}

// checkAudio holds that packets and gaps follow upon each other without overlap
// from the first to the last.
func (h *heard) checkAudio(t *testing.T, packet int64) {
	t.Helper()
	if !slices.IsSorted(h.order) {
		t.Error("packets and gaps did not come in order")
	}
	spans := slices.Clone(h.gaps)
	for _, s := range h.sounds {
		spans = append(spans, span{s.at, s.at + packet})
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.from - b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from != spans[i-1].to {
			t.Errorf("%v comes after %v", spans[i], spans[i-1])
		}
	}
}

// TestAudioKilled kills ffmpeg in the middle of a stream.
func TestAudioKilled(t *testing.T) {
	source, in := makeAudio(t, cmaf.Opus, 48000, 2, beeps, 4)
	h := &heard{}
	a := NewAudio(tools(t), h.audio(AudioConfig{Source: source, Codec: cmaf.AAC, Limits: quick()}), logTo(t))
	defer a.Close()
	sendSounds(a, in[:60])
	waitFor(t, "sound comes out", func() bool { return h.count() > 40 })
	signal(t, pidOf(t, a.sup), syscall.SIGKILL)
	waitFor(t, "its death is seen", func() bool { return a.sup.running() == nil })
	sendSounds(a, in[60:])
	a.End()
	ended(t, a.Done())
	h.checkAudio(t, 1024)
	if s := a.Stats(); s.Restarts != 1 || len(h.gaps) != 1 || h.gaps[0].to != in[60].at || len(h.sounds) < 150 {
		t.Errorf("gaps %v, %+v", h.gaps, s)
	}
}

// TestAudioGivenUp has no ffmpeg at all: the whole stream is a gap.
func TestAudioGivenUp(t *testing.T) {
	source, in := makeAudio(t, cmaf.Opus, 48000, 2, tone, 4)
	limits := quick()
	limits.Failures = 3
	h := &heard{}
	a := NewAudio(script(t, "exit 1"), h.audio(AudioConfig{Source: source, Codec: cmaf.AAC, Limits: limits}), logTo(t))
	defer a.Close()
	sent := 0
	waitFor(t, "it is given up", func() bool {
		sendSounds(a, in[sent:sent+1])
		sent++
		time.Sleep(10 * time.Millisecond) // so that the processes have the time to fail
		return a.Stats().Failed != "" || sent == len(in)
	})
	sendSounds(a, in[sent:])
	a.End()
	ended(t, a.Done())
	h.checkAudio(t, 1024)
	if len(h.failed) != 1 || len(h.sounds) > 0 || len(h.gaps) == 0 || h.gaps[len(h.gaps)-1].to < in[len(in)-2].at {
		t.Errorf("failed %q, gaps %v, %+v", h.failed, h.gaps, a.Stats())
	}
}

// TestAudioHoles has packets missing, rubbish among them, and times that jump.
func TestAudioHoles(t *testing.T) {
	source, in := makeAudio(t, cmaf.Opus, 48000, 2, beeps, 6)
	h := &heard{}
	a := NewAudio(tools(t), h.audio(AudioConfig{Source: source, Codec: cmaf.AAC, Limits: noLimits()}), logTo(t))
	defer a.Close()
	sendSounds(a, in[:70])
	a.Audio(frame.Audio{}, in[70].at)
	a.Audio(frame.Audio{Data: []byte{0x03}}, in[70].at)
	sendSounds(a, in[71:120]) // 1.4 s to 2.4 s, without one
	sendSounds(a, in[140:200])
	a.Break()
	const away = 30 * AudioTimescale // a new publisher, half a minute later
	for _, p := range in[200:] {
		a.Audio(p.Audio, p.at+away)
	}
	a.End()
	ended(t, a.Done())
	h.checkAudio(t, 1024)
	if len(h.gaps) != 1 || h.gaps[0].to != in[200].at+away || h.gaps[0].to-h.gaps[0].from < away-4096 {
		t.Fatalf("gaps %v", h.gaps)
	}
	// The beeps are where they were: the holes are silence.
	cut := slices.IndexFunc(h.sounds, func(s sound) bool { return s.at >= h.gaps[0].to })
	onsets := listen(t, a.Config(), h.sounds[:cut])
	if len(onsets) < 3 {
		t.Fatalf("beeps at %v", onsets)
	}
	for _, at := range onsets {
		at += h.sounds[0].at
		if off := (at+AudioTimescale/2)%AudioTimescale - AudioTimescale/2; off < -200 || off > 200 {
			t.Errorf("a beep begins %d samples off the second", off)
		}
	}
}

// TestAudioStopped stops ffmpeg until its queue overflows: the oldest packets
// give way, and are silence.
func TestAudioStopped(t *testing.T) {
	source, in := makeAudio(t, cmaf.Opus, 48000, 2, tone, 20)
	h := &heard{}
	a := NewAudio(tools(t), h.audio(AudioConfig{Source: source, Codec: cmaf.AAC, Limits: Limits{Stall: time.Minute, QueueFrames: 50}}), logTo(t))
	defer a.Close()
	sendSounds(a, in[:40])
	waitFor(t, "sound comes out", func() bool { return h.count() > 20 })
	pid := pidOf(t, a.sup)
	signal(t, pid, syscall.SIGSTOP)
	for n := 40; n < len(in); n += 40 { // into the pipe as long as that takes them, then into the queue
		sendSounds(a, in[n:n+40])
	}
	if s := a.Stats(); s.Dropped == 0 {
		t.Errorf("%+v", s)
	}
	signal(t, pid, syscall.SIGCONT)
	a.End()
	ended(t, a.Done())
	h.checkAudio(t, 1024)
	last := h.sounds[len(h.sounds)-1].at
	if s := a.Stats(); in[len(in)-1].at-last > 4096 || s.Out == 0 {
		t.Errorf("the last packet at %d of %d, %+v", last, in[len(in)-1].at, s)
	}
}

func TestPacketSamples(t *testing.T) {
	opus := cmaf.AudioConfig{Codec: cmaf.Opus, Channels: 2}
	tests := map[string]struct {
		config cmaf.AudioConfig
		packet []byte
		want   int64 // 0: none
	}{
		"SILK 10 ms":                {opus, []byte{0 << 3}, 480},
		"SILK 60 ms":                {opus, []byte{11 << 3}, 2880},
		"hybrid 20 ms":              {opus, []byte{15 << 3}, 960},
		"CELT 2.5 ms":               {opus, []byte{28 << 3}, 120},
		"CELT 20 ms, two":           {opus, []byte{31<<3 | 1}, 1920},
		"CELT 20 ms, six":           {opus, []byte{31<<3 | 3, 6}, 5760},
		"CELT 20 ms, seven":         {opus, []byte{31<<3 | 3, 7}, 0},
		"none at all":               {opus, []byte{31<<3 | 3, 0}, 0},
		"a count that is not there": {opus, []byte{31<<3 | 3}, 0},
		"empty":                     {opus, nil, 0},
		"AAC":                       {cmaf.AudioConfig{Codec: cmaf.AAC}, []byte{1}, 1024},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := packetSamples(tt.config, tt.packet)
			if got*boolToInt(err == nil) != tt.want {
				t.Errorf("%d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

func boolToInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
