package cmaf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits on what is read, far above what this package writes.
const (
	maxInit        = 64 << 10  // bytes of an init segment
	maxMoof        = 4 << 20   // bytes of a moof
	maxSegment     = 256 << 20 // bytes of a segment
	maxFragments   = 10_000    // in a segment
	maxRunSamples  = 200_000   // of a track in a fragment
	maxSamples     = 2_000_000 // in a segment
	maxBoxesInABox = 256
)

// SampleInfo is a stored sample without its bytes.
type SampleInfo struct {
	Offset            int64 // of its first byte in the segment
	Size              uint32
	Duration          uint32 // in the track's timescale
	CompositionOffset int32
	Key               bool
}

// RunInfo is the samples of one track in a stored fragment.
type RunInfo struct {
	BaseTime uint64 // in the track's timescale
	Samples  []SampleInfo
}

// Duration returns the length of the run in the track's timescale.
func (r *RunInfo) Duration() uint64 {
	var d uint64
	for i := range r.Samples {
		d += uint64(r.Samples[i].Duration)
	}
	return d
}

// FragmentInfo is a stored fragment. A track without samples is nil.
type FragmentInfo struct {
	Sequence     uint32
	Video, Audio *RunInfo
	Events       []EventMessage // that stand before it
}

// ReadSegment lists the fragments of a segment that this package wrote, with
// the events before them. It reads the headers alone and seeks over the media.
// A segment cut off in the middle of a fragment is an error.
func ReadSegment(r io.ReadSeeker) ([]FragmentInfo, error) {
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if end > maxSegment {
		return nil, fmt.Errorf("the segment has %d bytes, at most %d are read", end, maxSegment)
	}
	l := segmentReader{r: r, end: end}
	for at := int64(0); at < end; {
		kind, header, size, err := boxAt(r, at, end)
		if err != nil {
			return nil, err
		}
		if err := l.box(kind, at, size-header); err != nil {
			return nil, fmt.Errorf("the %s at %d: %w", kind, at, err)
		}
		at += size
	}
	return l.fragments, nil
}

// segmentReader collects what ReadSegment finds.
type segmentReader struct {
	r         io.Reader
	end       int64
	moof      []byte // the newest, its memory is used again
	events    []EventMessage
	fragments []FragmentInfo
	samples   int // in them
}

// box reads the contents of a box that stands at a place.
func (l *segmentReader) box(kind string, at, size int64) error {
	switch kind {
	case "emsg":
		return l.event(size)
	case "moov", "ftyp":
		return errors.New("this is an init segment or a whole file, not a media segment")
	case "moof":
	default:
		return nil
	}
	if size > maxMoof {
		return fmt.Errorf("it has %d bytes, at most %d are read", size, maxMoof)
	}
	if len(l.fragments) >= maxFragments {
		return fmt.Errorf("the segment has more than %d fragments", maxFragments)
	}
	l.moof = slices.Grow(l.moof[:0], int(size))[:size]
	if _, err := io.ReadFull(l.r, l.moof); err != nil {
		return err
	}
	f, err := parseMoof(l.moof, at, l.end, ownTracks())
	if err != nil {
		return err
	}
	for _, run := range []*RunInfo{f.Video, f.Audio} {
		if run != nil {
			l.samples += len(run.Samples)
		}
	}
	if l.samples > maxSamples {
		return fmt.Errorf("the segment has more than %d samples", maxSamples)
	}
	f.Events, l.events = l.events, nil
	l.fragments = append(l.fragments, f)
	return nil
}

func (l *segmentReader) event(size int64) error {
	if size > maxEvent || len(l.events) >= maxFragmentEvents {
		return fmt.Errorf("event %d before a fragment has %d bytes; at most %d of %d are read",
			len(l.events)+1, size, maxFragmentEvents, maxEvent)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(l.r, body); err != nil {
		return err
	}
	e, ok, err := parseEvent(body)
	if ok {
		l.events = append(l.events, e)
	}
	return err
}

// boxAt reads the header of the box at a place and leaves r behind it.
func boxAt(r io.ReadSeeker, at, end int64) (kind string, header, size int64, err error) {
	var h [16]byte
	if _, err = r.Seek(at, io.SeekStart); err != nil {
		return "", 0, 0, err
	}
	if _, err = io.ReadFull(r, h[:8]); err != nil {
		return "", 0, 0, fmt.Errorf("read the box at %d: %w", at, err)
	}
	header, size = 8, int64(binary.BigEndian.Uint32(h[:]))
	if size == 1 {
		if _, err = io.ReadFull(r, h[8:]); err != nil {
			return "", 0, 0, fmt.Errorf("read the box at %d: %w", at, err)
		}
		header, size = 16, int64(binary.BigEndian.Uint64(h[8:])&(1<<63-1))
	}
	if size < header || size > end-at {
		return "", 0, 0, fmt.Errorf("the box at %d says it has %d bytes, %d are left", at, size, end-at)
	}
	return string(h[4:8]), header, size, nil
}

// box is a box in memory: its kind and what it contains.
type box struct {
	kind string
	body []byte
}

// children splits the contents of a container box.
func children(body []byte) ([]box, error) {
	var boxes []box
	for len(body) > 0 {
		if len(body) < 8 {
			return nil, errShort
		}
		size := uint64(binary.BigEndian.Uint32(body))
		if size < 8 || size > uint64(len(body)) {
			return nil, fmt.Errorf("a box says it has %d bytes, %d are left", size, len(body))
		}
		if len(boxes) >= maxBoxesInABox {
			return nil, fmt.Errorf("a box has more than %d boxes in it", maxBoxesInABox)
		}
		boxes = append(boxes, box{kind: string(body[4:8]), body: body[8:size]})
		body = body[size:]
	}
	return boxes, nil
}

// find returns the first box of a kind in a container, nil when there is none.
func find(body []byte, path ...string) ([]byte, error) {
	for _, kind := range path {
		boxes, err := children(body)
		if err != nil {
			return nil, err
		}
		body = nil
		for _, b := range boxes {
			if b.kind == kind {
				body = b.body
				break
			}
		}
		if body == nil {
			return nil, fmt.Errorf("it has no %s", kind)
		}
	}
	return body, nil
}

// fields reads big-endian numbers; the first failure sticks and reads give 0.
type fields struct {
	b   []byte
	err error
}

func (f *fields) take(n int) []byte {
	if f.err == nil && n > len(f.b) {
		f.err = errShort
	}
	if f.err != nil {
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) u8() uint8 {
	if v := f.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (f *fields) u16() uint16 {
	if v := f.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (f *fields) u32() uint32 {
	if v := f.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (f *fields) u64() uint64 {
	if v := f.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}
