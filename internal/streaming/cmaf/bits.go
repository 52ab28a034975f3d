package cmaf

import "errors"

var errShort = errors.New("it ends too early")

// bitReader reads the fixed-length and Exp-Golomb codes of H.264 (9.1) and of
// an AudioSpecificConfig. The first failure sticks and reads give 0 from then on.
type bitReader struct {
	data []byte
	pos  int // in bits
	err  error
}

func (r *bitReader) u1() uint32 {
	if r.err != nil {
		return 0
	}
	if r.pos >= len(r.data)*8 {
		r.err = errShort
		return 0
	}
	b := r.data[r.pos/8] >> (7 - r.pos%8) & 1
	r.pos++
	return uint32(b)
}

// u reads n bits, at most 32.
func (r *bitReader) u(n int) uint32 {
	var v uint32
	for range n {
		v = v<<1 | r.u1()
	}
	return v
}

// ue reads an unsigned Exp-Golomb code of at most 32 bits' value.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.err == nil && r.u1() == 0 {
		if zeros++; zeros > 31 {
			r.err = errors.New("an Exp-Golomb code is longer than 32 bits")
			return 0
		}
	}
	if r.err != nil {
		return 0
	}
	return 1<<zeros - 1 + r.u(zeros)
}

// se reads a signed Exp-Golomb code.
func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}

// skip passes over n bits.
func (r *bitReader) skip(n int) {
	if r.err == nil && n > len(r.data)*8-r.pos {
		r.err = errShort
	}
	if r.err == nil {
		r.pos += n
	}
}
