package chunk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	readBuffer = 16 << 10
	maxStreams = 64 // chunk streams of one connection; encoders use up to six
	// A delta that a type 3 chunk takes from a type 0 chunk is no delta when it
	// is longer than this, in ms.
	maxFirstDelta = 1000
)

var errNoHeader = errors.New("a chunk refers to an earlier header of its chunk stream, but there was none")

// Limits are what a reader accepts. They may be changed between two calls of Next.
type Limits struct {
	// Message returns the longest message of a type, in bytes.
	Message func(kind uint8) int
	// Pending is how many bytes of unfinished messages may be held.
	Pending int
	// Reserve is how many bytes the header of a message alone can make the
	// reader set aside. What arrives makes it set aside more.
	Reserve int
}

// Reader puts messages together. It handles Set Chunk Size and Abort itself.
type Reader struct {
	limits  Limits
	r       *bufio.Reader
	read    counter
	size    int
	streams map[uint32]*stream
	last    *stream // of the chunk before, it is mostly the same
	pending int     // bytes set aside for unfinished messages
	repeats repeats
}

// repeats is whether a peer repeats the extended timestamp in type 3 chunks.
// The specification wants it since 2012; older encoders do not do it.
type repeats uint8

const (
	unknown repeats = iota
	repeated
	omitted
)

// stream is the state of one chunk stream.
type stream struct {
	id        uint32
	known     bool // a header has come
	kind      uint8
	messageID uint32
	length    int
	timestamp uint32
	delta     uint32
	absolute  bool   // the last header was of type 0
	extended  bool   // the last header had an extended timestamp
	field     uint32 // it

	open    bool // within a message
	payload []byte
}

// counter counts what is read.
type counter struct {
	io.Reader
	n uint64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += uint64(n)
	return n, err
}

// NewReader returns a reader of what comes after the handshake.
func NewReader(from io.Reader, limits Limits) *Reader {
	r := &Reader{limits: limits, size: DefaultSize, streams: map[uint32]*stream{}}
	r.read.Reader = from
	r.r = bufio.NewReaderSize(&r.read, readBuffer)
	return r
}

// SetLimits changes the limits for messages that begin from now on.
func (r *Reader) SetLimits(l Limits) { r.limits = l }

// Received returns how many bytes have arrived.
func (r *Reader) Received() uint64 { return r.read.n }

// Next returns the next complete message. Errors: those of the connection, and
// what breaks the protocol or a limit; then the rest cannot be understood.
func (r *Reader) Next() (Message, error) {
	for {
		s, err := r.chunk()
		if err != nil {
			return Message{}, err
		}
		if s.open {
			continue
		}
		m := Message{Type: s.kind, StreamID: s.messageID, Timestamp: s.timestamp, Payload: s.payload}
		r.pending -= cap(s.payload)
		s.payload = nil
		switch m.Type {
		case SetChunkSize:
			err = r.setSize(m.Payload)
		case Abort:
			err = r.abort(m.Payload)
		default:
			return m, nil
		}
		if err != nil {
			return Message{}, err
		}
	}
}

// chunk reads one chunk and returns its stream, which is open if the message
// goes on.
func (r *Reader) chunk() (*stream, error) {
	kind, id, err := r.basicHeader()
	if err != nil {
		return nil, err
	}
	s, err := r.stream(id)
	if err != nil {
		return nil, err
	}
	if s.open && kind != 3 {
		return nil, fmt.Errorf("a message of type %d begins before the one before it has ended", s.kind)
	}
	if kind == 3 {
		err = r.again(s)
	} else {
		err = r.header(s, kind)
	}
	if err != nil {
		return nil, err
	}
	if !s.open {
		if limit := r.limits.Message(s.kind); s.length > limit {
			return nil, fmt.Errorf("a message of type %d with %d bytes, at most %d are taken", s.kind, s.length, limit)
		}
		s.open = true
	}
	return s, r.payload(s)
}

// basicHeader reads the chunk type and the chunk stream's id (5.3.1.1).
func (r *Reader) basicHeader() (kind uint8, id uint32, err error) {
	b, err := r.r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	kind, id = b>>6, uint32(b&0x3f)
	if id > 1 {
		return kind, id, nil
	}
	more, err := r.take(int(id) + 1)
	if err != nil {
		return 0, 0, err
	}
	if id == 0 {
		return kind, uint32(more[0]) + 64, nil
	}
	return kind, uint32(more[1])<<8 + uint32(more[0]) + 64, nil
}

// take returns the next n bytes, until the next read.
func (r *Reader) take(n int) ([]byte, error) {
	b, err := r.r.Peek(n)
	if err != nil {
		if errors.Is(err, io.EOF) && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	_, err = r.r.Discard(n)
	return b, err
}

func (r *Reader) stream(id uint32) (*stream, error) {
	if r.last != nil && r.last.id == id {
		return r.last, nil
	}
	s := r.streams[id]
	if s == nil {
		if len(r.streams) == maxStreams {
			return nil, fmt.Errorf("more than %d chunk streams", maxStreams)
		}
		s = &stream{id: id}
		r.streams[id] = s
	}
	r.last = s
	return s, nil
}

// header reads a message header of type 0, 1 or 2 (5.3.1.2). Some encoders begin
// a chunk stream with type 1: then time begins at 0.
func (r *Reader) header(s *stream, kind uint8) error {
	if kind == 2 && !s.known {
		return errNoHeader
	}
	b, err := r.take([...]int{11, 7, 3}[kind])
	if err != nil {
		return err
	}
	field := uint24(b)
	if kind < 2 {
		s.length, s.kind = int(uint24(b[3:])), b[6]
	}
	if kind == 0 {
		s.messageID = binary.LittleEndian.Uint32(b[7:])
	}
	if s.extended = field == extended; s.extended {
		if b, err = r.take(4); err != nil {
			return err
		}
		field = binary.BigEndian.Uint32(b)
	}
	s.known, s.field, s.delta = true, field, field
	if s.absolute = kind == 0; s.absolute {
		s.timestamp = field
	} else {
		s.timestamp += field
	}
	return nil
}

// again reads the header of a type 3 chunk: the next piece of a message, or a
// message with the header of the one before.
func (r *Reader) again(s *stream) error {
	if !s.known {
		return errNoHeader
	}
	if s.extended {
		if err := r.repeatedTimestamp(s); err != nil {
			return err
		}
	}
	if s.open {
		return nil
	}
	// After a type 0 chunk its timestamp is the delta (5.3.1.2.4). But librtmp
	// means the same time.
	if s.absolute && s.delta > maxFirstDelta {
		return nil
	}
	s.timestamp += s.delta
	return nil
}

// repeatedTimestamp skips the extended timestamp of a type 3 chunk, if the peer
// writes it there: the first such chunk shows.
func (r *Reader) repeatedTimestamp(s *stream) error {
	if r.repeats == unknown {
		b, err := r.r.Peek(4)
		if err != nil {
			return err
		}
		r.repeats = omitted
		if v := binary.BigEndian.Uint32(b); v == s.field || v == s.timestamp {
			r.repeats = repeated
		}
	}
	if r.repeats == omitted {
		return nil
	}
	_, err := r.take(4)
	return err
}

// payload reads the bytes of a chunk.
func (r *Reader) payload(s *stream) error {
	for left := min(r.size, s.length-len(s.payload)); left > 0; {
		if len(s.payload) == cap(s.payload) {
			if err := r.grow(s); err != nil {
				return err
			}
		}
		at := len(s.payload)
		n := min(left, cap(s.payload)-at)
		s.payload = s.payload[:at+n]
		if _, err := io.ReadFull(r.r, s.payload[at:]); err != nil {
			return err
		}
		left -= n
	}
	s.open = len(s.payload) < s.length
	return nil
}

// grow makes room for more of a message. The room follows what has come, so
// that a header alone cannot claim much.
func (r *Reader) grow(s *stream) error {
	room := min(s.length, max(r.limits.Reserve, 2*len(s.payload)))
	r.pending += room - cap(s.payload)
	if r.pending > r.limits.Pending {
		return fmt.Errorf("more than %d bytes of unfinished messages", r.limits.Pending)
	}
	bigger := make([]byte, len(s.payload), room)
	copy(bigger, s.payload)
	s.payload = bigger
	return nil
}

func (r *Reader) setSize(payload []byte) error {
	if len(payload) < 4 {
		return errors.New("a Set Chunk Size without a size")
	}
	size := binary.BigEndian.Uint32(payload)
	if size == 0 || size>>31 != 0 {
		return fmt.Errorf("a chunk size of %#x", size)
	}
	r.size = int(min(size, MaxLength))
	return nil
}

// abort forgets the unfinished message of a chunk stream (5.4.2).
func (r *Reader) abort(payload []byte) error {
	if len(payload) < 4 {
		return errors.New("an Abort without a chunk stream")
	}
	if s := r.streams[binary.BigEndian.Uint32(payload)]; s != nil && s.open {
		r.pending -= cap(s.payload)
		s.open, s.payload = false, nil
	}
	return nil
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
