package whep

import (
	"fmt"

	"github.com/pion/rtp/codecs"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const (
	videoClock = 90000
	audioClock = 48000

	// maxPayload keeps a packet with a header (12), our extension (8), the number
	// of a retransmission (2) and the tag of AES-GCM (16) below 1,200 bytes, which
	// every path carries.
	maxPayload = 1160
	maxUnit    = 8 << 20 // bytes of an access unit
)

// packetizer makes RTP payloads of access units.
type packetizer interface {
	// payloads returns those of one access unit; the last gets the marker.
	payloads(f *frame.Video) ([][]byte, error)
}

// newPacketizer makes the packetizer of a codec.
func newPacketizer(c cmaf.VideoCodec) (packetizer, error) {
	switch c {
	case cmaf.H264:
		return nalPacketizer{fragments: fragmentAVC, aggregate: aggregateAVC}, nil
	case cmaf.H265:
		return nalPacketizer{fragments: fragmentHEVC, aggregate: aggregateHEVC}, nil
	case cmaf.VP8:
		return plainPacketizer{&codecs.VP8Payloader{EnablePictureID: true}}, nil
	case cmaf.VP9:
		return plainPacketizer{&codecs.VP9Payloader{}}, nil
	case cmaf.AV1:
		return av1Packetizer{}, nil
	}
	return nil, fmt.Errorf("%v cannot be sent over RTP", c)
}

// payloader is what pion's codecs have in common.
type payloader interface {
	Payload(mtu uint16, data []byte) [][]byte
}

// plainPacketizer is for codecs whose key frames have all that a decoder needs.
type plainPacketizer struct{ payloader }

func (p plainPacketizer) payloads(f *frame.Video) ([][]byte, error) {
	return p.Payload(maxPayload, f.Data), nil
}

// av1Packetizer sees to it that a key frame begins with the sequence header (AV1
// RTP payload format, section 4.4: the N bit needs it).
type av1Packetizer struct{}

const obuSequenceHeader = 1

func (av1Packetizer) payloads(f *frame.Video) ([][]byte, error) {
	data := f.Data
	if f.Key && f.Config != nil && len(data) > 0 && data[0]>>3&0xf != obuSequenceHeader {
		data = append(append([]byte(nil), f.Config.SequenceHeader...), data...)
	}
	return (&codecs.AV1Payloader{}).Payload(maxPayload, data), nil
}
