package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// pipeFlags are the ways in which a sidecar may be started.
var pipeFlags = []string{
	"empty_moov+default_base_moof+frag_every_frame",
	"empty_moov+default_base_moof+frag_every_frame+delay_moov",
	"empty_moov+default_base_moof+frag_every_frame+delay_moov+frag_discont",
	"empty_moov+default_base_moof+frag_keyframe+dash",
	"cmaf+delay_moov+frag_keyframe",
}

// What ffmpeg writes to a pipe is read as ffprobe reads it: the same packets
// with the same times and bytes.
func TestReaderOfFFmpeg(t *testing.T) {
	t.Parallel()
	specs := map[string]clipSpec{
		"H264 and AAC":  {size: "320x180", seconds: 1, audio: "aac", video: []string{"-bf", "2"}},
		"H264":          {size: "320x180", seconds: 1, video: []string{"-video_track_timescale", "15360"}},
		"AAC":           {seconds: 1, audio: "aac"},
		"H265 and Opus": {size: "320x180", seconds: 1, audio: "libopus", codec: "libx265"},
		"VP9 and Opus":  {size: "320x180", seconds: 1, audio: "libopus", codec: "libvpx-vp9"},
		"AV1 and AAC":   {size: "320x180", seconds: 1, audio: "aac", codec: "libaom-av1"},
		"H264 from 5 s": {size: "320x180", seconds: 1, audio: "aac", video: []string{"-bf", "2", "-output_ts_offset", "5"}},
	}
	for name, spec := range specs {
		for _, flags := range pipeFlags {
			t.Run(name+" "+flags, func(t *testing.T) {
				t.Parallel()
				if spec.codec == "libaom-av1" && !strings.Contains(flags, "delay_moov") {
					t.Skip("ffmpeg writes no sequence header then")
				}
				data := tool(t, "ffmpeg", append(spec.arguments(), "-movflags", flags, "-f", "mp4", "-")...)
				got := readPackets(t, NewReader(iotest.HalfReader(bytes.NewReader(data))))
				want := probePackets(t, writeFile(t, "pipe.mp4", data))
				if len(got) != len(want) {
					t.Fatalf("%d packets, ffprobe has %d", len(got), len(want))
				}
				lag := 0.0 // ffprobe moves the presentation when an offset is negative
				if len(want) > 0 && strings.HasPrefix(flags, "cmaf") && got[0].kind == "video" {
					lag = want[0].pts - got[0].pts
				}
				for i := range want {
					if want[i].kind == "video" {
						want[i].pts -= lag
					}
					if got[i].kind != want[i].kind || got[i].size != want[i].size || got[i].key != want[i].key ||
						math.Abs(got[i].pts-want[i].pts) > 0.0011 || math.Abs(got[i].dts-want[i].dts) > 0.0011 {
						t.Fatalf("packet %d is %+v, ffprobe says %+v", i, got[i], want[i])
					}
				}
			})
		}
	}
}

// packet is a sample on the timeline of the presentation, in seconds.
type packet struct {
	kind     string
	pts, dts float64
	size     int
	key      bool
}

// readPackets reads a stream to its end: all video, then all audio.
func readPackets(t *testing.T, r *Reader) []packet {
	t.Helper()
	init, err := r.Init()
	if err != nil {
		t.Fatal(err)
	}
	videoShift, audioShift := r.Shift()
	var video, audio []packet
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return append(video, audio...)
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Video != nil {
			video = append(video, packets("video", f.Video, videoShift, VideoTimescale)...)
		}
		if f.Audio != nil {
			audio = append(audio, packets("audio", f.Audio, audioShift, init.Audio.Timescale())...)
		}
	}
}

func packets(kind string, run *Run, shift int64, timescale uint32) []packet {
	var list []packet
	at := int64(run.BaseTime) + shift
	for _, s := range run.Samples {
		list = append(list, packet{kind, float64(at+int64(s.CompositionOffset)) / float64(timescale),
			float64(at) / float64(timescale), len(s.Data), s.Key})
		at += int64(s.Duration)
	}
	return list
}

// probePackets lists what ffprobe finds in a file, in the same order.
func probePackets(t *testing.T, path string) []packet {
	t.Helper()
	var list []packet
	for _, kind := range []string{"video", "audio"} {
		out := tool(t, "ffprobe", "-select_streams", kind[:1], "-show_entries", "packet=pts_time,dts_time,size,flags",
			"-of", "csv=p=0", path)
		for _, line := range strings.Fields(string(out)) {
			column := strings.Split(line, ",")
			p := packet{kind: kind, pts: seconds(t, column[0]), dts: seconds(t, column[1]), key: column[3][0] == 'K'}
			if _, err := fmt.Sscan(column[2], &p.size); err != nil {
				t.Fatal(err)
			}
			list = append(list, p)
		}
	}
	return list
}

// A fragment comes out before anything of the next one is there: the writer
// waits until it has been taken.
func TestReaderFollowsAPipe(t *testing.T) {
	out, in := io.Pipe()
	taken := make(chan struct{})
	f, init := part(), Init{Video: testVideo(t), Audio: testOpus()}.Marshal()
	go func() {
		defer in.Close()
		_, _ = in.Write(init)
		for range 3 {
			_, _ = in.Write(f.AppendTo(nil))
			<-taken
		}
	}()
	r := NewReader(out)
	for range 3 {
		if got, err := r.Next(); err != nil || got.Video.Size() != f.Video.Size() {
			t.Errorf("%d bytes, %v", got.Video.Size(), err)
		}
		taken <- struct{}{}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// makeBox makes a box with contents.
func makeBox(kind string, body ...byte) []byte {
	w := boxWriter{}
	at := w.open(kind)
	w.bytes(body)
	w.close(at)
	return w.b
}

// Boxes that carry no media are passed over, wherever they stand, and what
// comes before the end of a fragment is handed out before the rest is there.
func TestReaderTolerates(t *testing.T) {
	init := Init{Video: testVideo(t), Audio: testOpus()}
	f := part()
	f.Video.Samples[1].CompositionOffset = -3000
	event := testEvents()[0]
	noise := bytes.Join([][]byte{AppendSegmentType(nil), makeBox("sidx", 1, 2), event.AppendTo(nil), makeBox("prft"),
		makeBox("free", make([]byte, 5000)...)}, nil)
	wide := append([]byte{0, 0, 0, 1, 'f', 'r', 'e', 'e', 0, 0, 0, 0, 0, 0, 0, 18}, 1, 2)
	head, rest := f.AppendHead(nil), AppendSamples(AppendSamples(nil, f.Video), f.Audio)
	var stream []byte
	for _, b := range [][]byte{noise, init.Marshal(), wide, makeBox("mdat", 1), noise,
		(&Fragment{Sequence: 1}).AppendTo(nil), head, rest, noise, head, rest, makeBox("mfra")} {
		stream = append(stream, b...)
	}
	r := NewReader(iotest.OneByteReader(bytes.NewReader(stream)))
	for range 2 {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.AppendTo(nil), f.AppendTo(nil)) {
			t.Errorf("the fragment is not what was written: %d bytes", got.Video.Size())
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if back, err := r.Init(); err != nil || !back.Video.Equal(*init.Video) || !back.Audio.Equal(*init.Audio) {
		t.Errorf("the init is %+v, %v", back, err)
	}
	if v, a := r.Shift(); v != 0 || a != 0 {
		t.Errorf("a shift of %d and %d without edit lists", v, a)
	}
}

func TestReaderRefuses(t *testing.T) {
	init := Init{Video: testVideo(t), Audio: testOpus()}.Marshal()
	f := part()
	fragment := f.AppendTo(nil)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	change := func(kind string, at int, b byte) []byte {
		data := bytes.Clone(fragment)
		data[bytes.Index(data, []byte(kind))+4+at] = b
		return data
	}
	far := Fragment{Audio: &Run{BaseTime: math.MaxInt64, Samples: f.Audio.Samples}}
	for _, test := range []struct {
		name, says string
		data       []byte
		short      bool
	}{
		{"nothing", "before its moov", nil, true},
		{"no moov", "a moof before its moov", fragment, false},
		{"cut off in the moov", "moov: unexpected EOF", init[:len(init)-1], true},
		{"cut off in a header", "unexpected EOF", join(init, fragment[:5]), true},
		{"cut off in a moof", "moof: unexpected EOF", join(init, fragment[:50]), true},
		{"cut off in an mdat", "mdat: unexpected EOF", join(init, fragment[:len(fragment)-1]), true},
		{"cut off between", "between a moof and its mdat", join(init, f.AppendHead(nil)[:f.HeadSize()-8]), true},
		{"cut off in what is passed over", "free: unexpected EOF", join(init, makeBox("free", 1, 2, 3)[:10]), true},
		{"two moofs", "without its mdat", join(init, f.AppendHead(nil)[:f.HeadSize()-8], fragment), false},
		{"two moovs", "second moov", join(init, init), false},
		{"size 4", "says it has 4 bytes", join(init, []byte{0, 0, 0, 4, 'm', 'd', 'a', 't'}), false},
		{"a large box", "at most 70000 are read", join(init, makeBox("moof", make([]byte, 70_001)...)), false},
		{"unknown track", "track 9 is unknown", join(init, change("tfhd", 7, 9)), false},
		{"not from the moof", "default-base-is-moof", join(init, change("tfhd", 1, 0)), false},
		{"outside", "outside the mdat", join(init, change("trun", 8, 0x10)), false},
		{"a time out of this world", "cannot be right", join(init, far.AppendTo(nil)), false},
	} {
		r := NewReader(bytes.NewReader(test.data))
		r.MaxBox = 70_000
		_, err := r.Next()
		if err == nil || !strings.Contains(err.Error(), test.says) || errors.Is(err, io.ErrUnexpectedEOF) != test.short {
			t.Errorf("%s: the error is %v, it should say %q", test.name, err, test.says)
		}
		if _, again := r.Next(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: then the error is %v", test.name, again)
		}
	}
}

// A box that lies about its size does not get the memory.
func TestReaderMemory(t *testing.T) {
	f := &Fragment{Video: part().Video}
	head := f.AppendHead(nil)
	copy(head[len(head)-8:], []byte{0x03, 0xff, 0xff, 0xff})
	data := append(Init{Video: testVideo(t)}.Marshal(), head...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := NewReader(bytes.NewReader(data)).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if size := after.TotalAlloc - before.TotalAlloc; size > 16<<20 {
		t.Errorf("%d bytes for a box that has none", size)
	}
}
