package cmaf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// DefaultMaxBox is the most bytes of a box that a Reader takes into memory,
// unless told otherwise.
const DefaultMaxBox = 64 << 20

// Reader takes a fragmented MP4 apart while it is being written, as ffmpeg does
// to a pipe with -movflags empty_moov+default_base_moof+frag_every_frame, with
// or without delay_moov; AV1 needs delay_moov, since ffmpeg learns its sequence
// header from the first packet. It holds one fragment at a time. It is for one
// goroutine; to end a read that blocks, close what it reads from.
type Reader struct {
	// MaxBox is the most bytes of a box that is read, DefaultMaxBox from
	// NewReader. A moov or moof is held to it too; boxes that do not matter are
	// passed over whatever their size.
	MaxBox int64

	src   *bufio.Reader
	at    int64 // bytes read
	box   int64 // where the newest box stands
	movie *movie
	moof  []byte // the newest, its memory is used again
	err   error  // sticks
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{MaxBox: DefaultMaxBox, src: bufio.NewReaderSize(r, 64<<10)}
}

// Init returns the tracks. It reads up to the end of the moov, which ffmpeg
// writes at once, or with delay_moov after the first packets of each track.
func (r *Reader) Init() (Init, error) {
	if r.movie != nil {
		return r.movie.init, nil
	}
	for r.err == nil && r.movie == nil {
		kind, size, err := r.header()
		switch {
		case errors.Is(err, io.EOF):
			r.err = fmt.Errorf("the stream ends before its moov: %w", io.ErrUnexpectedEOF)
		case err != nil:
			r.err = err
		case kind == "moof" || kind == "mdat":
			r.err = fmt.Errorf("the stream has a %s before its moov", kind)
		case kind == "moov":
			r.err = r.readMovie(size)
		default:
			r.err = r.skip(size)
		}
	}
	if r.err != nil {
		return Init{}, r.err
	}
	return r.movie.init, nil
}

func (r *Reader) readMovie(size int64) error {
	body, err := r.body(nil, size)
	if err != nil {
		return fmt.Errorf("moov: %w", err)
	}
	m, err := parseMovie(body)
	if err != nil {
		return err
	}
	r.movie = &m
	return nil
}

// Shift returns what the edit lists add to the times of the fragments to give
// those of the presentation: with delay_moov, ffmpeg tells there when a track
// starts (rounded to a millisecond), and what of it is priming or reordering.
// Units: 90 kHz, and the audio's timescale. Init must have been called.
func (r *Reader) Shift() (video, audio int64) {
	if r.movie == nil {
		return 0, 0
	}
	for _, t := range r.movie.tracks {
		target := r.timescale(t)
		shift := scale(int64(min(t.delay, math.MaxInt32)), int64(target), int64(r.movie.timescale)) -
			scale(min(t.mediaTime, math.MaxInt32), int64(target), int64(t.timescale))
		if t.video {
			video = shift
		} else {
			audio = shift
		}
	}
	return video, audio
}

// timescale returns the units per second in which the times of a track are given.
func (r *Reader) timescale(t track) uint32 {
	if t.video {
		return VideoTimescale
	}
	return r.movie.init.Audio.Timescale()
}

// Next returns the next fragment with samples as soon as it has been written.
// Its times are in 90 kHz and the audio's timescale, whatever the file counts
// in; a BaseTime is to be taken as an int64, because with frag_discont ffmpeg
// lets priming start before 0. Its bytes are the caller's. The end of a stream is io.EOF, also without a
// fragment; a stream cut off in a box gives io.ErrUnexpectedEOF. Errors stick.
func (r *Reader) Next() (Fragment, error) {
	if _, err := r.Init(); err != nil {
		return Fragment{}, err
	}
	if r.err != nil {
		return Fragment{}, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err = err
	}
	return f, err
}

func (r *Reader) next() (Fragment, error) {
	var info FragmentInfo // of the moof whose mdat is still to come
	for {
		pending := info.Video != nil || info.Audio != nil
		kind, size, err := r.header()
		switch {
		case errors.Is(err, io.EOF) && pending:
			return Fragment{}, fmt.Errorf("the stream ends between a moof and its mdat: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return Fragment{}, err
		case kind == "moof" && pending:
			return Fragment{}, errors.New("the stream has a moof without its mdat")
		case kind == "moov":
			return Fragment{}, errors.New("the stream has a second moov")
		case kind == "moof":
			info, err = r.readMoof(size)
		case kind == "mdat" && pending:
			return r.readMedia(info, size)
		default:
			err = r.skip(size)
		}
		if err != nil {
			return Fragment{}, fmt.Errorf("%s: %w", kind, err)
		}
	}
}

// readMoof reads a moof whose header has been read.
func (r *Reader) readMoof(size int64) (FragmentInfo, error) {
	var err error
	if r.moof, err = r.body(r.moof, size); err != nil {
		return FragmentInfo{}, err
	}
	return parseMoof(r.moof, r.box, math.MaxInt64, r.movie.tracks)
}

// readMedia reads an mdat and gives the samples their bytes in it.
func (r *Reader) readMedia(info FragmentInfo, size int64) (Fragment, error) {
	start := r.at
	data, err := r.body(nil, size)
	if err != nil {
		return Fragment{}, fmt.Errorf("mdat: %w", err)
	}
	f := Fragment{Sequence: info.Sequence}
	for _, t := range r.movie.tracks {
		stored, slot := info.Audio, &f.Audio
		if t.video {
			stored, slot = info.Video, &f.Video
		}
		if stored == nil {
			continue
		}
		if *slot, err = stored.load(data, start, int64(t.timescale), int64(r.timescale(t))); err != nil {
			return Fragment{}, err
		}
	}
	return f, nil
}

// load makes a run of a stored one whose bytes are in data, which stands at a
// place of the file. Times go from one timescale to another; starts and ends
// are rounded, so that errors do not add up.
func (r *RunInfo) load(data []byte, at, from, to int64) (*Run, error) {
	const most = math.MaxInt64 / 4
	time := int64(r.BaseTime)
	if time > most || time < -most || r.Duration() > most ||
		!fits(max(time, -time)+int64(r.Duration()), to, from) {
		return nil, fmt.Errorf("a time of %d/%d s cannot be right", time, from)
	}
	start := scale(time, to, from)
	run := &Run{BaseTime: uint64(start), Samples: make([]Sample, len(r.Samples))}
	for i := range r.Samples {
		s := &r.Samples[i]
		offset := s.Offset - at
		if offset < 0 || offset+int64(s.Size) > int64(len(data)) {
			return nil, fmt.Errorf("sample %d lies outside the mdat that follows", i)
		}
		time += int64(s.Duration)
		end := scale(time, to, from)
		composition := scale(int64(s.CompositionOffset), to, from)
		if end-start > math.MaxUint32 || composition != int64(int32(composition)) {
			return nil, fmt.Errorf("sample %d lasts %d/%d s, which cannot be right", i, s.Duration, from)
		}
		run.Samples[i] = Sample{
			Duration: uint32(end - start), CompositionOffset: int32(composition), Key: s.Key,
			Data: data[offset : offset+int64(s.Size) : offset+int64(s.Size)],
		}
		start = end
	}
	return run, nil
}

// header reads the header of the next box and returns the bytes of its
// contents. io.EOF means that there is none.
func (r *Reader) header() (kind string, size int64, err error) {
	var h [16]byte
	r.box = r.at
	n, err := io.ReadFull(r.src, h[:8])
	r.at += int64(n)
	if err != nil {
		return "", 0, err
	}
	kind, size = string(h[4:8]), int64(binary.BigEndian.Uint32(h[:]))
	header := int64(8)
	if size == 1 {
		n, err = io.ReadFull(r.src, h[8:])
		r.at += int64(n)
		if err != nil {
			return "", 0, noEOF(err)
		}
		header, size = 16, int64(binary.BigEndian.Uint64(h[8:])&math.MaxInt64)
	}
	if size < header {
		return "", 0, fmt.Errorf("the box at %d says it has %d bytes", r.box, size)
	}
	return kind, size - header, nil
}

// body reads the contents of a box, into buf if they fit. Memory grows with
// what comes, not with what the box says.
func (r *Reader) body(buf []byte, size int64) ([]byte, error) {
	const trusted = 1 << 20
	if size > r.MaxBox {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", size, r.MaxBox)
	}
	if size <= max(trusted, int64(cap(buf))) {
		if int64(cap(buf)) < size {
			buf = make([]byte, size)
		}
		n, err := io.ReadFull(r.src, buf[:size])
		r.at += int64(n)
		return buf[:size], noEOF(err)
	}
	grown := bytes.NewBuffer(make([]byte, 0, trusted))
	n, err := io.CopyN(grown, r.src, size)
	r.at += n
	return grown.Bytes(), noEOF(err)
}

// skip passes over the contents of a box.
func (r *Reader) skip(size int64) error {
	n, err := io.CopyN(io.Discard, r.src, size)
	r.at += n
	return noEOF(err)
}

// noEOF turns the end of a stream into one that came too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
