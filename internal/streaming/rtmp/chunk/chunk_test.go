package chunk

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func testLimits() Limits {
	return Limits{Message: func(uint8) int { return 1 << 20 }, Pending: 2 << 20, Reserve: 4 << 10}
}

// all returns the messages of a stream of bytes and the error that ended it.
func all(wire string, limits Limits) ([]Message, error) {
	r := NewReader(strings.NewReader(wire), limits)
	var messages []Message
	for {
		m, err := r.Next()
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

func video(timestamp uint32, payload string) Message {
	return Message{Type: Video, StreamID: 1, Timestamp: timestamp, Payload: []byte(payload)}
}

func TestReader(t *testing.T) {
	// A header of type 0 on chunk stream 4: video of 3 bytes at 1000 ms.
	const first = "\x04\x00\x03\xe8\x00\x00\x03\x09\x01\x00\x00\x00abc"
	// The same with an extended timestamp of 0x01000000, 130 bytes.
	long := strings.Repeat("x", 128)
	const far = "\x04\xff\xff\xff\x00\x00\x82\x09\x01\x00\x00\x00\x01\x00\x00\x00"
	tests := []struct {
		name, wire string
		want       []Message
	}{
		{"type 0", first, []Message{video(1000, "abc")}},
		{"type 1 has a delta, a length and a type", first + "\x44\x00\x00\x21\x00\x00\x02\x08de",
			[]Message{video(1000, "abc"), {Type: Audio, StreamID: 1, Timestamp: 1033, Payload: []byte("de")}}},
		{"type 2 has a delta", first + "\x84\x00\x00\x21def", []Message{video(1000, "abc"), video(1033, "def")}},
		{"type 3 repeats the delta", first + "\x84\x00\x00\x21def\xc4ghi",
			[]Message{video(1000, "abc"), video(1033, "def"), video(1066, "ghi")}},
		{"type 3 after type 0 repeats its timestamp", first + "\xc4def", []Message{video(1000, "abc"), video(2000, "def")}},
		{"but not when that would be a long time", "\x04\x00\x27\x10\x00\x00\x01\x09\x01\x00\x00\x00a\xc4b",
			[]Message{video(10_000, "a"), video(10_000, "b")}},
		{"type 1 begins a chunk stream", "\x46\x00\x00\x21\x00\x00\x01\x08a",
			[]Message{{Type: Audio, Timestamp: 33, Payload: []byte("a")}}},
		{"ids of two and three bytes", "\x00\x10\x00\x00\x00\x00\x00\x01\x09\x01\x00\x00\x00a" + "\x01\x02\x01\x00\x00\x00\x00\x00\x01\x09\x01\x00\x00\x00b" + "\x80\x10\x00\x00\x07c",
			[]Message{video(0, "a"), video(0, "b"), video(7, "c")}},
		{"two chunk streams take turns", "\x04\x00\x00\x00\x00\x00\x82\x09\x01\x00\x00\x00" + long + "\x05\x00\x00\x00\x00\x00\x01\x09\x01\x00\x00\x00a" + "\xc4yz",
			[]Message{video(0, "a"), video(0, long+"yz")}},
		{"an extended timestamp, repeated", far + long + "\xc4\x01\x00\x00\x00yz", []Message{video(0x1000000, long+"yz")}},
		{"an extended timestamp, not repeated", far + long + "\xc4yz" + "\xc4" + long + "\xc4yz",
			[]Message{video(0x1000000, long+"yz"), video(0x1000000, long+"yz")}},
		{"an extended delta, repeated", first + "\x84\xff\xff\xff\x01\x00\x00\x00def" + "\xc4\x01\x00\x00\x00ghi",
			[]Message{video(1000, "abc"), video(0x10003e8, "def"), video(0x20003e8, "ghi")}},
		{"an extended timestamp that is not needed", "\x04\xff\xff\xff\x00\x00\x01\x09\x01\x00\x00\x00\x00\x00\x00\x07a", []Message{video(7, "a")}},
		{"timestamps wrap", "\x04\xff\xff\xff\x00\x00\x01\x09\x01\x00\x00\x00\xff\xff\xff\xfea" + "\x84\x00\x00\x03b",
			[]Message{video(0xfffffffe, "a"), video(1, "b")}},
		{"Set Chunk Size", "\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\x00\x02" + first[:14] + "\xc4c", []Message{video(1000, "abc")}},
		{"a chunk size above the longest message", "\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x7f\xff\xff\xff" + first, []Message{video(1000, "abc")}},
		{"Abort", "\x04\x00\x00\x00\x00\x00\x82\x09\x01\x00\x00\x00" + long + "\x02\x00\x00\x00\x00\x00\x04\x02\x00\x00\x00\x00\x00\x00\x00\x04" + first,
			[]Message{video(1000, "abc")}},
		{"an empty message", "\x04\x00\x00\x00\x00\x00\x00\x09\x01\x00\x00\x00" + first, []Message{video(0, ""), video(1000, "abc")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := all(tt.wire, testLimits())
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			for i := range got {
				if len(got[i].Payload) == 0 {
					got[i].Payload = []byte{}
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	var streams strings.Builder
	for id := range 70 {
		streams.WriteString("\x00" + string([]byte{byte(id)}) + "\x00\x00\x00\x00\x00\x00\x09\x01\x00\x00\x00")
	}
	// Messages of 1 MiB whose first chunk alone comes, on many chunk streams.
	var open strings.Builder
	open.WriteString("\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\xff\xff")
	for id := range 40 {
		open.WriteString("\x00" + string([]byte{byte(id)}) + "\x00\x00\x00\x10\x00\x00\x09\x01\x00\x00\x00" + strings.Repeat("x", 0xffff))
	}
	tests := []struct {
		name, wire, want string
	}{
		{"type 2 without a header before", "\x84\x00\x00\x21abc", "earlier header"},
		{"type 3 without a header before", "\xc4abc", "earlier header"},
		{"a message that is too long", "\x04\x00\x00\x00\x10\x00\x01\x09\x01\x00\x00\x00", "at most 1048576"},
		{"a message within a message", "\x04\x00\x00\x00\x00\x00\x82\x09\x01\x00\x00\x00" + strings.Repeat("x", 128) + "\x04\x00\x00\x00\x00\x00\x01\x09\x01\x00\x00\x00a", "before the one before"},
		{"a chunk size of 0", "\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\x00\x00", "chunk size"},
		{"a chunk size above 31 bits", "\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x80\x00\x00\x00", "chunk size"},
		{"a chunk size that is cut", "\x02\x00\x00\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00", "without a size"},
		{"an abort that is cut", "\x02\x00\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x00\x00", "without a chunk stream"},
		{"too many chunk streams", streams.String(), "more than 64"},
		{"too much that is unfinished", open.String(), "unfinished"},
		{"an end within a header", "\x04\x00\x00", "unexpected EOF"},
		{"an end within a payload", "\x04\x00\x00\x00\x00\x00\x03\x09\x01\x00\x00\x00a", "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := all(tt.wire, testLimits()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A header that promises much makes the reader set aside little.
func TestReaderBelievesNoHeader(t *testing.T) {
	wire := "\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\xff\xff\xff" + "\x04\x00\x00\x00\x10\x00\x00\x09\x01\x00\x00\x00abc"
	r := NewReader(strings.NewReader(wire), testLimits())
	if _, err := r.Next(); err == nil {
		t.Fatal("a message that is cut was read")
	}
	if r.pending > 4<<10 {
		t.Errorf("%d bytes were set aside for 3", r.pending)
	}
}

func TestWriterIsRead(t *testing.T) {
	w := NewWriter()
	payloads := []string{"", "a", strings.Repeat("b", 128), strings.Repeat("c", 129), strings.Repeat("d", 9000)}
	timestamps := []uint32{0, 1, 0xfffffe, 0xffffff, 0xffffffff}
	var wire []byte
	var want []Message
	for _, size := range []int{0, 1, 4096, 1 << 20} {
		if size > 0 {
			wire = w.SetSize(wire, size)
		}
		for _, p := range payloads {
			for _, ts := range timestamps {
				m := video(ts, p)
				want = append(want, m)
				wire = w.Append(wire, 6, m)
			}
		}
	}
	got, err := all(string(wire), testLimits())
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("read %d messages, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Timestamp != want[i].Timestamp || got[i].Type != want[i].Type || !bytes.Equal(got[i].Payload, want[i].Payload) {
			t.Errorf("message %d is at %d with %d bytes", i, got[i].Timestamp, len(got[i].Payload))
		}
	}
}

func TestReceived(t *testing.T) {
	wire := NewWriter().Append(nil, 4, video(0, "abc"))
	r := NewReader(bytes.NewReader(wire), testLimits())
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if r.Received() != uint64(len(wire)) {
		t.Errorf("%d bytes received, want %d", r.Received(), len(wire))
	}
}

func FuzzReader(f *testing.F) {
	w := NewWriter()
	wire := w.Append(nil, 3, Message{Type: CommandAMF0, Payload: bytes.Repeat([]byte{1}, 150)})
	wire = w.SetSize(wire, 4096)
	wire = w.Append(wire, 4, Message{Type: Video, StreamID: 1, Timestamp: 0x1000000, Payload: bytes.Repeat([]byte{2}, 200)})
	f.Add(wire)
	f.Add([]byte("\x04\x00\x03\xe8\x00\x00\x03\x09\x01\x00\x00\x00abc\x84\x00\x00\x21def\xc4ghi"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x04\x02\x00\x00\x00\x00\x00\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		limits := Limits{Message: func(uint8) int { return 1 << 16 }, Pending: 1 << 17, Reserve: 256}
		r := NewReader(bytes.NewReader(wire), limits)
		total := 0
		for {
			m, err := r.Next()
			if err != nil {
				break
			}
			total += len(m.Payload)
		}
		if total > len(wire) {
			t.Fatalf("%d bytes of payload in %d bytes", total, len(wire))
		}
		if r.pending > limits.Pending+1<<16 || r.pending < 0 {
			t.Fatalf("%d bytes are set aside", r.pending)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	w := NewWriter()
	wire := w.SetSize(nil, 4096)
	for i := range 30 {
		wire = w.Append(wire, 4, Message{Type: Video, StreamID: 1, Timestamp: uint32(i * 33), Payload: make([]byte, 10_400)})
	}
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(wire), Limits{Message: func(uint8) int { return 1 << 20 }, Pending: 2 << 20, Reserve: 256 << 10})
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}
