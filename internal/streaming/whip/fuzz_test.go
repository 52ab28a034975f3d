package whip

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
)

// maxSeed is how much of each payload a seed has, in bytes: what a parser reads
// stands at the front, and small inputs are tried more often.
const maxSeed = 48

// script writes packets in the form that play reads.
func script(packets []*rtp.Packet) []byte {
	var s []byte
	for _, p := range packets {
		flags := byte(0)
		if p.Marker {
			flags = 0x40
		}
		payload := p.Payload[:min(len(p.Payload), maxSeed)]
		s = append(s, flags)
		s = binary.BigEndian.AppendUint16(s, uint16(len(payload)))
		s = append(s, payload...)
	}
	return s
}

// play sends the packets of a script through a reader: each is flags, a length
// and the payload. Flags: 0x80 a packet is missing, 0x40 marker, 0x20 the
// timestamp stays in spite of a marker, 0x10 late, 0x0f the sequence number jumps.
func play(t *testing.T, id cmaf.VideoCodec, script []byte) *sink {
	t.Helper()
	s := newSink(id)
	v, err := newVideoReader(id, s)
	if err != nil {
		t.Fatal(err)
	}
	order := &reorder{to: v, wait: maxReorder}
	now := time.Unix(1_700_000_000, 0)
	sequence, timestamp := uint16(65_500), uint32(4_294_900_000)
	for len(script) > 3 {
		flags, n := script[0], min(int(binary.BigEndian.Uint16(script[1:])), len(script)-3)
		payload := script[3 : 3+n]
		script = script[3+n:]
		sequence += 1 + uint16(flags>>7) + uint16(flags&0x0f)*997
		now = now.Add(time.Millisecond)
		if flags&0x10 != 0 {
			now = now.Add(time.Second)
		}
		order.push(packet{sequence: sequence, timestamp: timestamp, marker: flags&0x40 != 0, payload: payload, at: now})
		if flags&0x60 == 0x40 {
			timestamp += 3000
		}
	}
	order.expire(now.Add(maxReorder))
	if order.waiting() {
		t.Error("packets are held back for ever")
	}
	return s
}

// fuzzCodec seeds a fuzzer with real packets, whole and damaged.
func fuzzCodec(f *testing.F, c codec, check func(t *testing.T, data []byte)) {
	f.Helper()
	var packets []*rtp.Packet
	for i, p := range packetize(c.payloads, clipOf(f, c.id).Frames[:8]) {
		if i < 4 || i%7 == 0 || p.Marker {
			packets = append(packets, p)
		}
	}
	f.Add(script(packets))
	f.Add(script(append(append([]*rtp.Packet(nil), packets[:2]...), packets[3:]...)))
	damaged := script(packets)
	for i := 5; i < len(damaged); i += 37 {
		damaged[i] ^= byte(i)
	}
	f.Add(damaged)
	f.Fuzz(func(t *testing.T, script []byte) {
		for _, frame := range play(t, c.id, script).frames {
			if len(frame.Data) == 0 || len(frame.Data) > maxAccessUnit+100 || frame.Key != (frame.Config != nil) {
				t.Errorf("a frame of %d bytes, key %t, configuration %v", len(frame.Data), frame.Key, frame.Config)
			}
			check(t, frame.Data)
		}
	})
}

func isAVCC(t *testing.T, data []byte) {
	t.Helper()
	if _, err := cmaf.SplitAVCC(data); err != nil {
		t.Error(err)
	}
}

func FuzzH264(f *testing.F) { fuzzCodec(f, testCodecs()["H264"], isAVCC) }
func FuzzH265(f *testing.F) { fuzzCodec(f, testCodecs()["H265"], isAVCC) }
func FuzzVP8(f *testing.F) {
	fuzzCodec(f, testCodecs()["VP8 with ids"], func(*testing.T, []byte) {})
}
func FuzzVP9(f *testing.F) { fuzzCodec(f, testCodecs()["VP9"], func(*testing.T, []byte) {}) }

func FuzzAV1(f *testing.F) {
	fuzzCodec(f, testCodecs()["AV1"], func(t *testing.T, data []byte) {
		for len(data) > 0 {
			kind, n := obuType(data), 1
			if data[0]&0x04 != 0 {
				n = 2
			}
			if data[0]&obuHasSize == 0 || kind == obuTemporalDelimiter || kind == obuTileList || len(data) < n {
				t.Fatalf("an OBU of type %d, first byte %#x", kind, data[0])
			}
			size, m, err := leb128(data[n:])
			if err != nil || size > len(data)-n-m {
				t.Fatalf("an OBU of type %d with size %d in %d bytes", kind, size, len(data))
			}
			data = data[n+m+size:]
		}
	})
}

// FuzzHeader reads RTP headers, as pion's own code does.
func FuzzHeader(f *testing.F) {
	for _, p := range []rtp.Packet{
		{Header: rtp.Header{Version: 2, SequenceNumber: 7, Timestamp: 9, Marker: true}, Payload: []byte{1, 2}},
		{Header: rtp.Header{Version: 2, CSRC: []uint32{1, 2}, PaddingSize: 4, Padding: true}, Payload: []byte{1}},
	} {
		for _, profile := range []uint16{oneByteExtensions, twoByteExtensions} {
			p.Extension, p.ExtensionProfile, p.Extensions = true, profile, nil
			if err := p.SetExtension(3, []byte{5, 6}); err != nil {
				f.Fatal(err)
			}
			b, err := p.Marshal()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		var want rtp.Packet
		if want.Unmarshal(b) != nil || want.Version != 2 {
			return // pion checks the extensions too, which are read when one is looked for
		}
		if err != nil {
			t.Fatalf("pion reads it: %v", &want)
		}
		if h.sequence != want.SequenceNumber || h.timestamp != want.Timestamp || h.marker != want.Marker || !bytes.Equal(h.payload, want.Payload) {
			t.Errorf("%+v\n%+v", h, want)
		}
		if id := uint8(3); want.ExtensionProfile == oneByteExtensions && !bytes.Equal(h.extension(id), want.GetExtension(id)) {
			t.Errorf("extension % x, not % x", h.extension(id), want.GetExtension(id))
		}
	})
}

// FuzzFeedback hears packets of a connection and makes its reports.
func FuzzFeedback(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 1, 1, 1, 0, 5, 2, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		fb := newFeedback()
		in := &inbound{clock: 90000, nacks: true}
		fb.inbound[1] = in
		now := time.Unix(1_700_000_000, 0)
		for len(script) > 4 {
			h := header{sequence: binary.BigEndian.Uint16(script), timestamp: uint32(script[2]) << 24}
			fb.arrived.Record(1, h.sequence, now.Sub(fb.start).Microseconds())
			in.heard(&h, now)
			now = now.Add(time.Duration(script[3]) * time.Millisecond)
			script = script[4:]
			fb.missing(now)
			if len(in.gaps) > maxAsked {
				t.Fatalf("%d packets are missing", len(in.gaps))
			}
		}
		fb.arrived.BuildFeedbackPacket()
		for _, p := range fb.report(now) {
			if _, err := p.Marshal(); err != nil {
				t.Error(err)
			}
		}
		if received, lost, jitter := fb.stats(); received < 0 || lost < 0 || jitter < 0 {
			t.Error(received, lost, jitter)
		}
	})
}

var _ interceptor.Interceptor = (*feedback)(nil)

func FuzzRestart(f *testing.F) {
	f.Add("a=ice-ufrag:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 1.2.3.4 1 typ host\r\na=end-of-candidates\r\n")
	offer := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=candidate:1 1 udp 1 1.2.3.4 1 typ host\r\nm=audio 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:1\r\n"
	f.Fuzz(func(t *testing.T, text string) {
		frag, err := rtc.ParseFragment(text)
		if err == nil {
			err = checkFragment(frag)
		}
		if err != nil {
			if errs.CodeOf(err) != errs.Invalid {
				t.Error(err)
			}
			return
		}
		var desc sdp.SessionDescription
		if err := desc.UnmarshalString(restartOffer(frag, offer)); err != nil || len(desc.MediaDescriptions) != 2 {
			t.Errorf("the new offer is none: %v\n%s", err, restartOffer(frag, offer))
		}
	})
}

func FuzzParseOffer(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 00\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\na=sendonly\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		switch {
		case err != nil:
			if errs.CodeOf(err) != errs.Invalid && errs.CodeOf(err) != errs.Unsupported {
				t.Error(err)
			}
		case len(o.Video) == 0 || len(o.Video) > 5:
			t.Errorf("%d codecs", len(o.Video))
		}
	})
}
