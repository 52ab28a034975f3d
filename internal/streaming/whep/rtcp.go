package whep

import "encoding/binary"

// feedback is what the RTCP packets of a viewer say (RFC 3550, RFC 4585, RFC
// 5104, draft-holmer-rmcat-transport-wide-cc-extensions-01). It is read by hand:
// many viewers send many of them, and nothing of it is kept.
type feedback struct {
	// nack is called for every lost packet of a source.
	nack func(ssrc uint32, sequence uint16)
	// key is called when a key frame is asked for (PLI, FIR).
	key func()
	// loss is called with the share of lost packets since the last report, 0 to 255.
	loss func(ssrc uint32, share uint8)
	// arrived is called for each packet of a transport-wide report, in order of
	// sequence numbers: with the time of arrival in microseconds by the viewer's
	// clock, or received false. reported ends the report.
	arrived  func(sequence uint16, received bool, at int64)
	reported func()
}

// RTCP packet types and the formats of feedback.
const (
	rtcpHeader       = 4
	typeReceiver     = 201
	typeSender       = 200
	typeTransport    = 205
	typePayload      = 206
	formatNACK       = 1
	formatTransport  = 15
	formatPLI        = 1
	formatFIR        = 4
	reportBlock      = 24
	transportHead    = 20
	deltaUnit        = 250    // µs
	referenceUnit    = 64_000 // µs
	maxTransportList = 4096   // packets in one report; real ones have some hundred
)

// read reads a compound packet, as far as it is well formed.
func (f *feedback) read(b []byte) {
	for len(b) >= rtcpHeader && b[0]>>6 == 2 {
		size := (int(binary.BigEndian.Uint16(b[2:])) + 1) * 4
		if size > len(b) {
			return
		}
		f.packet(b[0]&0x1f, b[1], b[:size])
		b = b[size:]
	}
}

// packet reads one packet; count is the report count or the format.
func (f *feedback) packet(count, kind byte, p []byte) {
	switch {
	case kind == typeReceiver && len(p) >= 8:
		f.reports(int(count), p[8:])
	case kind == typeSender && len(p) >= 28:
		f.reports(int(count), p[28:])
	case len(p) < 12:
	case kind == typeTransport && count == formatNACK:
		ssrc := binary.BigEndian.Uint32(p[8:])
		for list := p[12:]; len(list) >= 4; list = list[4:] {
			f.nacks(ssrc, binary.BigEndian.Uint16(list), binary.BigEndian.Uint16(list[2:]))
		}
	case kind == typeTransport && count == formatTransport:
		f.transport(p)
	case kind == typePayload && (count == formatPLI || count == formatFIR):
		f.key()
	}
}

func (f *feedback) reports(n int, b []byte) {
	for ; n > 0 && len(b) >= reportBlock; n-- {
		f.loss(binary.BigEndian.Uint32(b), b[4])
		b = b[reportBlock:]
	}
}

// nacks reads one entry: a sequence number and a bit for each of the 16 after it.
func (f *feedback) nacks(ssrc uint32, sequence, mask uint16) {
	f.nack(ssrc, sequence)
	for i := uint16(1); mask != 0; i++ {
		if mask&1 != 0 {
			f.nack(ssrc, sequence+i)
		}
		mask >>= 1
	}
}

// transport reads a transport-wide report (section 3.1 of the draft).
func (f *feedback) transport(p []byte) {
	if len(p) < transportHead {
		return
	}
	sequence := binary.BigEndian.Uint16(p[12:])
	count := int(binary.BigEndian.Uint16(p[14:]))
	reference := int64(p[16])<<16 | int64(p[17])<<8 | int64(p[18])
	if count > maxTransportList {
		return
	}
	chunks := p[transportHead:]
	deltas := skipChunks(chunks, count)
	if deltas == nil {
		return
	}
	r := arrivals{f: f, deltas: deltas, sequence: sequence, at: reference * referenceUnit}
	for ; count > 0 && len(chunks) >= 2; chunks = chunks[2:] {
		n := chunkLength(chunks, count)
		for i := range n {
			if !r.packet(chunkSymbol(chunks, i)) {
				return
			}
		}
		count -= n
	}
	f.reported()
}

// arrivals is a transport-wide report being read.
type arrivals struct {
	f        *feedback
	deltas   []byte
	sequence uint16
	at       int64
}

// packet reads the next packet's status; false if the report is too short.
func (r *arrivals) packet(symbol byte) bool {
	received := symbol == 1 || symbol == 2
	switch symbol {
	case 1:
		if len(r.deltas) < 1 {
			return false
		}
		r.at += int64(r.deltas[0]) * deltaUnit
		r.deltas = r.deltas[1:]
	case 2:
		if len(r.deltas) < 2 {
			return false
		}
		r.at += int64(int16(binary.BigEndian.Uint16(r.deltas))) * deltaUnit
		r.deltas = r.deltas[2:]
	}
	r.f.arrived(r.sequence, received, r.at)
	r.sequence++
	return true
}

// skipChunks returns what comes after the chunks for so many packets, nil if
// there are too few.
func skipChunks(b []byte, count int) []byte {
	for count > 0 {
		if len(b) < 2 {
			return nil
		}
		count -= chunkLength(b, count)
		b = b[2:]
	}
	return b
}

// chunkLength is how many packets the chunk at the front is about (sections
// 3.1.3 and 3.1.4). An empty run would never end, so it ends the report.
func chunkLength(b []byte, left int) int {
	n := 7
	switch {
	case b[0]&0x80 == 0:
		n = int(binary.BigEndian.Uint16(b) & 0x1fff)
		if n == 0 {
			n = left
		}
	case b[0]&0x40 == 0:
		n = 14
	}
	return min(n, left)
}

// chunkSymbol is the status of the i-th packet of a chunk: 0 is not received, 1
// and 2 received with a small or large delta.
func chunkSymbol(b []byte, i int) byte {
	chunk := binary.BigEndian.Uint16(b)
	switch {
	case chunk&0x8000 == 0:
		if chunk&0x1fff == 0 {
			return 0
		}
		return byte(chunk >> 13 & 3)
	case chunk&0x4000 == 0:
		return byte(chunk >> (13 - i) & 1)
	}
	return byte(chunk >> (12 - 2*i) & 3)
}
