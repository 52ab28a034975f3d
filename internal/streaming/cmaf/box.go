package cmaf

import "encoding/binary"

// boxWriter appends boxes (14496-12, 4.2) to a buffer. open starts a box and
// returns its place for close, which fills in the size.
type boxWriter struct{ b []byte }

func (w *boxWriter) open(kind string) int {
	at := len(w.b)
	w.b = append(w.b, 0, 0, 0, 0, kind[0], kind[1], kind[2], kind[3])
	return at
}

// openFull starts a FullBox with its version and 24 bits of flags.
func (w *boxWriter) openFull(kind string, version uint8, flags uint32) int {
	at := w.open(kind)
	w.u32(uint32(version)<<24 | flags&0xffffff)
	return at
}

func (w *boxWriter) close(at int) {
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at))
}

func (w *boxWriter) u8(v ...uint8)          { w.b = append(w.b, v...) }
func (w *boxWriter) u16(v uint16)           { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *boxWriter) u32(v uint32)           { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *boxWriter) u64(v uint64)           { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *boxWriter) bytes(v []byte)         { w.b = append(w.b, v...) }
func (w *boxWriter) text(v string)          { w.b = append(w.b, v...) }
func (w *boxWriter) put32(at int, v uint32) { binary.BigEndian.PutUint32(w.b[at:], v) }

func (w *boxWriter) zeros(n int) {
	for range n {
		w.b = append(w.b, 0)
	}
}
