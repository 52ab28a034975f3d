package rtmp

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// nalFilter takes the NAL units out of H264 and H265 frames that do not belong
// into a sample, and keeps the parameter sets among them.
type nalFilter struct {
	codec         cmaf.VideoCodec
	lengthSize    int // bytes before each NAL unit in what comes
	vps, sps, pps []byte
	changed       bool // since config was last asked
}

// use takes the parameter sets of a header.
func (n *nalFilter) use(c *cmaf.VideoConfig) {
	n.vps, n.sps, n.pps, n.changed = c.VPS, c.SPS, c.PPS, false
}

// config makes a configuration of the parameter sets.
func (n *nalFilter) config() (cmaf.VideoConfig, error) {
	n.changed = false
	if n.codec == cmaf.H265 {
		return cmaf.ParseHEVC(n.vps, n.sps, n.pps)
	}
	return cmaf.ParseAVC(n.sps, n.pps)
}

// filter returns the frame that is left, each NAL unit after its length in 4
// bytes, and whether it is a key frame. Where it can it moves the bytes of data
// instead of copying them.
func (n *nalFilter) filter(data []byte) (out []byte, key bool, err error) {
	if n.lengthSize != 4 {
		return n.convert(data)
	}
	begin, end := 0, 0 // what is kept
	for at := 0; at < len(data); {
		nal, next, err := n.next(data, at)
		if err != nil {
			return nil, false, err
		}
		keep, k := n.look(nal)
		key = key || k
		switch {
		case !keep && begin == end:
			begin, end = next, next
		case keep && end == at:
			end = next
		case keep:
			end += copy(data[end:], data[at:next])
		}
		at = next
	}
	return data[begin:end:end], key, nil
}

// convert is filter for lengths of another size.
func (n *nalFilter) convert(data []byte) (out []byte, key bool, err error) {
	out = make([]byte, 0, len(data)+64)
	for at := 0; at < len(data); {
		nal, next, err := n.next(data, at)
		if err != nil {
			return nil, false, err
		}
		keep, k := n.look(nal)
		key = key || k
		if keep {
			out = cmaf.AppendAVCC(out, nal)
		}
		at = next
	}
	return out, key, nil
}

// next returns the NAL unit at a place and the place after it. Zeros at the end
// are no NAL unit.
func (n *nalFilter) next(data []byte, at int) (nal []byte, next int, err error) {
	left := data[at:]
	if len(left) < n.lengthSize {
		if len(bytes.Trim(left, "\x00")) == 0 {
			return nil, len(data), nil
		}
		return nil, 0, fmt.Errorf("%d bytes are left where a length of %d should be", len(left), n.lengthSize)
	}
	var wide [4]byte
	copy(wide[4-n.lengthSize:], left)
	size := binary.BigEndian.Uint32(wide[:])
	if left = left[n.lengthSize:]; uint64(size) > uint64(len(left)) {
		return nil, 0, fmt.Errorf("a NAL unit of %d bytes where %d are left", size, len(left))
	}
	return left[:size], at + n.lengthSize + int(size), nil
}

// look says whether a NAL unit belongs into a sample and makes it a key frame.
func (n *nalFilter) look(nal []byte) (keep, key bool) {
	if len(nal) == 0 {
		return false, false
	}
	if n.codec == cmaf.H265 {
		return n.lookHEVC(nal)
	}
	switch cmaf.NALType(nal) {
	case cmaf.NALSPS:
		n.note(&n.sps, nal)
		return false, false
	case cmaf.NALPPS:
		n.note(&n.pps, nal)
		return false, false
	case 0, cmaf.NALAUD, 10, 11, 12: // ends of sequence and stream, filler
		return false, false
	case cmaf.NALIDR:
		return true, true
	}
	return true, false
}

func (n *nalFilter) lookHEVC(nal []byte) (keep, key bool) {
	switch kind := cmaf.HEVCNALType(nal); {
	case kind == cmaf.HEVCVPS:
		n.note(&n.vps, nal)
		return false, false
	case kind == cmaf.HEVCSPS:
		n.note(&n.sps, nal)
		return false, false
	case kind == cmaf.HEVCPPS:
		n.note(&n.pps, nal)
		return false, false
	case kind < 0 || kind == cmaf.HEVCAUD || kind >= 36 && kind <= 38: // ends and filler
		return false, false
	default:
		return true, kind >= cmaf.HEVCFirstIRAP && kind <= cmaf.HEVCLastIRAP
	}
}

func (n *nalFilter) note(set *[]byte, nal []byte) {
	if !bytes.Equal(*set, nal) {
		*set, n.changed = bytes.Clone(nal), true
	}
}
