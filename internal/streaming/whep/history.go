package whep

const (
	minHistory = 256  // packets; powers of two
	maxHistory = 8192 // above 3 s of 20 Mbit/s
)

// sentPacket says what a sequence number was used for. It has no payload: that
// is in the fan.
type sentPacket struct {
	unit      uint32 // number of the unit, its low bits
	timestamp uint32
	part      uint16 // of the unit's payloads
	resent    uint16 // time of the last retransmission in ms, its low bits; 0: never
	repeats   uint8
	valid     bool
}

// history maps the latest sequence numbers of a viewer to places in the fan.
type history struct {
	packets []sentPacket // indexed by the low bits of the sequence number
}

// add notes a packet. It grows until a second of video has room.
func (h *history) add(sequence uint16, p sentPacket) {
	if len(h.packets) == 0 {
		h.packets = make([]sentPacket, minHistory)
	}
	at := int(sequence) & (len(h.packets) - 1)
	if old := h.packets[at]; old.valid && p.timestamp-old.timestamp < videoClock && len(h.packets) < maxHistory {
		h.grow(sequence)
		at = int(sequence) & (len(h.packets) - 1)
	}
	p.valid = true
	h.packets[at] = p
}

// grow doubles the room before a sequence number is added.
func (h *history) grow(next uint16) {
	size := len(h.packets)
	packets := make([]sentPacket, 2*size)
	for i := 1; i <= size; i++ {
		s := int(next - uint16(i))
		packets[s&(2*size-1)] = h.packets[s&(size-1)]
	}
	h.packets = packets
}

// find returns a packet, given the next sequence number to be used; nil if it
// is too old or was never sent.
func (h *history) find(sequence, next uint16) *sentPacket {
	age := int(next - sequence)
	if age == 0 || age > len(h.packets) {
		return nil
	}
	p := &h.packets[int(sequence)&(len(h.packets)-1)]
	if !p.valid {
		return nil
	}
	return p
}

// clear forgets all: the numbers of units are another fan's now.
func (h *history) clear() { clear(h.packets) }
