package cmaf

import (
	"bytes"
	"errors"
	"strings"
)

// Limits on the events that are read, far above what is written.
const (
	maxEvent          = 64 << 10 // bytes of an emsg
	maxFragmentEvents = 256
)

// EventMessage is a timed event that travels with the media, an emsg box of
// version 1 (23009-1, 5.10.3.3). Players hand it to their page when the
// presentation gets to its time.
type EventMessage struct {
	Scheme, Value    string // no NUL in them
	Timescale        uint32 // units per second of the times
	PresentationTime uint64 // on the timeline of the segment's tfdt
	Duration         uint32 // 0xffffffff: not known
	ID               uint32 // a repeated event has the same
	Data             []byte
}

// ID3Scheme is that of events whose Data is an ID3v2 tag ("Carriage of ID3
// Timed Metadata in CMAF").
const ID3Scheme = "https://aomedia.org/emsg/ID3"

// AppendTo appends the emsg to dst. It belongs before a moof.
func (e *EventMessage) AppendTo(dst []byte) []byte {
	w := boxWriter{b: dst}
	at := w.openFull("emsg", 1, 0)
	w.u32(e.Timescale)
	w.u64(e.PresentationTime)
	w.u32(e.Duration)
	w.u32(e.ID)
	for _, s := range []string{e.Scheme, e.Value} {
		s, _, _ = strings.Cut(s, "\x00") // what follows could not be told from the next field
		w.text(s)
		w.u8(0)
	}
	w.bytes(e.Data)
	w.close(at)
	return w.b
}

// Size returns the bytes that AppendTo appends, at most.
func (e *EventMessage) Size() int {
	return 12 + 20 + len(e.Scheme) + 1 + len(e.Value) + 1 + len(e.Data)
}

// parseEvent reads the contents of an emsg and keeps its bytes. One of version
// 0, whose time counts from the segment, is not known: ok is false.
func parseEvent(body []byte) (e EventMessage, ok bool, err error) {
	r := fields{b: body}
	if version := r.u32() >> 24; version != 1 {
		return EventMessage{}, false, r.err
	}
	e = EventMessage{Timescale: r.u32(), PresentationTime: r.u64(), Duration: r.u32(), ID: r.u32()}
	e.Scheme, e.Value = r.text(), r.text()
	e.Data = r.b
	switch {
	case r.err != nil:
		return EventMessage{}, false, r.err
	case e.Timescale == 0:
		return EventMessage{}, false, errors.New("the timescale is 0")
	}
	return e, true, nil
}

// text reads a string that ends with a NUL.
func (f *fields) text() string {
	n := bytes.IndexByte(f.b, 0)
	if n < 0 && f.err == nil {
		f.err = errors.New("a string has no end")
	}
	s := f.take(n + 1)
	if s == nil {
		return ""
	}
	return string(s[:n])
}
