package whip

import (
	"errors"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// maxAccessUnit is far above a key frame at 20 Mbit/s.
const maxAccessUnit = 4 << 20

// Packet types of RFC 6184, section 5.2, that packetization mode 1 has.
const (
	naluSTAPA = 24
	naluFUA   = 28
)

var errTooLarge = errors.New("an access unit of more than 4 MiB")

// accessUnit is the NAL units of one picture.
type accessUnit struct {
	data      []byte // AVCC, without parameter sets and delimiters
	key       bool
	timestamp uint32
}

// depacketizer collects RTP payloads of H.264 (RFC 6184, modes 0 and 1) into
// access units. It remembers the last parameter sets.
type depacketizer struct {
	sps, pps []byte

	unit     accessUnit
	begun    bool
	fragment []byte // of a NAL unit in FU-A, nil outside of one

	damaged   bool // packets are missing: the rest of their access unit is skipped
	damagedAt *uint32
}

// push takes the payload of the next packet in order and returns the access
// units that are complete with it: none, one, or two when a marker was missing.
// After an error, and when packets are missing, the caller calls lost.
func (d *depacketizer) push(payload []byte, timestamp uint32, marker bool) ([]accessUnit, error) {
	if d.skips(payload, timestamp) {
		return nil, nil
	}
	var done []accessUnit
	if d.begun && timestamp != d.unit.timestamp {
		if u, ok := d.finish(); ok {
			done = append(done, u)
		}
	}
	d.begun, d.unit.timestamp = true, timestamp
	if err := d.payload(payload); err != nil {
		return done, err
	}
	if marker {
		if u, ok := d.finish(); ok {
			done = append(done, u)
		}
	}
	return done, nil
}

// lost forgets the unfinished access unit and all that is still to come of it.
func (d *depacketizer) lost() {
	d.reset()
	d.damaged, d.damagedAt = true, nil
}

// skips says whether a packet belongs to an access unit whose beginning is
// missing: all do, up to a new timestamp or a visible beginning.
func (d *depacketizer) skips(payload []byte, timestamp uint32) bool {
	if !d.damaged {
		return false
	}
	if !beginsUnit(payload) && (d.damagedAt == nil || *d.damagedAt == timestamp) {
		d.damagedAt = &timestamp
		return true
	}
	d.damaged = false
	return false
}

// beginsUnit says whether a packet is surely the first of its access unit.
func beginsUnit(p []byte) bool {
	if cmaf.NALType(p) == naluSTAPA && len(p) > 3 {
		p = p[3:]
	}
	kind := cmaf.NALType(p)
	return kind == cmaf.NALSPS || kind == cmaf.NALAUD
}

func (d *depacketizer) reset() {
	d.unit, d.begun, d.fragment = accessUnit{}, false, nil
}

func (d *depacketizer) finish() (accessUnit, bool) {
	u := d.unit
	d.reset()
	return u, len(u.data) > 0
}

func (d *depacketizer) payload(p []byte) error {
	if len(p) == 0 {
		return nil // padding only, sent to probe the bandwidth
	}
	switch kind := cmaf.NALType(p); {
	case kind >= 1 && kind <= 23:
		return d.nal(p)
	case kind == naluSTAPA:
		return d.aggregate(p[1:])
	case kind == naluFUA:
		return d.fragmentUnit(p)
	default:
		return fmt.Errorf("an H264 packet of type %d, which packetization mode 1 does not have", kind)
	}
}

// aggregate takes the NAL units of a STAP-A (RFC 6184, 5.7.1).
func (d *depacketizer) aggregate(p []byte) error {
	for len(p) > 0 {
		if len(p) < 2 {
			return errors.New("a STAP-A ends inside a length")
		}
		n := int(p[0])<<8 | int(p[1])
		if n > len(p)-2 {
			return fmt.Errorf("a STAP-A says %d bytes where %d are left", n, len(p)-2)
		}
		if err := d.nal(p[2 : 2+n]); err != nil {
			return err
		}
		p = p[2+n:]
	}
	return nil
}

// fragmentUnit takes a piece of a NAL unit in FU-A (RFC 6184, 5.8).
func (d *depacketizer) fragmentUnit(p []byte) error {
	if len(p) < 3 {
		return errors.New("an FU-A without a payload")
	}
	start, end := p[1]&0x80 != 0, p[1]&0x40 != 0
	if start {
		d.fragment = append(make([]byte, 0, 8<<10), p[0]&0xe0|p[1]&0x1f)
	}
	if d.fragment == nil {
		return errors.New("an FU-A whose beginning is missing")
	}
	if len(d.fragment)+len(p) > maxAccessUnit {
		return errTooLarge
	}
	d.fragment = append(d.fragment, p[2:]...)
	if !end {
		return nil
	}
	nal := d.fragment
	d.fragment = nil
	return d.nal(nal)
}

// nal adds a whole NAL unit to the access unit.
func (d *depacketizer) nal(nal []byte) error {
	switch cmaf.NALType(nal) {
	case 0, cmaf.NALAUD, 10, 11, 12: // delimiters, ends and filler
		return nil
	case cmaf.NALSPS:
		d.sps = keep(d.sps, nal)
		return nil
	case cmaf.NALPPS:
		d.pps = keep(d.pps, nal)
		return nil
	case cmaf.NALIDR:
		d.unit.key = true
	}
	if len(d.unit.data)+len(nal) > maxAccessUnit {
		return errTooLarge
	}
	d.unit.data = cmaf.AppendAVCC(d.unit.data, nal)
	return nil
}

// keep returns old if it is the same parameter set, else a copy.
func keep(old, nal []byte) []byte {
	if string(old) == string(nal) {
		return old
	}
	return append([]byte(nil), nal...)
}
