package rtmp

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

func TestClock(t *testing.T) {
	const ms = mediaTime(time.Millisecond)
	tests := []struct {
		name       string
		timestamps []uint32
		want       []mediaTime
	}{
		{"ordinary", []uint32{0, 33, 66}, []mediaTime{0, 33 * ms, 66 * ms}},
		{"begins anywhere", []uint32{1_000_000, 1_000_033}, []mediaTime{1_000_000 * ms, 1_000_033 * ms}},
		{"wraps", []uint32{0xffffffff, 32}, []mediaTime{0xffffffff * ms, (1<<32 + 32) * ms}},
		{"goes back", []uint32{1000, 500, 1033}, []mediaTime{1000 * ms, 500 * ms, 1033 * ms}},
		{"goes back below 0", []uint32{10, 0xfffffffe}, []mediaTime{10 * ms, -2 * ms}},
		{"jumps", []uint32{0, 1 << 30}, []mediaTime{0, 1 << 30 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c clock
			for i, ts := range tt.timestamps {
				if got := c.see(ts, 0); got != tt.want[i] {
					t.Errorf("%d is at %v, want %v", ts, time.Duration(got), time.Duration(tt.want[i]))
				}
			}
		})
	}
	var c clock
	if got := c.see(1, 500_000); got.ticks(90000) != 135 {
		t.Errorf("1.5 ms are %d ticks", got.ticks(90000))
	}
}

// Whatever a clock does, nothing overflows into a panic.
func TestClockRunsAway(t *testing.T) {
	var c clock
	a := audioTrack{config: &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 44100}}
	var r reports
	ts := uint32(0)
	for range 10_000 {
		ts += math.MaxInt32
		at := c.see(ts, 999_999)
		_, shared := a.place(at)
		r.due(shared)
		if got := reportOf(ts, shared.ticks(44100), 44100); got.Timestamp != ts {
			t.Fatalf("a report of %d is for %d", ts, got.Timestamp)
		}
	}
}

func TestReports(t *testing.T) {
	var r reports
	const ms = mediaTime(time.Millisecond)
	for _, tt := range []struct {
		at   mediaTime
		want bool
	}{
		{0, true}, {33 * ms, false}, {900 * ms, false}, {2100 * ms, true}, {2200 * ms, false}, {1000 * ms, true}, {1900 * ms, false},
		{2800 * ms, false}, {3700 * ms, false}, {4600 * ms, false}, {5500 * ms, false}, {6000 * ms, true},
	} {
		if got := r.due(tt.at); got != tt.want {
			t.Errorf("at %v: due %v", time.Duration(tt.at), got)
		}
	}
	one, two := reportOf(90000, 90000, 90000), reportOf(44100, 44100, 44100)
	if one.NTP != two.NTP {
		t.Errorf("one second is %#x and %#x", one.NTP, two.NTP)
	}
	half := reportOf(45000, 45000, 90000)
	if one.NTP-half.NTP != 1<<31 {
		t.Errorf("half a second is %#x", one.NTP-half.NTP)
	}
	before := reportOf(math.MaxUint32, -1, 90000)
	if zero := reportOf(0, 0, 90000); zero.NTP-before.NTP > 1<<32/80000 {
		t.Errorf("a tick before 0 is %#x before it", zero.NTP-before.NTP)
	}
}

func TestAudioPlace(t *testing.T) {
	track := func() *audioTrack {
		return &audioTrack{config: &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 44100}}
	}
	at := func(ms int) mediaTime { return mediaTime(ms) * mediaTime(time.Millisecond) }

	a := track()
	for i := range 1000 {
		ms := i * 1024 * 1000 / 44100
		if i%7 == 3 {
			ms += 9 // a capture clock that is not even
		}
		if got, _ := a.place(at(ms)); got != int64(i)*1024 {
			t.Fatalf("frame %d is at %d", i, got)
		}
	}
	a = track()
	a.place(at(0))
	if got, _ := a.place(at(1000)); got != 44100 {
		t.Errorf("after a gap it is at %d", got)
	}
	if got, _ := a.place(at(1023)); got != 44100+1024 {
		t.Errorf("and then at %d", got)
	}
	if got, _ := a.place(at(100)); got != 4410 {
		t.Errorf("a clock that goes back is at %d", got)
	}
	// One frame is left out: in the end it shows.
	a = track()
	last := int64(0)
	for i := range 100 {
		last, _ = a.place(at((i + i/50) * 1024 * 1000 / 44100))
	}
	if want := int64(100 * 1024); last < want-50 || last > want+50 {
		t.Errorf("the last frame is at %d, want %d", last, want)
	}
	opus := audioTrack{config: &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 44100}}
	if got, _ := opus.place(at(60)); got != 2880 {
		t.Errorf("60 ms of Opus are %d", got)
	}
}

// TestAudioDrift counts samples by a sound card's clock that is 200 ppm from the
// one that the timestamps are of: none is left out or put in, and the shared time
// is that of the timestamps.
func TestAudioDrift(t *testing.T) {
	for _, ppm := range []float64{200, -200} {
		a := audioTrack{config: &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 44100}}
		for i := range 155_000 { // an hour
			real := float64(i) * 1024 / 44100 * (1 + ppm/1e6) * float64(time.Second)
			at := mediaTime(time.Duration(real).Truncate(time.Millisecond))
			got, shared := a.place(at)
			if got != int64(i)*1024 {
				t.Fatalf("%+v ppm: frame %d is at %d", ppm, i, got)
			}
			if off := time.Duration(shared - at); off < -2*time.Millisecond || off > 2*time.Millisecond {
				t.Fatalf("%+v ppm: frame %d is at %v by its timestamp, and at %v", ppm, i, at, shared)
			}
		}
	}
}

// nals puts NAL units into a frame, with lengths of a size.
func nals(size int, units ...string) []byte {
	var b []byte
	for _, u := range units {
		for i := size - 1; i >= 0; i-- {
			b = append(b, byte(len(u)>>(8*i)))
		}
		b = append(b, u...)
	}
	return b
}

func TestNALFilter(t *testing.T) {
	const sps, pps, aud, sei, idr, slice, filler = "\x67s", "\x68p", "\x09\xf0", "\x06s", "\x65idr", "\x41slice", "\x0c\xff"
	tests := []struct {
		name     string
		in, want []string
		key      bool
		changed  bool
	}{
		{"nothing to do", []string{slice}, []string{slice}, false, false},
		{"all in front", []string{aud, sps, pps, sei, idr}, []string{sei, idr}, true, true},
		{"within", []string{sei, sps, idr, pps, idr, filler}, []string{sei, idr, idr}, true, true},
		{"at the end", []string{slice, slice, filler}, []string{slice, slice}, false, false},
		{"nothing left", []string{aud, sps, pps}, nil, false, true},
		{"an empty one", []string{"", idr, ""}, []string{idr}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 4} {
				f := nalFilter{codec: cmaf.H264, lengthSize: size}
				got, key, err := f.filter(nals(size, tt.in...))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, nals(4, tt.want...)) || key != tt.key || f.changed != tt.changed {
					t.Errorf("size %d: %x, key %v, changed %v", size, got, key, f.changed)
				}
				if tt.changed && string(f.sps) != sps {
					t.Errorf("the SPS is %x", f.sps)
				}
			}
		})
	}
	f := nalFilter{codec: cmaf.H264, lengthSize: 4}
	if _, _, err := f.filter(append(nals(4, idr), 0, 0, 0)); err != nil {
		t.Errorf("zeros at the end: %v", err)
	}
	for _, bad := range []string{"\x00\x00\x00\x09ab", "\x00\x00\x00\x01a\x00\x01", "\xff\xff\xff\xff"} {
		if _, _, err := f.filter([]byte(bad)); err == nil {
			t.Errorf("%x was taken", bad)
		}
	}
}

func TestNALFilterHEVC(t *testing.T) {
	const vps, sps, pps, aud, idr, trail, eos = "\x40\x01v", "\x42\x01s", "\x44\x01p", "\x46\x01\x50", "\x26\x01i", "\x02\x01t", "\x48\x01"
	f := nalFilter{codec: cmaf.H265, lengthSize: 4}
	got, key, err := f.filter(nals(4, aud, vps, sps, pps, idr, eos))
	if err != nil || !key || !bytes.Equal(got, nals(4, idr)) || string(f.vps) != vps || string(f.sps) != sps || string(f.pps) != pps {
		t.Errorf("%x, key %v, %v", got, key, err)
	}
	if got, key, _ = f.filter(nals(4, trail, "x")); key || !bytes.Equal(got, nals(4, trail)) {
		t.Errorf("%x, key %v", got, key)
	}
}

func TestAV1Units(t *testing.T) {
	const delimiter, frame, open, padding = "\x12\x00", "\x32\x03abc", "\x30abc", "\x7a\x01\x00"
	for _, tt := range []struct{ name, in, want string }{
		{"a delimiter in front", delimiter + frame, frame},
		{"padding within", frame + padding + frame, frame + frame},
		{"the last one without a size", delimiter + frame + open, frame + frame},
		{"nothing left", delimiter, ""},
	} {
		var v videoTrack
		got, err := v.units([]byte(tt.in), false)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %x, %v", tt.name, got, err)
		}
	}
	var v videoTrack
	if _, err := v.units([]byte("\x32\x09a"), false); err == nil {
		t.Error("a unit that is cut was taken")
	}
}

func TestStreamKey(t *testing.T) {
	for _, tt := range []struct {
		name   string
		places []string
		want   string
	}{
		{"k", []string{"live"}, "k"},
		{"/k", nil, "k"},
		{"k?a=b/c", nil, "k"},
		{"live/k", nil, "k"},
		{"", []string{"live"}, ""},
		{"", []string{"live/"}, ""},
		{"", []string{"live/k"}, "k"},
		{"", []string{"k"}, "k"},
		{"", []string{"live", "live/k?x"}, "k"},
		{"?x=y", []string{"live"}, ""},
	} {
		if got := streamKey(tt.name, tt.places...); got != tt.want {
			t.Errorf("%q in %q: %q, want %q", tt.name, tt.places, got, tt.want)
		}
	}
}
