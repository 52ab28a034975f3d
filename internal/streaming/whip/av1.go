package whip

import (
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// OBU types (AV1 bitstream specification, 6.2.2) that matter here.
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2
	obuFrameHeader       = 3
	obuFrame             = 6
	obuTileList          = 8
	obuPadding           = 15
)

const obuHasSize = 0x02 // in an OBU's first byte

var errOBUShort = errors.New("an AV1 packet ends inside an OBU")

// av1 is AV1 in RTP (AOMedia "RTP Payload Format For AV1", section 4). OBUs come
// without their sizes, perhaps in pieces; they leave with sizes, without
// temporal delimiters, tile lists and padding.
type av1 struct {
	unit     []byte // the temporal unit; its buffer is used again
	fragment []byte // of the OBU that goes on in the next packet, the same
	open     bool   // there is such an OBU

	sequence []byte // the last sequence header, with size
	headed   bool   // the unit has a sequence header before its first frame
	framed   bool   // the unit has a frame
	key      bool   // its first frame is a key frame that is shown
	known    cmaf.VideoConfig
}

// begins is true for the first packet of a coded video sequence (the N bit), and
// for one that begins with a temporal delimiter or a sequence header.
func (a *av1) begins(p []byte) bool {
	if len(p) < 2 || p[0]&0x80 != 0 {
		return false
	}
	if p[0]&0x08 != 0 {
		return true
	}
	_, rest, err := obuElement(p[1:], p[0]>>4&3 == 1)
	if err != nil {
		return false
	}
	first := p[1 : len(p)-len(rest)]
	if p[0]>>4&3 != 1 {
		_, n, _ := leb128(first)
		first = first[n:]
	}
	if len(first) == 0 {
		return false
	}
	kind := obuType(first)
	return kind == obuTemporalDelimiter || kind == obuSequenceHeader
}

func (a *av1) reset() {
	a.unit, a.fragment, a.open = a.unit[:0], a.fragment[:0], false
	a.headed, a.framed, a.key = false, false, false
}

// add takes a payload: an aggregation header and OBU elements (section 4.4).
func (a *av1) add(p []byte) error {
	goesOn, continues, count := p[0]&0x80 != 0, p[0]&0x40 != 0, int(p[0]>>4&3)
	if goesOn != a.open {
		return errors.New("an AV1 packet does not go on where the one before ended")
	}
	p = p[1:]
	n := 0
	for len(p) > 0 {
		n++
		element, rest, err := obuElement(p, n == count)
		if err != nil {
			return err
		}
		p = rest
		if err := a.element(element, continues && len(p) == 0); err != nil {
			return err
		}
	}
	if count > 0 && n != count {
		return fmt.Errorf("an AV1 packet has %d OBUs and says %d", n, count)
	}
	return nil
}

// element takes an OBU element: an OBU or a piece of one.
func (a *av1) element(b []byte, more bool) error {
	if len(a.fragment)+len(a.unit)+len(b) > maxAccessUnit {
		return errTooLarge
	}
	switch {
	case more:
		a.fragment, a.open = append(a.fragment, b...), true
		return nil
	case a.open:
		a.fragment, a.open = append(a.fragment, b...), false
		whole := a.fragment
		a.fragment = a.fragment[:0]
		return a.obu(whole)
	}
	return a.obu(b)
}

// obu adds a whole OBU to the temporal unit.
func (a *av1) obu(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n := 1
	if b[0]&0x04 != 0 { // obu_extension_flag
		n = 2
	}
	if len(b) < n || b[0]&0x80 != 0 {
		return errors.New("an AV1 packet has an OBU without a proper header")
	}
	header, payload := b[:n], b[n:]
	if b[0]&obuHasSize != 0 {
		size, n, err := leb128(payload)
		if err != nil || size > len(payload)-n {
			return errOBUShort
		}
		payload = payload[n : n+size]
	}
	switch kind := obuType(b); kind {
	case obuTemporalDelimiter, obuTileList, obuPadding:
		return nil
	case obuSequenceHeader:
		a.headed = a.headed || !a.framed
		a.append(header, payload)
		a.sequence = keep(a.sequence, a.unit[len(a.unit)-sizedLength(header, payload):])
		return nil
	case obuFrame, obuFrameHeader:
		if !a.framed {
			a.framed = true
			// show_existing_frame, frame_type (0: key), show_frame (5.9.2). The reduced
			// header of still pictures has none of them, and is not video.
			a.key = a.headed && len(payload) > 0 && payload[0]>>4 == 1
		}
	}
	a.append(header, payload)
	return nil
}

// append writes an OBU with its size.
func (a *av1) append(header, payload []byte) {
	a.unit = append(a.unit, header[0]|obuHasSize)
	a.unit = append(a.unit, header[1:]...)
	n := len(payload)
	for ; n >= 0x80; n >>= 7 {
		a.unit = append(a.unit, byte(n)|0x80)
	}
	a.unit = append(a.unit, byte(n))
	a.unit = append(a.unit, payload...)
}

func sizedLength(header, payload []byte) int {
	n := len(header) + 1 + len(payload)
	for size := len(payload); size >= 0x80; size >>= 7 {
		n++
	}
	return n
}

func (a *av1) finish() (picture, error) {
	if a.open {
		return picture{}, errors.New("an OBU whose end is missing")
	}
	p := picture{data: a.unit, key: a.key}
	if !a.framed {
		p.data = nil // a sequence header alone is no picture
	}
	a.reset()
	return p, nil
}

func (a *av1) config() (cmaf.VideoConfig, error) {
	if a.known.Codec == 0 || string(a.known.SequenceHeader) != string(a.sequence) {
		config, err := cmaf.ParseAV1(a.sequence)
		if err != nil {
			return cmaf.VideoConfig{}, err
		}
		a.known = config
	}
	return a.known, nil
}

func obuType(obu []byte) int { return int(obu[0] >> 3 & 0x0f) }

// obuElement splits the first OBU element off; the last of a counted packet has
// no length.
func obuElement(p []byte, last bool) (element, rest []byte, err error) {
	if last {
		return p, nil, nil
	}
	size, n, err := leb128(p)
	if err != nil || size > len(p)-n {
		return nil, nil, errOBUShort
	}
	return p[n : n+size], p[n+size:], nil
}

// leb128 reads a length (AV1 bitstream specification, 4.10.5) and returns how
// many bytes it takes.
func leb128(b []byte) (value, n int, err error) {
	for ; n < len(b) && n < 5; n++ {
		value |= int(b[n]&0x7f) << (7 * n)
		if b[n]&0x80 == 0 {
			return value, n + 1, nil
		}
	}
	return 0, 0, errOBUShort
}
