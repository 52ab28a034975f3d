package cmaf

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func testEvents() []EventMessage {
	return []EventMessage{
		{Scheme: ID3Scheme, Timescale: VideoTimescale, PresentationTime: 1 << 40, Duration: 0xffffffff, ID: 7, Data: []byte("ID3\x04\x00")},
		{Scheme: "urn:x", Value: "1", Timescale: 1000, PresentationTime: 9, ID: 8, Data: []byte{}},
	}
}

func TestEventRoundTrip(t *testing.T) {
	events := testEvents()
	f := Fragment{Sequence: 1, Video: &Run{Samples: []Sample{{Duration: 3000, Key: true, Data: []byte("I")}}}}
	data := AppendSegmentType(nil)
	for i := range events {
		before := len(data)
		if data = events[i].AppendTo(data); len(data)-before != events[i].Size() {
			t.Errorf("event %d has %d bytes, Size says %d", i, len(data)-before, events[i].Size())
		}
	}
	data = f.AppendTo(f.AppendTo(data))
	infos, err := ReadSegment(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 2 || !reflect.DeepEqual(infos[0].Events, events) || infos[1].Events != nil {
		t.Errorf("%+v became %+v", events, infos)
	}
	compareRun(t, "video", f.Video, infos[0].Video, data)
}

func TestEventsAreRefused(t *testing.T) {
	emsg := func(version uint8, body string) []byte {
		w := boxWriter{}
		at := w.openFull("emsg", version, 0)
		w.text(body)
		w.close(at)
		return w.b
	}
	event := testEvents()[0]
	large := EventMessage{Timescale: 1, Data: make([]byte, maxEvent)}
	numbers := "\x00\x00\x00\x01" + strings.Repeat("\x00", 16)
	for _, test := range []struct {
		name, says string
		data       []byte
	}{
		{"empty", "too early", emsg(1, "")},
		{"no end of the scheme", "no end", emsg(1, numbers+"urn:x")},
		{"no end of the value", "no end", emsg(1, numbers+"urn:x\x00")},
		{"no timescale", "timescale is 0", emsg(1, strings.Repeat("\x00", 22))},
		{"large", "at most", large.AppendTo(nil)},
		{"many", "at most", bytes.Repeat(event.AppendTo(nil), maxFragmentEvents+1)},
	} {
		_, err := ReadSegment(bytes.NewReader(test.data))
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "the emsg at ") {
			t.Errorf("%s: the error is %v, it should say %q", test.name, err, test.says)
		}
	}
	if _, err := ReadSegment(bytes.NewReader(emsg(0, "urn:x\x00\x00"))); err != nil {
		t.Errorf("version 0 is not passed over: %v", err)
	}
	cut := EventMessage{Scheme: "a\x00b", Timescale: 1}
	if e, ok, err := parseEvent(cut.AppendTo(nil)[8:]); !ok || err != nil || e.Scheme != "a" || e.Value != "" {
		t.Errorf("a NUL makes %+v, %v", e, err)
	}
}
