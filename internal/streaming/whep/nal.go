package whep

import (
	"encoding/binary"
	"errors"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// NAL unit types of RTP.
const (
	nalSTAPA = 24 // H264: RFC 6184, 5.7.1
	nalFUA   = 28 // H264: RFC 6184, 5.8
	nalAP    = 48 // H265: RFC 7798, 4.4.2
	nalFU    = 49 // H265: RFC 7798, 4.4.3
)

// nalPacketizer is for H264 and H265: parameter sets in one packet before a key
// frame, then each NAL unit in one packet or in fragments of one size.
type nalPacketizer struct {
	aggregate func(sets [][]byte) []byte
	fragments func(nal []byte) [][]byte
}

var errNoNAL = errors.New("an access unit without NAL units")

func (p nalPacketizer) payloads(f *frame.Video) ([][]byte, error) {
	nals, err := cmaf.SplitAVCC(f.Data)
	if err != nil {
		return nil, err
	}
	if len(nals) == 0 {
		return nil, errNoNAL
	}
	var out [][]byte
	if f.Key && f.Config != nil {
		out = p.sets(f.Config)
	}
	for _, nal := range nals {
		switch {
		case len(nal) < 2:
		case len(nal) <= maxPayload:
			out = append(out, nal)
		default:
			out = append(out, p.fragments(nal)...)
		}
	}
	return out, nil
}

// sets puts the parameter sets into one packet if they fit.
func (p nalPacketizer) sets(c *cmaf.VideoConfig) [][]byte {
	var sets [][]byte
	size := 2
	for _, set := range [][]byte{c.VPS, c.SPS, c.PPS} {
		if len(set) > 2 {
			sets = append(sets, set)
			size += 2 + len(set)
		}
	}
	if len(sets) > 1 && size <= maxPayload {
		return [][]byte{p.aggregate(sets)}
	}
	var out [][]byte
	for _, set := range sets {
		if len(set) <= maxPayload {
			out = append(out, set)
		} else {
			out = append(out, p.fragments(set)...)
		}
	}
	return out
}

// aggregateAVC makes a STAP-A.
func aggregateAVC(sets [][]byte) []byte {
	return appendSets([]byte{nalSTAPA | 0x60}, sets)
}

// aggregateHEVC makes an AP of layer 0 and the lowest temporal id.
func aggregateHEVC(sets [][]byte) []byte {
	return appendSets([]byte{nalAP << 1, 1}, sets)
}

func appendSets(out []byte, sets [][]byte) []byte {
	for _, set := range sets {
		out = binary.BigEndian.AppendUint16(out, uint16(len(set)))
		out = append(out, set...)
	}
	return out
}

// fragmentAVC makes FU-As.
func fragmentAVC(nal []byte) [][]byte {
	return fragment(nal[1:], []byte{nal[0]&0xe0 | nalFUA}, nal[0]&0x1f)
}

// fragmentHEVC makes FUs.
func fragmentHEVC(nal []byte) [][]byte {
	return fragment(nal[2:], []byte{nal[0]&0x81 | nalFU<<1, nal[1]}, nal[0]>>1&0x3f)
}

// fragment cuts the body of a NAL unit into pieces of one size, the last of at
// most that, each after the header and a byte with start and end bit and type.
// Pieces of one size are sent by one system call.
func fragment(body, header []byte, kind byte) [][]byte {
	overhead := len(header) + 1
	n := (len(body) + maxPayload - overhead - 1) / (maxPayload - overhead)
	size := (len(body) + n - 1) / n
	buf := make([]byte, 0, len(body)+n*overhead)
	out := make([][]byte, 0, n)
	for i := 0; len(body) > 0; i++ {
		piece := body[:min(size, len(body))]
		body = body[len(piece):]
		flags := kind
		if i == 0 {
			flags |= 0x80
		}
		if len(body) == 0 {
			flags |= 0x40
		}
		from := len(buf)
		buf = append(append(append(buf, header...), flags), piece...)
		out = append(out, buf[from:len(buf):len(buf)])
	}
	return out
}
