package id3_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/id3"
)

func heart(user string) id3.Reaction {
	return id3.Reaction{Type: "❤️", X: 0.25, Y: 0.5, UserID: user}
}

func mustTag(t *testing.T, reactions ...id3.Reaction) []byte {
	t.Helper()
	tag, err := id3.AppendTag(nil, reactions)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// TestBytes holds the layout of the standard, byte by byte.
func TestBytes(t *testing.T) {
	value := `{"type":"a","x":0,"y":1,"userId":"u"}`
	want := "ID3\x04\x00\x00\x00\x00\x00\x49" + // 73 bytes follow
		"TXXX\x00\x00\x00\x3f\x00\x00" + // 63 bytes follow
		"\x03serverlessvideo.reaction\x00" + value
	got := mustTag(t, id3.Reaction{Type: "a", Y: 1, UserID: "u"})
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// A size above 127 has its eighth bit in the next byte.
	long := mustTag(t, id3.Reaction{Type: strings.Repeat("a", 300), Y: 1})
	if size := len(long) - 10; !bytes.Equal(long[6:10], []byte{0, 0, byte(size >> 7), byte(size & 0x7f)}) {
		t.Errorf("% x for %d bytes", long[6:10], size)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, reactions := range [][]id3.Reaction{
		{heart("user-1")},
		{heart("user-1"), {Type: `"<&>\`, X: 1, Y: 0}, {Type: "👏🏽", X: 0.125, Y: 0.0001, Count: 17}},
	} {
		tag, err := id3.AppendTag([]byte("before"), reactions)
		if err != nil {
			t.Fatal(err)
		}
		got, err := id3.ParseTag(bytes.TrimPrefix(tag, []byte("before")))
		if err != nil || !reflect.DeepEqual(got, reactions) {
			t.Errorf("%+v, %v; want %+v", got, err, reactions)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	many := make([]id3.Reaction, 120)
	for i := range many {
		many[i] = heart("somebody")
	}
	for name, reactions := range map[string][]id3.Reaction{
		"nothing":         nil,
		"no type":         {{X: 0.5}},
		"beside":          {{Type: "a", X: 1.01}},
		"above":           {{Type: "a", Y: -0.1}},
		"no number":       {{Type: "a", X: math.NaN()}},
		"no text":         {{Type: "\xff"}},
		"a user of bytes": {heart("\xff")},
		"negative count":  {{Type: "a", Count: -1}},
		"over 1 kB":       {{Type: strings.Repeat("a", 1024)}},
		"over 8 kB":       many,
	} {
		dst, err := id3.AppendTag([]byte("x"), reactions)
		if errs.CodeOf(err) != errs.Invalid || string(dst) != "x" {
			t.Errorf("%s: %q %v", name, dst, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := mustTag(t, heart("user-1"), heart("user-2"))
	change := func(at int, b byte) []byte {
		bad := bytes.Clone(good)
		bad[at] = b
		return bad
	}
	tag := func(value string) []byte {
		frame := "TXXX\x00\x00\x00" + string(rune(len(value)+26)) + "\x00\x00\x03" + id3.Description + "\x00" + value
		return []byte("ID3\x04\x00\x00\x00\x00\x00" + string(rune(len(frame))) + frame)
	}
	if _, err := id3.ParseTag(tag(`{"type":"a","x":0,"y":1}`)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"nothing":         nil,
		"a header alone":  []byte("ID3\x04\x00\x00\x00\x00\x00\x00"),
		"no ID3":          change(0, 'X'),
		"version 2.3":     change(3, 3),
		"unsynchronised":  change(5, 0x80),
		"size not safe":   change(8, 0x80),
		"another size":    change(9, good[9]+1),
		"cut off":         good[:len(good)-1],
		"padded":          append(bytes.Clone(good), 0),
		"another frame":   change(10, 'P'),
		"frame flags":     change(19, 1),
		"frame too long":  change(17, good[17]+100),
		"frame too short": change(17, 3),
		"UTF-16":          change(20, 1),
		"description":     change(21, 'x'),
		"no JSON":         tag(`hello`),
		"a list":          tag(`[]`),
		"null":            tag(`null`),
		"unknown field":   tag(`{"type":"a","x":0,"y":1,"z":2}`),
		"two values":      tag(`{"type":"a","x":0,"y":1}{}`),
		"a null byte":     tag(`{"type":"a","x":0,"y":1}` + "\x00"),
		"outside":         tag(`{"type":"a","x":2,"y":1}`),
		"far too long":    make([]byte, id3.MaxTag+1),
	} {
		if got, err := id3.ParseTag(bad); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func total(reactions []id3.Reaction) (n int) {
	for _, r := range reactions {
		n += r.Times()
	}
	return n
}

func TestMerge(t *testing.T) {
	crowd := func(n, types int) (out []id3.Reaction) {
		for i := range n {
			out = append(out, id3.Reaction{Type: fmt.Sprintf("t%d", i%types), X: float64(i%100) / 100, UserID: fmt.Sprintf("user-%d", i)})
		}
		return out
	}
	tests := []struct {
		name string
		in   []id3.Reaction
		left int
		// How many of the items are merged ones, and how many are as they were.
		merged, full func(n int) bool
	}{
		{"few stay as they are", crowd(50, 3), 0, is(0), is(50)},
		{"the old ones of many are counted", crowd(1000, 3), 0, is(3), over(60)},
		{"merged ones are merged again", append(crowd(1000, 2), id3.Reaction{Type: "t0", Count: 5}), 0, is(3), over(60)},
		{"too many types lose the rarest", append(crowd(2000, 1000), crowd(2000, 500)...), -1, over(60), is(0)},
		{"what cannot be written", []id3.Reaction{heart("a"), {Type: ""}, {Type: strings.Repeat("a", 2000), Count: 3}}, 4, is(0), is(1)},
		{"nothing", nil, 0, is(0), is(0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, left := id3.Merge(tt.in)
			var merged, full int
			for _, r := range got {
				if r.Count > 0 {
					merged++
				} else {
					full++
				}
			}
			if !tt.merged(merged) || !tt.full(full) || tt.left >= 0 && left != tt.left {
				t.Errorf("%d merged, %d full, %d left out", merged, full, left)
			}
			if total(got)+left != total(tt.in) {
				t.Errorf("%d and %d left out, of %d", total(got), left, total(tt.in))
			}
			if len(got) == 0 {
				return
			}
			tag := mustTag(t, got...)
			if merged > 0 && full == 0 && len(tag) < id3.MaxTag-2*100 {
				t.Errorf("the tag has %d bytes only", len(tag))
			}
		})
	}
}

func is(want int) func(int) bool    { return func(n int) bool { return n == want } }
func over(least int) func(int) bool { return func(n int) bool { return n > least } }

// TestMergeKeepsTheNewest checks what becomes of each reaction.
func TestMergeKeepsTheNewest(t *testing.T) {
	var in []id3.Reaction
	for i := range 300 {
		kind := "clap"
		if i%10 == 0 {
			kind = "heart"
		}
		in = append(in, id3.Reaction{Type: kind, X: float64(i) / 1000, UserID: "user"})
	}
	got, left := id3.Merge(in)
	if left != 0 || len(got) < 20 {
		t.Fatalf("%d items, %d left out", len(got), left)
	}
	full := got[2:]
	if !reflect.DeepEqual(full, in[len(in)-len(full):]) {
		t.Error("the newest are not as they were")
	}
	merged := in[:len(in)-len(full)]
	last := map[string]id3.Reaction{}
	for _, r := range merged {
		r.Count = last[r.Type].Count + 1
		r.UserID = ""
		last[r.Type] = r
	}
	for _, r := range got[:2] {
		if r != last[r.Type] {
			t.Errorf("%+v, want %+v", r, last[r.Type])
		}
	}
	// One item more would not have fitted.
	if tag := mustTag(t, got...); len(tag) < id3.MaxTag-110 {
		t.Errorf("the tag has %d bytes, with room for more", len(tag))
	}
	again, left := id3.Merge(got)
	if left != 0 || !reflect.DeepEqual(again, got) {
		t.Error("merging what fits changes it")
	}
}

// TestOthersRead lets ffprobe read a tag, before AAC as HLS has it.
func TestOthersRead(t *testing.T) {
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is missing; install it: apt-get install ffmpeg", name)
		}
	}
	dir := t.TempDir()
	sound := filepath.Join(dir, "sound.aac")
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.5", "-c:a", "aac", "-f", "adts", sound).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	tagged := filepath.Join(dir, "tagged.aac")
	if err := os.WriteFile(tagged, append(mustTag(t, heart("user-1")), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", tagged).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var probe struct {
		Format struct{ Tags map[string]string }
	}
	if err := json.Unmarshal(out, &probe); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got id3.Reaction
	if err := json.Unmarshal([]byte(probe.Format.Tags[id3.Description]), &got); err != nil || got != heart("user-1") {
		t.Errorf("ffprobe read %s", out)
	}
}

func FuzzParseTag(f *testing.F) {
	for _, reactions := range [][]id3.Reaction{{heart("user-1")}, {heart("a"), {Type: "👏", Count: 3}}} {
		tag, err := id3.AppendTag(nil, reactions)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(tag)
	}
	f.Fuzz(func(t *testing.T, tag []byte) {
		reactions, err := id3.ParseTag(tag)
		if err != nil {
			return
		}
		// What was read can be merged and written, and is the same again.
		merged, _ := id3.Merge(reactions)
		if len(merged) == 0 {
			return
		}
		again, err := id3.AppendTag(nil, merged)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := id3.ParseTag(again); err != nil || !reflect.DeepEqual(got, merged) {
			t.Errorf("%+v, %v; want %+v", got, err, merged)
		}
	})
}

func FuzzMerge(f *testing.F) {
	f.Add("❤️", "user", 0.5, uint16(1000), uint8(3))
	f.Fuzz(func(t *testing.T, kind, user string, x float64, n uint16, types uint8) {
		var in []id3.Reaction
		for i := range int(n) % 3000 {
			in = append(in, id3.Reaction{Type: kind + strings.Repeat("x", i%(int(types)+1)), X: x, UserID: user, Count: i % 3})
		}
		got, left := id3.Merge(in)
		if total(got)+left != total(in) {
			t.Errorf("%d and %d left out, of %d", total(got), left, total(in))
		}
		if len(got) > 0 {
			mustTag(t, got...)
		}
	})
}
