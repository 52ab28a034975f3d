package transcode

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits on what is read. ffmpeg writes far less.
const (
	nutMaxHeader = 64 << 10 // bytes of a header
	nutMaxFrame  = 16 << 20 // bytes of a frame
	nutMaxElided = 256      // bytes of an elided header
)

// nutTrack is what the headers say of the one stream.
type nutTrack struct {
	class      int    // nutVideo or nutAudio
	private    []byte // what the decoder needs
	num, denom int64  // the time base: num/denom seconds
}

// nutFrame is a frame; its data is valid until the next one is read.
type nutFrame struct {
	pts  int64 // in ticks of the time base
	key  bool
	data []byte
}

// nutReader reads a NUT stream with one track. Checksums are not looked at: the
// bytes come through a pipe from our own child.
type nutReader struct {
	r        *bufio.Reader
	track    nutTrack
	codes    [256]nutCode
	elided   [][]byte
	bases    [][2]int64
	shift    uint
	lastPTS  int64
	haveMain bool
	ready    bool // the track is known
	buf      []byte
}

// nutCode is a row of the frame code table.
type nutCode struct {
	flags            uint64
	pts              int64
	stream           uint64
	sizeMul, sizeLSB uint64
	reserved         uint64
	header           uint64
}

var (
	errNUTNumber = errors.New("NUT: a number of more than 63 bits")
	errNUTOrder  = errors.New("NUT: a frame before the headers")
)

// newNUTReader reads the identification of a stream.
func newNUTReader(r io.Reader) (*nutReader, error) {
	n := &nutReader{r: bufio.NewReaderSize(r, 64<<10)}
	var id [len(nutID)]byte
	if _, err := io.ReadFull(n.r, id[:]); err != nil {
		return nil, err
	}
	if string(id[:]) != nutID {
		return nil, errors.New("NUT: the stream does not begin with its identification")
	}
	return n, nil
}

// next returns the next frame. io.EOF is a good end.
func (n *nutReader) next() (nutFrame, error) {
	for {
		c, err := n.r.ReadByte()
		if err != nil {
			return nutFrame{}, err
		}
		if c == 'N' {
			if err := n.packet(); err != nil {
				return nutFrame{}, noEOF(err)
			}
			continue
		}
		if !n.ready {
			return nutFrame{}, errNUTOrder
		}
		f, err := n.frame(n.codes[c])
		return f, noEOF(err)
	}
}

// noEOF makes an end inside of something an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// packet reads a header after its first byte.
func (n *nutReader) packet() error {
	var code [8]byte
	code[0] = 'N'
	if _, err := io.ReadFull(n.r, code[1:]); err != nil {
		return err
	}
	size, err := n.varint()
	if err != nil {
		return err
	}
	if size > 4096 { // the checksum of what was read so far
		if _, err := n.r.Discard(4); err != nil {
			return err
		}
	}
	kind := binary.BigEndian.Uint64(code[:])
	if kind == nutIndex || kind == nutInfo {
		if size > nutMaxFrame {
			return fmt.Errorf("NUT: a header of %d bytes", size)
		}
		_, err := n.r.Discard(int(size))
		return err
	}
	if size < 4 || size > nutMaxHeader {
		return fmt.Errorf("NUT: a header of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(n.r, body); err != nil {
		return err
	}
	h := &nutHeader{b: body[:size-4]}
	switch kind {
	case nutMain:
		n.mainHeader(h)
	case nutStream:
		n.streamHeader(h)
	case nutSyncpoint:
		n.syncpoint(h)
	default:
		return fmt.Errorf("NUT: an unknown start code %#x", kind)
	}
	return h.err
}

func (n *nutReader) mainHeader(h *nutHeader) {
	if n.haveMain { // repeated for those who seek
		return
	}
	if version := h.v(); version != 3 {
		h.fail("version %d; 3 is read", version)
	}
	if streams := h.v(); streams != 1 {
		h.fail("%d streams, not 1", streams)
	}
	h.v() // max_distance
	for range h.count(16) {
		base := [2]int64{int64(h.v()), int64(h.v())}
		if base[0] <= 0 || base[1] <= 0 || base[0] > math.MaxInt32 || base[1] > math.MaxInt32 {
			h.fail("a time base of %d/%d", base[0], base[1])
		}
		n.bases = append(n.bases, base)
	}
	n.frameCodes(h)
	n.elided = [][]byte{nil}
	for range h.count(127) {
		b := h.bytes()
		if len(b) > nutMaxElided {
			h.fail("an elided header of %d bytes", len(b))
		}
		n.elided = append(n.elided, b)
	}
	n.haveMain = h.err == nil
}

// frameCodes reads the frame code table: rows that say how many codes they are
// for, and only the fields that differ from the row before.
func (n *nutReader) frameCodes(h *nutHeader) {
	row := nutCode{sizeMul: 1}
	for i := 0; i < len(n.codes) && h.err == nil; {
		row.flags = h.v()
		fields := h.v()
		row.sizeLSB, row.reserved = 0, 0
		var count uint64
		haveCount := fields > 5
		for f := range min(fields, 64) {
			switch f {
			case 0:
				row.pts = h.s()
			case 1:
				row.sizeMul = h.v()
			case 2:
				row.stream = h.v()
			case 3:
				row.sizeLSB = h.v()
			case 4:
				row.reserved = h.v()
			case 5:
				count = h.v()
			case 7:
				row.header = h.v()
			default:
				h.v() // match_time_delta, and what is still to be defined
			}
		}
		if !haveCount {
			count = row.sizeMul - row.sizeLSB
		}
		if count == 0 || count > uint64(len(n.codes)-i) {
			h.fail("%d frame codes from %d on", count, i)
			return
		}
		for lsb := row.sizeLSB; count > 0 && i < len(n.codes); i++ {
			if i == 'N' {
				n.codes[i].flags = nutFlagInvalid
				continue
			}
			n.codes[i] = row
			n.codes[i].sizeLSB = lsb
			lsb, count = lsb+1, count-1
		}
	}
}

func (n *nutReader) streamHeader(h *nutHeader) {
	if !n.haveMain || n.ready {
		return
	}
	if id := h.v(); id != 0 {
		h.fail("stream %d of 1", id)
	}
	n.track.class = int(h.v())
	h.bytes() // the codec's four characters: we have asked for it
	base := h.v()
	n.shift = uint(h.v())
	h.v() // max_pts_distance
	h.v() // decode_delay
	h.v() // stream_flags
	n.track.private = append([]byte(nil), h.bytes()...)
	if base >= uint64(len(n.bases)) || n.shift >= 16 {
		h.fail("time base %d, shift %d", base, n.shift)
		return
	}
	n.track.num, n.track.denom = n.bases[base][0], n.bases[base][1]
	n.ready = h.err == nil
}

// syncpoint sets the time that the next frame's is relative to.
func (n *nutReader) syncpoint(h *nutHeader) {
	t := h.v()
	if !n.ready || h.err != nil {
		return
	}
	base := n.bases[t%uint64(len(n.bases))]
	ticks := int64(t / uint64(len(n.bases)))
	if ticks > math.MaxInt64/1024 {
		h.fail("time %d", ticks)
		return
	}
	if base == [2]int64{n.track.num, n.track.denom} {
		n.lastPTS = ticks
		return
	}
	from := float64(base[0]) * float64(n.track.denom) / (float64(base[1]) * float64(n.track.num))
	n.lastPTS = int64(float64(ticks) * from)
}

// frame reads a frame after its code.
func (n *nutReader) frame(c nutCode) (nutFrame, error) {
	h := &nutHeader{r: n}
	flags := c.flags
	if flags&nutFlagCoded != 0 {
		flags ^= h.v()
	}
	if flags&nutFlagInvalid != 0 {
		return nutFrame{}, errors.New("NUT: an invalid frame code")
	}
	if flags&nutFlagStreamID != 0 {
		c.stream = h.v()
	}
	pts := n.lastPTS + c.pts
	if flags&nutFlagCodedPTS != 0 {
		pts = n.fullPTS(h.v())
	}
	size := c.sizeLSB
	if flags&nutFlagSizeMSB != 0 {
		size += c.sizeMul * min(h.v(), nutMaxFrame+1)
	}
	if flags&nutFlagMatchTime != 0 {
		h.v()
	}
	if flags&nutFlagHeaderIdx != 0 {
		c.header = h.v()
	}
	if flags&nutFlagReserved != 0 {
		c.reserved = h.v()
	}
	for range min(c.reserved, 64) {
		h.v()
	}
	if flags&nutFlagChecksum != 0 && h.err == nil {
		_, h.err = n.r.Discard(4)
	}
	switch {
	case h.err != nil:
		return nutFrame{}, h.err
	case c.stream != 0 || c.header >= uint64(len(n.elided)) || flags&nutFlagSideData != 0:
		return nutFrame{}, fmt.Errorf("NUT: a frame of stream %d with header %d and flags %#x", c.stream, c.header, flags)
	case size > nutMaxFrame:
		return nutFrame{}, fmt.Errorf("NUT: a frame of %d bytes", size)
	}
	n.lastPTS = pts
	return n.data(pts, flags&nutFlagKey != 0, n.elided[c.header], int(size))
}

// data reads the bytes of a frame; header stands for its first ones.
func (n *nutReader) data(pts int64, key bool, header []byte, size int) (nutFrame, error) {
	if size < len(header) {
		return nutFrame{}, fmt.Errorf("NUT: a frame of %d bytes that begins with %d", size, len(header))
	}
	if cap(n.buf) < size {
		n.buf = make([]byte, size+size/2)
	}
	n.buf = n.buf[:size]
	copy(n.buf, header)
	_, err := io.ReadFull(n.r, n.buf[len(header):])
	return nutFrame{pts: pts, key: key, data: n.buf}, err
}

// fullPTS makes a time of what is coded: the low bits of one near the last, or
// a whole one.
func (n *nutReader) fullPTS(coded uint64) int64 {
	if coded >= 1<<n.shift {
		return int64(coded - 1<<n.shift)
	}
	mask := int64(1)<<n.shift - 1
	delta := n.lastPTS - mask/2
	return (int64(coded)-delta)&mask + delta
}

// varint reads a number from the stream.
func (n *nutReader) varint() (uint64, error) {
	var v uint64
	for range 9 {
		c, err := n.r.ReadByte()
		if err != nil {
			return 0, err
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, errNUTNumber
}

// nutHeader reads the fields of a header in memory or, with r, of a frame's
// header in the stream. After an error all is 0.
type nutHeader struct {
	b   []byte
	r   *nutReader
	err error
}

func (h *nutHeader) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf("NUT: "+format, args...)
	}
}

// v reads a number of up to 63 bits.
func (h *nutHeader) v() uint64 {
	if h.err != nil {
		return 0
	}
	if h.r != nil {
		var v uint64
		v, h.err = h.r.varint()
		return v
	}
	var v uint64
	for i, c := range h.b {
		if i == 9 {
			break
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			h.b = h.b[i+1:]
			return v
		}
	}
	h.fail("a header ends inside of a number")
	return 0
}

// s reads a number with sign: odd ones are positive.
func (h *nutHeader) s() int64 {
	v := h.v() + 1
	if v&1 != 0 {
		return -int64(v >> 1)
	}
	return int64(v >> 1)
}

// count reads a number of things, at most limit.
func (h *nutHeader) count(limit uint64) uint64 {
	n := h.v()
	if n > limit {
		h.fail("%d of what there may be %d", n, limit)
		return 0
	}
	return n
}

// bytes reads bytes after their number; they share the header's.
func (h *nutHeader) bytes() []byte {
	size := h.v()
	if size > uint64(len(h.b)) {
		h.fail("%d bytes in a header with %d left", size, len(h.b))
		return nil
	}
	b := h.b[:size]
	h.b = h.b[size:]
	return b
}
