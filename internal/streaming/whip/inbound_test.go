package whip

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// TestReportBlock follows the counting of RFC 3550, A.3.
func TestReportBlock(t *testing.T) {
	in := &inbound{clock: 90000, nacks: true}
	now := time.Unix(1_700_000_000, 0)
	heard := func(numbers ...uint16) {
		for _, n := range numbers {
			now = now.Add(time.Second / 30)
			in.heard(&header{sequence: n, timestamp: uint32(n) * 3000}, now)
		}
	}
	heard(65533, 65534, 1, 2, 0) // 65535 is missing, 0 was overtaken
	r := in.report(7, now)
	if r.SSRC != 7 || r.TotalLost != 1 || r.FractionLost != 256/6 || r.LastSequenceNumber != 1<<16|2 {
		t.Errorf("%+v", r)
	}
	if missing := in.missing(now); !slices.Equal(missing, []uint16{65535}) {
		t.Errorf("missing: %d", missing)
	}
	if missing := in.missing(now.Add(maxReorder)); len(missing) > 0 {
		t.Errorf("still asked for: %d", missing)
	}
	heard(3, 4, 5, 6)
	if r = in.report(7, now); r.TotalLost != 1 || r.FractionLost != 0 {
		t.Errorf("%+v", r)
	}
	heard(20_000, 20_001) // begun anew
	if r = in.report(7, now); r.TotalLost != 1 || r.LastSequenceNumber&0xffff != 20_001 {
		t.Errorf("%+v", r)
	}
}

// TestJitter is 0 for a steady sender and nears the deviation of an unsteady one.
func TestJitter(t *testing.T) {
	for late, want := range map[time.Duration]float64{0: 0, 10 * time.Millisecond: 10} {
		in := &inbound{clock: 90000}
		now := time.Unix(1_700_000_000, 0)
		for i := range 300 {
			at := now.Add(time.Duration(i) * time.Second / 30)
			if i%2 == 1 {
				at = at.Add(late)
			}
			in.heard(&header{sequence: uint16(i), timestamp: uint32(i)*3000 - 5000}, at)
		}
		if got := in.jitter / 90; math.Abs(got-want) > 0.1 {
			t.Errorf("%s: %.2f ms", late, got)
		}
		in.heard(&header{sequence: 300, timestamp: 1 << 30}, now.Add(10*time.Second)) // the clock jumps
		if got := in.jitter / 90; math.Abs(got-want) > 10 {
			t.Errorf("%s, and a jump: %.2f ms", late, got)
		}
	}
}

// TestFeedback asks for a missing packet until it comes by retransmission, and
// says what has come.
func TestFeedback(t *testing.T) {
	f := newFeedback()
	written := make(chan []rtcp.Packet, 100)
	f.BindRTCPWriter(interceptor.RTCPWriterFunc(func(p []rtcp.Packet, _ interceptor.Attributes) (int, error) {
		written <- p
		return 0, nil
	}))
	defer func() { _ = f.Close() }()
	packets := [][]byte{rtpPacket(1), rtpPacket(3)}
	r := f.BindRemoteStream(&interceptor.StreamInfo{
		SSRC: 9, ClockRate: 90000, MimeType: webrtc.MimeTypeH264, RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}},
	}, interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n := copy(b, packets[0])
		packets = packets[1:]
		return n, a, nil
	}))
	buf := make([]byte, receiveMTU)
	for len(packets) > 0 {
		if _, _, err := r.Read(buf, nil); err != nil {
			t.Fatal(err)
		}
	}
	f.reported(&rtcp.SenderReport{SSRC: 9, NTPTime: 0x1234_5678_9abc_def0}, time.Now())
	nacked, reported := false, false
	deadline := time.After(patience)
	for !nacked || !reported {
		var out []rtcp.Packet
		select {
		case out = <-written:
		case <-deadline:
			t.Fatalf("nacked %t, reported %t", nacked, reported)
		}
		for _, p := range out {
			switch p := p.(type) {
			case *rtcp.TransportLayerNack:
				nacked = true
				if p.MediaSSRC != 9 || len(p.Nacks) != 1 || !slices.Equal(p.Nacks[0].PacketList(), []uint16{2}) {
					t.Errorf("NACK: %+v", p)
				}
				f.repaired(9, 2)
			case *rtcp.ReceiverReport:
				reported = true
				if len(p.Reports) != 1 || p.Reports[0].LastSenderReport != 0x5678_9abc || p.Reports[0].TotalLost != 1 || p.Reports[0].Delay == 0 {
					t.Errorf("report: %+v", p)
				}
			}
		}
	}
	if missing := f.missing(time.Now()); len(missing) > 0 {
		t.Errorf("a repaired packet is still missing: %v", missing)
	}
}

func rtpPacket(sequence uint16) []byte {
	return []byte{0x80, 96, byte(sequence >> 8), byte(sequence), 0, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3}
}
