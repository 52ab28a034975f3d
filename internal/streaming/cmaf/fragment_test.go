package cmaf

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestInitRoundTrip(t *testing.T) {
	aac, err := ParseAAC([]byte{0x12, 0x10})
	if err != nil {
		t.Fatal(err)
	}
	for _, init := range []Init{
		{Video: testVideo(t), Audio: testOpus()},
		{Video: testVideo(t), Audio: &aac},
		{Video: testVideo(t)},
		{Audio: &AudioConfig{Codec: Opus, SampleRate: 16000, Channels: 1, PreSkip: 312}},
	} {
		got, err := ParseInit(init.Marshal())
		if err != nil {
			t.Errorf("%v: %v", init.Codecs(), err)
			continue
		}
		if !reflect.DeepEqual(got, init) {
			t.Errorf("%+v became %+v", init, got)
		}
	}
	if got := strings.Join(Init{Video: testVideo(t), Audio: testOpus()}.Codecs(), ","); got != "avc1.42c01e,opus" {
		t.Errorf("the codecs are %s", got)
	}
}

func TestParseInitRefuses(t *testing.T) {
	good := Init{Video: testVideo(t), Audio: testOpus()}.Marshal()
	replace := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	for _, test := range []struct {
		name, says string
		data       []byte
	}{
		{"nothing", "no moov", nil},
		{"cut off", "bytes, ", good[:len(good)-1]},
		{"too large", "at most", make([]byte, maxInit+1)},
		{"no tracks", "no track", bytes.ReplaceAll(good, []byte("trak"), []byte("free"))},
		{"another codec", `"xvc1"`, replace("avc1", "xvc1")},
		{"no avcC", "no avcC", replace("avcC", "hvcC")},
		{"no dOps", "no dOps", replace("dOps", "xOps")},
		{"five channels", "5 channels", replace("dOps\x00\x02", "dOps\x00\x05")},
		{"two videos", "second video", twice(good)},
	} {
		_, err := ParseInit(test.data)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, it should say %q", test.name, err, test.says)
		}
	}
}

// twice returns an init segment whose video track stands twice.
func twice(init []byte) []byte {
	moov, err := find(init, "moov")
	if err != nil {
		panic(err)
	}
	trak, err := find(moov, "trak")
	if err != nil {
		panic(err)
	}
	w := boxWriter{}
	at := w.open("moov")
	w.mvhd(1000, 0, 3)
	for range 2 {
		t := w.open("trak")
		w.bytes(trak)
		w.close(t)
	}
	w.close(at)
	return w.b
}

// Every shape of a run, with what its samples do and do not share.
func TestFragmentRoundTrip(t *testing.T) {
	key := func(d uint32, data string) Sample { return Sample{Duration: d, Key: true, Data: []byte(data)} }
	delta := func(d uint32, cto int32, data string) Sample {
		return Sample{Duration: d, CompositionOffset: cto, Data: []byte(data)}
	}
	audio := &Run{BaseTime: 1 << 40, Samples: []Sample{key(960, "a"), key(960, "bb"), key(960, "ccc")}}
	for _, test := range []struct {
		name string
		f    Fragment
	}{
		{"key first", Fragment{Sequence: 7, Video: &Run{BaseTime: 9, Samples: []Sample{key(3000, "I"), delta(3000, 0, "PP"), delta(3000, 0, "P")}}, Audio: audio}},
		{"no key", Fragment{Video: &Run{Samples: []Sample{delta(3000, 0, "P"), delta(2999, 0, "Q")}}}},
		{"one key", Fragment{Video: &Run{Samples: []Sample{key(3000, "I")}}}},
		{"one other", Fragment{Video: &Run{Samples: []Sample{delta(3000, 0, "P")}}}},
		{"all keys", Fragment{Video: &Run{Samples: []Sample{key(1, "I"), key(2, "J")}}}},
		{"key in the middle", Fragment{Video: &Run{Samples: []Sample{delta(1, 0, "P"), key(2, "I"), delta(3, 0, "P")}}}},
		{"key at the end", Fragment{Video: &Run{Samples: []Sample{delta(1, 0, "P"), key(1, "I")}}}},
		{"B-frames", Fragment{Video: &Run{Samples: []Sample{key(3000, "I"), delta(3000, 6000, "P"), delta(3000, -3000, "B"), delta(3000, -3000, "B")}}}},
		{"audio alone", Fragment{Sequence: 1<<32 - 1, Audio: audio}},
		{"empty samples", Fragment{Video: &Run{Samples: []Sample{key(3000, ""), delta(3000, 0, "P")}}, Audio: audio}},
	} {
		t.Run(test.name, func(t *testing.T) {
			prefix := AppendSegmentType(nil)
			data := test.f.AppendTo(bytes.Clone(prefix))
			if head := len(test.f.AppendHead(nil)); head != test.f.HeadSize() {
				t.Errorf("the head has %d bytes, HeadSize says %d", head, test.f.HeadSize())
			}
			data = (&Fragment{Sequence: 99, Audio: audio}).AppendTo(data)
			infos, err := ReadSegment(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if len(infos) != 2 || infos[0].Sequence != test.f.Sequence || infos[1].Sequence != 99 {
				t.Fatalf("the fragments are %+v", infos)
			}
			compareRun(t, "video", test.f.Video, infos[0].Video, data)
			compareRun(t, "audio", test.f.Audio, infos[0].Audio, data)
			compareRun(t, "next audio", audio, infos[1].Audio, data)
		})
	}
}

func compareRun(t *testing.T, name string, want *Run, got *RunInfo, data []byte) {
	t.Helper()
	if (want == nil) != (got == nil) {
		t.Fatalf("%s: %v became %v", name, want, got)
	}
	if want == nil {
		return
	}
	if got.BaseTime != want.BaseTime || got.Duration() != want.Duration() || len(got.Samples) != len(want.Samples) {
		t.Fatalf("%s: %+v became %+v", name, want, got)
	}
	for i, s := range got.Samples {
		back := Sample{Duration: s.Duration, CompositionOffset: s.CompositionOffset, Key: s.Key,
			Data: data[s.Offset : s.Offset+int64(s.Size)]}
		if w := want.Samples[i]; back.Duration != w.Duration || back.CompositionOffset != w.CompositionOffset ||
			back.Key != w.Key || !bytes.Equal(back.Data, w.Data) {
			t.Errorf("%s, sample %d: %+v became %+v", name, i, w, back)
		}
	}
}

// A run without samples is as good as none.
func TestFragmentWithoutSamples(t *testing.T) {
	data := (&Fragment{Video: &Run{}}).AppendTo(nil)
	infos, err := ReadSegment(bytes.NewReader(data))
	if err != nil || len(infos) != 1 || infos[0].Video != nil || infos[0].Audio != nil {
		t.Errorf("%+v, %v", infos, err)
	}
}

func TestReadSegmentRefuses(t *testing.T) {
	run := &Run{Samples: []Sample{{Duration: 960, Key: true, Data: []byte("abc")}}}
	good := (&Fragment{Audio: run}).AppendTo(nil)
	change := func(kind string, at int, b byte) []byte {
		data := bytes.Clone(good)
		data[bytes.Index(data, []byte(kind))+4+at] = b
		return data
	}
	for _, test := range []struct {
		name, says string
		data       []byte
	}{
		{"cut off in the media", "outside the segment", good[:len(good)-1]},
		{"cut off in a header", "read the box", append(bytes.Clone(good), 0, 0, 0)},
		{"size 0", "says it has 0 bytes", make([]byte, 8)},
		{"unknown track", "track 3 is unknown", change("tfhd", 7, 3)},
		{"not from the moof", "do not count from the moof", change("tfhd", 1, 0)},
		{"too many samples", "at most", change("trun", 4, 0xff)},
		{"more samples than table", "ends too early", change("trun", 7, 9)},
		{"outside", "outside the segment", change("trun", 8, 0x7f)},
		{"before the segment", "outside the segment", change("trun", 8, 0x80)},
		{"no tfdt", "no tfdt", bytes.Replace(good, []byte("tfdt"), []byte("free"), 1)},
	} {
		_, err := ReadSegment(bytes.NewReader(test.data))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, it should say %q", test.name, err, test.says)
		}
	}
}

// One copy of the samples serves a file with audio and one without: each is
// its own head and a slice. A part takes one allocation.
func TestSharedSamples(t *testing.T) {
	f := part()
	for i := range f.Video.Samples {
		f.Video.Samples[i].CompositionOffset = int32(i) * 100
		f.Video.Samples[i].Duration += uint32(i)
	}
	var muxed, alone, shared []byte
	var videoSize int
	build := func() {
		video := Fragment{Sequence: f.Sequence, Video: f.Video}
		buf := make([]byte, 0, f.HeadSize()+video.HeadSize()+f.Video.Size()+f.Audio.Size())
		buf = f.AppendHead(buf)
		muxed = buf[:len(buf):len(buf)]
		buf = video.AppendHead(buf)
		alone = buf[len(muxed):]
		media := len(buf)
		buf = AppendSamples(buf, f.Video)
		videoSize = len(buf) - media
		buf = AppendSamples(buf, f.Audio)
		shared = buf[media:]
	}
	if n := testing.AllocsPerRun(20, build); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
	for _, test := range []struct {
		name string
		f    Fragment
		data []byte
	}{
		{"muxed", *f, slices.Concat(muxed, shared)},
		{"video alone", Fragment{Video: f.Video}, slices.Concat(alone, shared[:videoSize])},
	} {
		if !bytes.Equal(test.data, test.f.AppendTo(nil)) {
			t.Errorf("%s: the shared bytes differ from those of AppendTo", test.name)
		}
		infos, err := ReadSegment(bytes.NewReader(test.data))
		if err != nil || len(infos) != 1 {
			t.Fatalf("%s: %+v, %v", test.name, infos, err)
		}
		compareRun(t, test.name, test.f.Video, infos[0].Video, test.data)
		compareRun(t, test.name, test.f.Audio, infos[0].Audio, test.data)
	}
	if n := testing.AllocsPerRun(20, func() { f.AppendTo(nil) }); n != 1 {
		t.Errorf("AppendTo takes %v allocations, want 1", n)
	}
}

// part is a part as the live packager makes it: 0.2 s at 2.5 Mbit/s.
func part() *Fragment {
	f := &Fragment{Video: &Run{}, Audio: &Run{}}
	for i := range 6 {
		f.Video.Samples = append(f.Video.Samples, Sample{Duration: 3000, Key: i == 0, Data: make([]byte, 10_000)})
	}
	for range 10 {
		f.Audio.Samples = append(f.Audio.Samples, Sample{Duration: 960, Key: true, Data: make([]byte, 160)})
	}
	return f
}

// BenchmarkHead makes the heads of a part that is served with and without audio.
func BenchmarkHead(b *testing.B) {
	f := part()
	video := Fragment{Video: f.Video}
	b.ReportAllocs()
	for b.Loop() {
		buf := make([]byte, 0, f.HeadSize()+video.HeadSize())
		_ = video.AppendHead(f.AppendHead(buf))
	}
}

// BenchmarkFragment appends a part to a buffer that is large enough.
func BenchmarkFragment(b *testing.B) {
	f := part()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = f.AppendTo(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
