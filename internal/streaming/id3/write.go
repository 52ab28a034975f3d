package id3

import "github.com/serverlessvideo/serverlessvideo/internal/errs"

const (
	headerSize   = 10 // of a tag and of a frame alike
	utf8Encoding = "\x03"
	frameID      = "TXXX"
	frameExtra   = headerSize + len(utf8Encoding+Description) + 1 // of a frame beside its value
)

// AppendTag appends a tag with the reactions to dst. Errors: errs.Invalid when
// there is none, when one is malformed, or over a limit: see Merge.
func AppendTag(dst []byte, reactions []Reaction) ([]byte, error) {
	if len(reactions) == 0 {
		return dst, errs.New(errs.Invalid, "an ID3 tag needs a frame at least")
	}
	start := len(dst)
	dst = append(dst, "ID3\x04\x00\x00\x00\x00\x00\x00"...) // version 2.4.0, no flags
	for _, r := range reactions {
		value, err := r.value()
		if err != nil {
			return dst[:start], err
		}
		if frameExtra+len(value) > MaxItem {
			return dst[:start], errs.Newf(errs.Invalid, "a reaction takes %d bytes, at most %d are allowed", frameExtra+len(value), MaxItem)
		}
		dst = appendFrame(dst, value)
	}
	if size := len(dst) - start; size > MaxTag {
		return dst[:start], errs.Newf(errs.Invalid, "the reactions take %d bytes, at most %d are allowed in a part", size, MaxTag)
	}
	putSyncsafe(dst[start+6:], len(dst)-start-headerSize)
	return dst, nil
}

// appendFrame appends a TXXX frame: its header, the text encoding, the
// description with its end, the value without one.
func appendFrame(dst, value []byte) []byte {
	start := len(dst)
	dst = append(dst, frameID+"\x00\x00\x00\x00\x00\x00"...)
	putSyncsafe(dst[start+4:], frameExtra-headerSize+len(value))
	dst = append(dst, utf8Encoding+Description+"\x00"...)
	return append(dst, value...)
}

// putSyncsafe writes a number below 2^28 in four bytes of seven bits (6.2).
func putSyncsafe(b []byte, n int) {
	for i := range 4 {
		b[i] = byte(n>>(7*(3-i))) & 0x7f
	}
}

// syncsafe reads four bytes of seven bits; false if they are none.
func syncsafe(b []byte) (n int, ok bool) {
	for _, v := range b[:4] {
		if v > 0x7f {
			return 0, false
		}
		n = n<<7 | int(v)
	}
	return n, true
}
