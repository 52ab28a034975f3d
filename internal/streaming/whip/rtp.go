package whip

import (
	"encoding/binary"
	"errors"
	"time"
)

var errRTP = errors.New("no RTP packet")

// header is the fields of an RTP header (RFC 3550, 5.1) that matter here.
type header struct {
	sequence   uint16
	timestamp  uint32
	marker     bool
	extensions []byte // of the packet, see extension
	profile    uint16
	payload    []byte // of the packet, without padding
}

// packet is an RTP packet on its way to a depacketizer.
type packet struct {
	sequence  uint16
	timestamp uint32
	marker    bool
	payload   []byte // valid only during the call it is passed to
	at        time.Time
}

// parseHeader reads an RTP packet. The result shares its bytes. It is called
// for every packet, so it allocates nothing.
func parseHeader(b []byte) (header, error) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return header{}, errRTP
	}
	h := header{
		sequence: binary.BigEndian.Uint16(b[2:]), timestamp: binary.BigEndian.Uint32(b[4:]), marker: b[1]&0x80 != 0,
	}
	at := 12 + 4*int(b[0]&0x0f) // after the CSRCs
	if b[0]&0x10 != 0 {         // an extension header (5.3.1)
		if len(b) < at+4 {
			return header{}, errRTP
		}
		h.profile = binary.BigEndian.Uint16(b[at:])
		n := 4 * int(binary.BigEndian.Uint16(b[at+2:]))
		at += 4
		if len(b) < at+n {
			return header{}, errRTP
		}
		h.extensions = b[at : at+n]
		at += n
	}
	end := len(b)
	if b[0]&0x20 != 0 && end > at {
		end -= int(b[end-1])
	}
	if at > end {
		return header{}, errRTP
	}
	h.payload = b[at:end]
	return h, nil
}

// Forms of header extensions (RFC 8285, 4.2 and 4.3).
const (
	oneByteExtensions = 0xbede
	twoByteExtensions = 0x1000 // and the four bits below
)

// extension returns the header extension of an id, nil when there is none.
func (h *header) extension(id uint8) []byte {
	oneByte := h.profile == oneByteExtensions
	if !oneByte && h.profile&0xfff0 != twoByteExtensions {
		return nil
	}
	for b := h.extensions; len(b) > 0; {
		if b[0] == 0 { // padding
			b = b[1:]
			continue
		}
		var got uint8
		var n int
		switch {
		case oneByte && b[0]>>4 == 15:
			return nil // reserved: what follows is not read
		case oneByte:
			got, n = b[0]>>4, int(b[0]&0x0f)+1
			b = b[1:]
		case len(b) < 2:
			return nil
		default:
			got, n = b[0], int(b[1])
			b = b[2:]
		}
		if n > len(b) {
			return nil
		}
		if got == id {
			return b[:n]
		}
		b = b[n:]
	}
	return nil
}
