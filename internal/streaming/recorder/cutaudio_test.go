package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/id3"
)

// box makes a box.
func box(kind string, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(append(b, kind...), body...)
}

func cut(t *testing.T, segment []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := CutAudio(&out, bytes.NewReader(segment)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCutAudio compares what is left with what went in, and lets ffmpeg play it.
func TestCutAudio(t *testing.T) {
	c := makeClip(t, "320x180", "libopus")
	init, err := CutAudioInit(cmaf.Init{Video: c.video.Video, Audio: c.audio.Audio}.Marshal())
	if err != nil || !bytes.Equal(init, c.video.Marshal()) {
		t.Fatalf("the init segment: %v", err)
	}
	tag, err := id3.AppendTag(nil, []id3.Reaction{{Type: "❤️", X: 0.5, Y: 0.5, UserID: "user-1"}})
	if err != nil {
		t.Fatal(err)
	}
	event := (&cmaf.EventMessage{Scheme: cmaf.ID3Scheme, Timescale: cmaf.VideoTimescale, PresentationTime: 100_000, Data: tag}).AppendTo(nil)
	all := init
	for n := range clipSeconds {
		segment := c.second(n, true, true)
		if n == 1 { // with what may stand beside the fragments
			segment = bytes.Join([][]byte{cmaf.AppendSegmentType(nil), event, segment, box("free", "")}, nil)
		}
		got := cut(t, segment)
		want := c.second(n, true, false)
		if n == 1 {
			want = bytes.Join([][]byte{cmaf.AppendSegmentType(nil), event, want, box("free", "")}, nil)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("second %d: %d bytes, not the %d of a segment without sound", n, len(got), len(want))
		}
		all = append(all, got...)
	}
	path := filepath.Join(t.TempDir(), "video.mp4")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "ffmpeg", "-xerror", "-i", path, "-f", "null", "-")
	got := tool(t, "ffprobe", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames,duration", "-of", "csv=p=0", path)
	if want := "h264," + strconv.Itoa(clipSeconds) + ".000000," + strconv.Itoa(clipSeconds*clipRate) + "\n"; got != want {
		t.Errorf("ffprobe: %q, want %q", got, want)
	}
}

// TestCutAudioKeepsTimes takes a segment with all that a sample can have.
func TestCutAudioKeepsTimes(t *testing.T) {
	video := &cmaf.Run{BaseTime: 1 << 40, Samples: []cmaf.Sample{
		{Duration: 3000, Key: true, CompositionOffset: 0, Data: []byte("key")},
		{Duration: 3001, CompositionOffset: 6000, Data: []byte("later")},
		{Duration: 2999, CompositionOffset: -3000, Data: []byte("sooner")},
		{Duration: 3000, Key: true, Data: []byte("key again")},
	}}
	audio := &cmaf.Run{BaseTime: 1 << 39, Samples: []cmaf.Sample{{Duration: 960, Key: true, Data: []byte("tone")}}}
	segment := (&cmaf.Fragment{Sequence: 7, Video: video, Audio: audio}).AppendTo(nil)
	segment = (&cmaf.Fragment{Sequence: 8, Audio: audio}).AppendTo(segment) // no frame came
	segment = (&cmaf.Fragment{Sequence: 9, Video: video}).AppendTo(segment)
	want := (&cmaf.Fragment{Sequence: 7, Video: video}).AppendTo(nil)
	want = (&cmaf.Fragment{Sequence: 9, Video: video}).AppendTo(want)
	if got := cut(t, segment); !bytes.Equal(got, want) {
		t.Errorf("got\n% x\nwant\n% x", got, want)
	}
	if got := cut(t, want); !bytes.Equal(got, want) {
		t.Error("a segment without sound changes")
	}
}

func TestCutAudioRefuses(t *testing.T) {
	good := (&cmaf.Fragment{Video: &cmaf.Run{Samples: []cmaf.Sample{{Duration: 1, Data: []byte("key")}}}}).AppendTo(nil)
	for name, bad := range map[string][]byte{
		"cut off":         good[:len(good)-1],
		"an init segment": box("moov", ""),
		"a huge box":      append(good, box("free", strings.Repeat("x", maxBox))...),
		"half a box":      append(bytes.Clone(good), 0, 0, 0),
	} {
		if err := CutAudio(&bytes.Buffer{}, bytes.NewReader(bad)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	aac := cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2}
	for _, bad := range [][]byte{nil, cmaf.Init{Audio: &aac}.Marshal()} {
		if _, err := CutAudioInit(bad); err == nil {
			t.Error("an init segment without video passes")
		}
	}
}

func TestReadVideoOnly(t *testing.T) {
	store := newMoody(t, well)
	c := makeClip(t, "320x180", "libopus")
	segment := c.second(0, true, true)
	name := facts(0, segment).Name()
	put(t, store, "source", name, segment)
	put(t, store, "source", InitName(1, 1), cmaf.Init{Video: c.video.Video, Audio: c.audio.Audio}.Marshal())
	for name, want := range map[string][]byte{name: c.second(0, true, false), InitName(1, 1): c.video.Marshal()} {
		got, info, err := ReadVideoOnly(context.Background(), store, join(prefix, "source", name))
		if err != nil || !bytes.Equal(got, want) || info.ModTime.IsZero() {
			t.Errorf("%s: %d bytes, %+v, %v", name, len(got), info, err)
		}
	}
	for _, name := range []string{facts(1, nil).Name(), InitName(2, 1)} {
		if _, _, err := ReadVideoOnly(context.Background(), store, join(prefix, "source", name)); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCutAudio(f *testing.F) {
	run := &cmaf.Run{Samples: []cmaf.Sample{{Duration: 3000, Key: true, Data: []byte("key")}, {Duration: 2000, Data: []byte("frame")}}}
	segment := (&cmaf.Fragment{Video: run, Audio: run}).AppendTo(box("free", "x"))
	f.Add(segment)
	f.Add((&cmaf.Fragment{Video: run, Audio: run}).AppendTo((&cmaf.EventMessage{Scheme: "x", Timescale: 1, Data: []byte("y")}).AppendTo(nil)))
	f.Add((&cmaf.Fragment{Audio: run}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, segment []byte) {
		var out bytes.Buffer
		if CutAudio(&out, bytes.NewReader(segment)) != nil {
			return
		}
		before, err := cmaf.ReadSegment(bytes.NewReader(segment))
		if err != nil {
			t.Fatal(err)
		}
		after, err := cmaf.ReadSegment(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for _, b := range before {
			if b.Video == nil {
				continue
			}
			a := after[i]
			i++
			if a.Audio != nil || a.Video.BaseTime != b.Video.BaseTime || a.Video.Duration() != b.Video.Duration() || len(a.Video.Samples) != len(b.Video.Samples) {
				t.Errorf("%+v became %+v", b, a)
			}
		}
		if i != len(after) {
			t.Errorf("%d fragments became %d", i, len(after))
		}
	})
}
