package whep

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// streamLabel is the media stream that both tracks of a viewer belong to, so
// that its player keeps them in step.
const streamLabel = "live"

// localTrack writes RTP packets of one track to one viewer. It is a
// webrtc.TrackLocal.
type localTrack struct {
	kind webrtc.RTPCodecType
	want []webrtc.RTPCodecParameters // that were picked, the first one first
	mu   sync.Locker                 // the sender's, guards what follows

	writer    webrtc.TrackLocalWriter
	ready     bool
	header    rtp.Header
	transport [2]byte // the extension's value
	extended  bool    // the viewer reports by transport-wide sequence numbers
	sequence  uint16  // of the next packet
	base      uint32  // RTP timestamp of the timeline's zero

	rtx         rtp.Header
	rtxPayloads map[uint8]uint8 // retransmission payload types by the original's
	rtxSequence uint16
	scratch     []byte

	packets, octets uint32 // for sender reports
}

func newLocalTrack(kind webrtc.RTPCodecType, want []webrtc.RTPCodecParameters, mu sync.Locker) *localTrack {
	return &localTrack{
		kind: kind, want: want, mu: mu,
		sequence: uint16(rand.Uint32()), rtxSequence: uint16(rand.Uint32()), base: rand.Uint32(),
		rtxPayloads: map[uint8]uint8{},
	}
}

// ID names the track in the SDP.
func (t *localTrack) ID() string { return t.kind.String() }

// RID is for simulcast.
func (t *localTrack) RID() string { return "" }

// StreamID names the stream in the SDP.
func (t *localTrack) StreamID() string { return streamLabel }

// Kind is video or audio.
func (t *localTrack) Kind() webrtc.RTPCodecType { return t.kind }

// Bind takes what was negotiated.
func (t *localTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var chosen *webrtc.RTPCodecParameters
	negotiated := c.CodecParameters()
	for i := range negotiated {
		p := &negotiated[i]
		if apt, ok := strings.CutPrefix(p.SDPFmtpLine, "apt="); ok && strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) {
			for _, w := range t.want {
				if apt == strconv.Itoa(int(w.PayloadType)) {
					t.rtxPayloads[uint8(w.PayloadType)] = uint8(p.PayloadType)
				}
			}
		} else if chosen == nil && p.PayloadType == t.want[0].PayloadType {
			chosen = p
		}
	}
	if chosen == nil {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	t.writer = c.WriteStream()
	t.header = rtp.Header{Version: 2, PayloadType: uint8(chosen.PayloadType), SSRC: uint32(c.SSRC())}
	t.rtx = rtp.Header{Version: 2, SSRC: uint32(c.SSRCRetransmission())}
	for _, e := range c.HeaderExtensions() {
		if e.URI == sdp.TransportCCURI && t.kind == webrtc.RTPCodecTypeVideo {
			// Both headers share the two bytes, which are set before each packet.
			if err := t.header.SetExtension(uint8(e.ID), t.transport[:]); err != nil {
				return webrtc.RTPCodecParameters{}, err
			}
			if err := t.rtx.SetExtension(uint8(e.ID), t.transport[:]); err != nil {
				return webrtc.RTPCodecParameters{}, err
			}
			t.extended = true
		}
	}
	t.ready = true
	return *chosen, nil
}

// Unbind ends it.
func (t *localTrack) Unbind(webrtc.TrackLocalContext) error { return nil }

// write sends a packet with the next sequence number.
func (t *localTrack) write(payload []byte, timestamp uint32, marker bool, transport uint16) {
	h := &t.header
	h.SequenceNumber, h.Timestamp, h.Marker = t.sequence, timestamp, marker
	binary.BigEndian.PutUint16(t.transport[:], transport)
	t.sequence++
	t.packets++
	t.octets += uint32(len(payload))
	_, _ = t.writer.WriteRTP(h, payload) // what is lost is asked for again
}

// canRepeat says whether packets can be sent again in a stream of their own.
func (t *localTrack) canRepeat() bool {
	_, ok := t.rtxPayloads[t.header.PayloadType]
	return ok && t.rtx.SSRC != 0
}

// repeat sends a packet again: as a retransmission (RFC 4588, section 4) if the
// viewer takes them, else as it was.
func (t *localTrack) repeat(payload []byte, sequence uint16, timestamp uint32, marker bool, transport uint16) {
	binary.BigEndian.PutUint16(t.transport[:], transport)
	if !t.canRepeat() {
		h := t.header
		h.SequenceNumber, h.Timestamp, h.Marker = sequence, timestamp, marker
		_, _ = t.writer.WriteRTP(&h, payload)
		return
	}
	h := &t.rtx
	h.PayloadType = t.rtxPayloads[t.header.PayloadType]
	h.SequenceNumber, h.Timestamp, h.Marker = t.rtxSequence, timestamp, marker
	t.rtxSequence++
	t.scratch = binary.BigEndian.AppendUint16(t.scratch[:0], sequence)
	t.scratch = append(t.scratch, payload...)
	_, _ = t.writer.WriteRTP(h, t.scratch)
}
