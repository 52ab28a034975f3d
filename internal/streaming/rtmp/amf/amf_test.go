package amf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name string
		wire string
		want []any
	}{
		{"nothing", "", nil},
		{"number", "\x00\x40\x59\x00\x00\x00\x00\x00\x00", []any{100.0}},
		{"booleans", "\x01\x00\x01\x01", []any{false, true}},
		{"string", "\x02\x00\x04live", []any{"live"}},
		{"null, undefined, unsupported", "\x05\x06\x0d", []any{nil, nil, nil}},
		{"object", "\x03\x00\x03app\x02\x00\x04live\x00\x00\x09", []any{Object{{"app", "live"}}}},
		{"typed object", "\x10\x00\x01C\x00\x01a\x01\x01\x00\x00\x09", []any{Object{{"a", true}}}},
		{"ECMA array whose count is wrong", "\x08\x00\x00\x00\x09\x00\x01a\x05\x00\x00\x09\x05", []any{Object{{"a", nil}}, nil}},
		{"ECMA array without an end", "\x08\x00\x00\x00\x01\x00\x01a\x01\x01", []any{Object{{"a", true}}}},
		{"strict array", "\x0a\x00\x00\x00\x02\x05\x02\x00\x01x", []any{[]any{nil, "x"}}},
		{"date", "\x0b\x40\x59\x00\x00\x00\x00\x00\x00\x00\x3c", []any{100.0}},
		{"long string and XML", "\x0c\x00\x00\x00\x02ab\x0f\x00\x00\x00\x01c", []any{"ab", "c"}},
		{"a name that is empty but not the end", "\x03\x00\x00\x05\x00\x00\x09", []any{Object{{"", nil}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read([]byte(tt.wire))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read %#v, want %#v", got, tt.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	deep := strings.Repeat("\x03\x00\x01a", 18)
	many := "\x0a" + string(binary.BigEndian.AppendUint32(nil, 5000)) + strings.Repeat("\x05", 5000)
	tests := []struct {
		name, wire string
		want       error
	}{
		{"a number that is cut", "\x00\x40\x59", errShort},
		{"a boolean that is cut", "\x01", errShort},
		{"a string that is cut", "\x02\x00\x09live", errShort},
		{"a long string that is cut", "\x0c\xff\xff\xff\xffa", errShort},
		{"an object without an end", "\x03\x00\x01a\x05", errShort},
		{"an array longer than the message", "\x0a\xff\xff\xff\xff\x05", errShort},
		{"objects nested too deep", deep, errDeep},
		{"too many values", many, errMany},
		{"a reference", "\x07\x00\x01", nil},
		{"AMF3", "\x11\x01", nil},
		{"an unknown marker", "\x7f", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read([]byte(tt.wire))
			if err == nil {
				t.Fatalf("read %#v without an error", got)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	values := []any{
		"connect", 1.0, Object{{"app", "live"}, {"nested", Object{{"ok", true}}}, {"list", []any{"a", 2.0, nil}}}, nil, false, long,
	}
	wire := Append(nil, values...)
	got, err := Read(wire)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, values) {
		t.Errorf("what was written reads as %#v", got)
	}
	want := []byte("\x08\x00\x00\x00\x01\x00\x01a\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09")
	if got := Append(nil, ECMAArray{{"a", 2}}); !bytes.Equal(got, want) {
		t.Errorf("an ECMA array is %x, want %x", got, want)
	}
}

func TestObjectGet(t *testing.T) {
	o := Object{{"code", "x"}, {"n", 3.0}}
	if o.Text("code") != "x" || o.Number("n") != 3 || o.Get("none") != nil || o.Text("n") != "" || o.Number("code") != 0 {
		t.Error("an object gives the wrong values")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(Append(nil, "connect", 1, Object{{"app", "live"}, {"fourCcList", []any{"av01"}}}, nil))
	f.Add(Append(nil, "@setDataFrame", "onMetaData", ECMAArray{{"width", 1280}, {"stereo", true}}))
	f.Fuzz(func(t *testing.T, message []byte) {
		values, err := Read(message)
		if err != nil {
			return
		}
		again, err := Read(Append(nil, values...))
		if err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		if len(again) != len(values) {
			t.Fatalf("%d values became %d", len(values), len(again))
		}
	})
}
