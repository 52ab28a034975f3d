package whip

import (
	"bytes"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	sps = []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9e, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0xa4, 0x80}
	pps = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

func nal(header byte, size int) []byte {
	return append([]byte{header}, bytes.Repeat([]byte{0xaa}, size)...)
}

// packetize makes RTP packets of access units, as a publisher does.
func packetize(t testing.TB, units ...[][]byte) []*rtp.Packet {
	t.Helper()
	p := rtp.NewPacketizerWithOptions(1200, &rtpcodecs.H264Payloader{}, rtp.NewFixedSequencer(65_530), 90000,
		rtp.WithPayloadType(96), rtp.WithSSRC(1), rtp.WithTimestamp(4_294_966_000))
	var packets []*rtp.Packet
	for _, unit := range units {
		var stream []byte
		for _, n := range unit {
			stream = append(append(stream, 0, 0, 0, 1), n...)
		}
		packets = append(packets, p.Packetize(stream, 3000)...)
	}
	return packets
}

// sink is a broadcast that remembers what it got.
type sink struct {
	frames        []frame.Video
	lost, dropped int
}

func (s *sink) Video(f frame.Video)      { s.frames = append(s.frames, f) }
func (s *sink) Audio(frame.Audio)        {}
func (s *sink) VideoReport(frame.Report) {}
func (s *sink) AudioReport(frame.Report) {}
func (s *sink) Lost(time.Time)           { s.lost++ }
func (s *sink) Received(int, time.Time)  {}
func (s *sink) Dropped(packets int)      { s.dropped += packets }
func (s *sink) End(string)               {}

// feed plays packets through a reader, 1 ms apart.
func feed(packets []*rtp.Packet) *sink {
	s := &sink{}
	v := videoReader{to: s}
	now := time.Unix(1_700_000_000, 0)
	for _, p := range packets {
		now = now.Add(time.Millisecond)
		ready, lost := v.order.push(p, now)
		if lost > 0 {
			v.missing(lost, now)
		}
		for _, a := range ready {
			v.packet(a, now)
		}
	}
	return s
}

func units() [][][]byte {
	return [][][]byte{
		{sps, pps, nal(0x65, 5000)},
		{nal(0x41, 100)},
		{nal(0x41, 2000), nal(0x41, 3000)},
		{nal(0x06, 10), nal(0x41, 50)},
		{sps, pps, nal(0x65, 4000)},
		{nal(0x41, 10)},
	}
}

func TestAccessUnits(t *testing.T) {
	s := feed(packetize(t, units()...))
	if len(s.frames) != len(units()) || s.lost > 0 {
		t.Fatalf("%d frames, lost %d times", len(s.frames), s.lost)
	}
	for i, unit := range units() {
		f := s.frames[i]
		var want []byte
		for _, n := range unit {
			if kind := cmaf.NALType(n); kind != cmaf.NALSPS && kind != cmaf.NALPPS {
				want = cmaf.AppendAVCC(want, n)
			}
		}
		if !bytes.Equal(f.Data, want) {
			t.Errorf("frame %d has %d bytes, not %d", i, len(f.Data), len(want))
		}
		if key := cmaf.NALType(unit[0]) == cmaf.NALSPS; f.Key != key {
			t.Errorf("frame %d: key %t", i, f.Key)
		}
		if f.Key && (!bytes.Equal(f.Config.SPS, sps) || !bytes.Equal(f.Config.PPS, pps)) {
			t.Errorf("frame %d has not its parameter sets", i)
		}
	}
}

// TestShuffled delivers packets out of order, within the limit.
func TestShuffled(t *testing.T) {
	packets := packetize(t, units()...)
	rnd := rand.New(rand.NewSource(2))
	for range 50 {
		shuffled := append([]*rtp.Packet(nil), packets...)
		for i := 1; i+3 < len(shuffled); i += 3 {
			rnd.Shuffle(3, func(a, b int) { shuffled[i+a], shuffled[i+b] = shuffled[i+b], shuffled[i+a] })
		}
		shuffled = append(shuffled, shuffled[3]) // twice
		if s := feed(shuffled); len(s.frames) != len(units()) || s.lost > 0 {
			t.Fatalf("%d frames, lost %d times", len(s.frames), s.lost)
		}
	}
}

// TestLoss loses each packet in turn. No frame that misses a part gets through.
func TestLoss(t *testing.T) {
	many := append(units(), units()...)
	for range 6 {
		many = append(many, units()...)
	}
	packets := packetize(t, many...)
	whole := feed(packets).frames
	known := map[uint32][]byte{}
	for _, f := range whole {
		known[f.Timestamp] = f.Data
	}
	for missing := 1; missing < len(packets)-200; missing++ {
		rest := append(append([]*rtp.Packet(nil), packets[:missing]...), packets[missing+1:]...)
		s := feed(rest)
		if s.lost == 0 || s.dropped == 0 {
			t.Errorf("packet %d: its loss was not noticed", missing)
		}
		for _, f := range s.frames {
			if !bytes.Equal(f.Data, known[f.Timestamp]) {
				t.Fatalf("packet %d is missing, and a broken frame got through", missing)
			}
		}
		if len(s.frames) < len(whole)-3 {
			t.Errorf("packet %d cost %d frames", missing, len(whole)-len(s.frames))
		}
	}
}

func TestBadPackets(t *testing.T) {
	for name, payload := range map[string][]byte{
		"STAP-A cut off": {24, 0, 9, 1}, "STAP-A half a length": {24, 0}, "FU-A without payload": {28, 0x85},
		"FU-A without beginning": {28, 0x05, 1}, "STAP-B": {25, 1, 2}, "reserved": {31, 1},
	} {
		var d depacketizer
		if _, err := d.push(payload, 1, true); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var d depacketizer
	huge := append([]byte{28, 0x85}, make([]byte, 1<<20)...)
	if _, err := d.push(huge, 1, false); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 5 {
		if _, err = d.push(append([]byte{28, 0x05}, huge[2:]...), 1, false); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("an access unit may have any size")
	}
}

func TestReorderRestart(t *testing.T) {
	var r reorder
	now := time.Now()
	for _, seq := range []uint16{10, 11, 40_000, 40_001} {
		ready, _ := r.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: seq}}, now)
		if len(ready) != 1 {
			t.Errorf("packet %d: %d ready", seq, len(ready))
		}
	}
}

func FuzzDepacketizer(f *testing.F) {
	f.Add([]byte{4, 0x67, 1, 2, 3, 6, 28, 0x85, 1, 2, 3, 4, 3, 28, 0x45, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		s := &sink{}
		v := videoReader{to: s}
		now := time.Unix(1_700_000_000, 0)
		seq := uint16(0)
		for len(script) > 1 {
			n := min(int(script[0]&0x3f), len(script)-1)
			flags := script[0]
			payload := script[1 : 1+n]
			script = script[1+n:]
			seq += uint16(1 + flags>>7)
			now = now.Add(20 * time.Millisecond)
			p := &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: uint32(seq / 4), Marker: flags&0x40 != 0}, Payload: payload}
			ready, lost := v.order.push(p, now)
			if lost > 0 {
				v.missing(lost, now)
			}
			for _, a := range ready {
				v.packet(a, now)
			}
		}
		for _, f := range s.frames {
			if _, err := cmaf.SplitAVCC(f.Data); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestParseFragment(t *testing.T) {
	text := "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
		"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\n" +
		"a=candidate:2 1 udp 1 192.0.2.2 1 typ host\na=end-of-candidates\r\n"
	f, err := parseFragment(text)
	if err != nil {
		t.Fatal(err)
	}
	if f.ufrag != "EsAw" || f.pwd != "P2uYro0UCOQ4zxjKXaWCBui1" || !f.end || len(f.candidates) != 2 ||
		f.candidates[0].mid != "0" || f.candidates[1].mid != "1" || f.candidates[1].index != 1 {
		t.Errorf("%+v", f)
	}
	for _, bad := range []string{"x", "a", "hello world", strings.Repeat("a=x\r\n", 300), strings.Repeat("a=candidate:1\r\n", 70)} {
		if _, err := parseFragment(bad); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add("a=ice-ufrag:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 1.2.3.4 1 typ host\r\na=end-of-candidates\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		frag, err := parseFragment(text)
		if err != nil && errs.CodeOf(err) != errs.Invalid {
			t.Error(err)
		}
		if len(frag.candidates) > maxFragCandidates {
			t.Errorf("%d candidates", len(frag.candidates))
		}
	})
}

func FuzzCheckOffer(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\na=sendonly\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := checkOffer(text); err != nil && errs.CodeOf(err) != errs.Invalid && errs.CodeOf(err) != errs.Unsupported {
			t.Error(err)
		}
	})
}
