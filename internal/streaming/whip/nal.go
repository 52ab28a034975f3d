package whip

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// nalUnits collects the NAL units of one access unit, each after its length of
// 4 bytes, in a buffer that is used again and again.
type nalUnits struct {
	data     []byte
	fragment int // where the unfinished NAL unit begins in data, after its length; 0: there is none
}

func (u *nalUnits) reset() { u.data, u.fragment = u.data[:0], 0 }

// add appends a whole NAL unit.
func (u *nalUnits) add(nal []byte) error {
	if len(u.data)+4+len(nal) > maxAccessUnit {
		return errTooLarge
	}
	u.data = binary.BigEndian.AppendUint32(u.data, uint32(len(nal)))
	u.data = append(u.data, nal...)
	return nil
}

// begin starts a NAL unit that comes in fragments, with its header.
func (u *nalUnits) begin(header ...byte) {
	u.drop()
	u.data = append(u.data, 0, 0, 0, 0)
	u.fragment = len(u.data)
	u.data = append(u.data, header...)
}

// drop forgets the unfinished NAL unit.
func (u *nalUnits) drop() {
	if u.fragment > 0 {
		u.data, u.fragment = u.data[:u.fragment-4], 0
	}
}

// grow appends a fragment to the unfinished NAL unit.
func (u *nalUnits) grow(piece []byte) error {
	if u.fragment == 0 {
		return errors.New("a fragment of a NAL unit whose beginning is missing")
	}
	if len(u.data)+len(piece) > maxAccessUnit {
		return errTooLarge
	}
	u.data = append(u.data, piece...)
	return nil
}

// end completes the NAL unit that came in fragments and returns it.
func (u *nalUnits) end() []byte {
	nal := u.data[u.fragment:]
	binary.BigEndian.PutUint32(u.data[u.fragment-4:], uint32(len(nal)))
	u.fragment = 0
	return nal
}

// unadd takes the NAL unit that end returned out again.
func (u *nalUnits) unadd(nal []byte) { u.data = u.data[:len(u.data)-len(nal)-4] }

// aggregated calls take for each NAL unit of an aggregation packet, which have
// lengths of 2 bytes (RFC 6184, 5.7.1; RFC 7798, 4.4.2).
func aggregated(p []byte, take func(nal []byte) error) error {
	for len(p) > 0 {
		if len(p) < 2 {
			return errors.New("an aggregation packet ends inside a length")
		}
		n := int(binary.BigEndian.Uint16(p))
		if n > len(p)-2 {
			return fmt.Errorf("an aggregation packet says %d bytes where %d are left", n, len(p)-2)
		}
		if err := take(p[2 : 2+n]); err != nil {
			return err
		}
		p = p[2+n:]
	}
	return nil
}

// keep returns old if it is the same parameter set, else a copy.
func keep(old, nal []byte) []byte {
	if string(old) == string(nal) {
		return old
	}
	return append([]byte(nil), nal...)
}
