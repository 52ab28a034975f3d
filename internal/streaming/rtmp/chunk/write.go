package chunk

import "encoding/binary"

// Writer cuts messages into chunks. It only appends to buffers: sending them in
// the order they were made is the caller's.
type Writer struct {
	size int
}

// NewWriter returns a writer with the default chunk size.
func NewWriter() *Writer { return &Writer{size: DefaultSize} }

// SetSize changes the chunk size and appends the message that says so.
func (w *Writer) SetSize(dst []byte, size int) []byte {
	dst = w.Append(dst, 2, Message{Type: SetChunkSize, Payload: binary.BigEndian.AppendUint32(nil, uint32(size))})
	w.size = size
	return dst
}

// Append appends a message with a whole header (type 0) on a chunk stream, whose
// id is 2 to 63: 2 is for protocol control.
func (w *Writer) Append(dst []byte, id uint8, m Message) []byte {
	dst = append(dst, id&0x3f)
	dst = appendUint24(dst, min(m.Timestamp, extended))
	dst = appendUint24(dst, uint32(len(m.Payload)))
	dst = append(dst, m.Type)
	dst = binary.LittleEndian.AppendUint32(dst, m.StreamID)
	dst = w.appendExtended(dst, m.Timestamp)
	left := m.Payload
	for len(left) > w.size {
		dst = append(dst, left[:w.size]...)
		left = left[w.size:]
		dst = append(dst, 0xc0|id&0x3f)
		dst = w.appendExtended(dst, m.Timestamp)
	}
	return append(dst, left...)
}

func (w *Writer) appendExtended(dst []byte, timestamp uint32) []byte {
	if timestamp < extended {
		return dst
	}
	return binary.BigEndian.AppendUint32(dst, timestamp)
}

func appendUint24(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>16), byte(v>>8), byte(v))
}
