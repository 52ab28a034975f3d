package whep

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const browserOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 105 106 98 99 45\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\n" +
	"a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
	"a=rtpmap:102 H264/90000\r\na=rtcp-fb:102 nack\r\na=rtcp-fb:102 nack pli\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n" +
	"a=rtpmap:104 H264/90000\r\na=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:105 rtx/90000\r\na=fmtp:105 apt=104\r\n" +
	"a=rtpmap:106 H264/90000\r\na=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\r\n" +
	"a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\na=rtpmap:99 VP9/90000\r\na=fmtp:99 profile-id=2\r\na=rtpmap:45 AV1/90000\r\n"

func avc(profile, flags byte) *cmaf.VideoConfig {
	return &cmaf.VideoConfig{Codec: cmaf.H264, SPS: []byte{0x67, profile, flags, 0x1f}}
}

func TestPick(t *testing.T) {
	o, err := parseOffer(browserOffer)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		config *cmaf.VideoConfig
		want   uint8
	}{
		"the same profile":           {avc(0x64, 0), 106},
		"constrained baseline":       {avc(0x42, 0xc0), 104},
		"constrained main, the same": {avc(0x4d, 0x80), 104},
		"main, which is not offered": {avc(0x4d, 0x40), 104},
		"VP8":                        {&cmaf.VideoConfig{Codec: cmaf.VP8}, 96},
		"VP9":                        {&cmaf.VideoConfig{Codec: cmaf.VP9}, 98},
		"VP9 with 10 bits":           {&cmaf.VideoConfig{Codec: cmaf.VP9, VP: cmaf.VPConfig{Profile: 2}}, 99},
		"VP9 with 4:4:4":             {&cmaf.VideoConfig{Codec: cmaf.VP9, VP: cmaf.VPConfig{Profile: 1}}, 0},
		"AV1":                        {&cmaf.VideoConfig{Codec: cmaf.AV1}, 45},
		"H265":                       {&cmaf.VideoConfig{Codec: cmaf.H265}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c, ok := o.video.pick(tt.config)
			if c.payload != tt.want || ok != (tt.want != 0) {
				t.Errorf("%d, %v", c.payload, ok)
			}
		})
	}
	if c, _ := o.video.pick(avc(0x42, 0xe0)); c.rtx != 105 {
		t.Errorf("retransmissions by %d", c.rtx)
	}
	if opus, ok := o.audio.opus(); !ok || opus.payload != 111 || opus.channels != 2 {
		t.Errorf("%+v", opus)
	}
	if names := o.video.names(); names != "VP8, H264 without packetization-mode=1, H264, VP9, AV1" {
		t.Error(names)
	}
}

func TestParseOffer(t *testing.T) {
	head := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	video := "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\na=recvonly\r\n"
	for name, tt := range map[string]struct {
		sdp  string
		want errs.Code
	}{
		"no SDP":                {"hello", errs.Invalid},
		"no media":              {head, errs.Invalid},
		"audio only":            {head + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=recvonly\r\n", errs.Invalid},
		"a publisher's":         {head + strings.ReplaceAll(video, "recvonly", "sendonly"), errs.Invalid},
		"refused by the viewer": {head + strings.ReplaceAll(video, " 9 ", " 0 "), errs.Invalid},
		"two videos":            {head + video + video, errs.Unsupported},
		"a data channel":        {head + video + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", errs.Unsupported},
		"too many sections":     {head + strings.Repeat("m=text 9 RTP/AVP 0\r\n", 20) + video, errs.Invalid},
		"good":                  {head + video, ""},
		"both ways":             {head + strings.ReplaceAll(video, "recvonly", "sendrecv"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseOffer(tt.sdp)
			if errs.CodeOf(err) != tt.want {
				t.Fatal(err)
			}
			if err == nil && strings.Contains(o.sdp, "sendrecv") {
				t.Error(o.sdp)
			}
		})
	}
}

func FuzzParseOffer(f *testing.F) {
	f.Add(browserOffer)
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:* nack\r\n")
	configs := []*cmaf.VideoConfig{avc(0x42, 0xe0), {Codec: cmaf.VP9}, {Codec: cmaf.AV1}, {Codec: cmaf.H265}}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if err != nil {
			if code := errs.CodeOf(err); code != errs.Invalid && code != errs.Unsupported {
				t.Error(err)
			}
			return
		}
		for _, config := range configs {
			if c, ok := o.video.pick(config); ok && (c.payload > 127 || c.clock != videoClock) {
				t.Errorf("%+v", c)
			}
		}
		_ = o.video.names()
		if o.audio != nil {
			_, _ = o.audio.opus()
		}
	})
}

// h264 puts the payloads of access units together again, as annex B.
func reassemble(t *testing.T, payloads [][]byte) [][]byte {
	t.Helper()
	var d codecs.H264Packet
	var stream []byte
	for _, p := range payloads {
		if len(p) > maxPayload {
			t.Errorf("a payload of %d bytes", len(p))
		}
		b, err := d.Unmarshal(p)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, b...)
	}
	return cmaf.SplitAnnexB(stream)
}

func TestH264Payloads(t *testing.T) {
	p, err := newPacketizer(cmaf.H264)
	if err != nil {
		t.Fatal(err)
	}
	sps, pps := []byte{0x67, 0x42, 0xe0, 0x1f, 1}, []byte{0x68, 2, 3}
	for _, size := range []int{2, 100, maxPayload, maxPayload + 1, 2*maxPayload - 4, 5000, 100_000} {
		sei, idr := []byte{0x06, 5, 1}, append([]byte{0x65}, bytes.Repeat([]byte{0xab}, size-1)...)
		f := frame.Video{Data: cmaf.AppendAVCC(nil, sei, idr), Key: true, Config: &cmaf.VideoConfig{Codec: cmaf.H264, SPS: sps, PPS: pps}}
		payloads, err := p.payloads(&f)
		if err != nil {
			t.Fatal(err)
		}
		nals := reassemble(t, payloads)
		want := [][]byte{sps, pps, sei, idr}
		if len(nals) != len(want) {
			t.Fatalf("%d bytes: %d NAL units", size, len(nals))
		}
		for i := range want {
			if !bytes.Equal(nals[i], want[i]) {
				t.Errorf("%d bytes: NAL unit %d is another", size, i)
			}
		}
		sizes := map[int]bool{}
		for _, p := range payloads[2:max(2, len(payloads)-1)] {
			sizes[len(p)] = true
		}
		if len(sizes) > 1 {
			t.Errorf("%d bytes: fragments of sizes %v", size, sizes)
		}
	}
	if _, err := p.payloads(&frame.Video{Data: []byte{0, 0, 0, 9, 1}}); err == nil {
		t.Error("a broken access unit was taken")
	}
}

func TestH265Payloads(t *testing.T) {
	p, err := newPacketizer(cmaf.H265)
	if err != nil {
		t.Fatal(err)
	}
	config := &cmaf.VideoConfig{Codec: cmaf.H265, VPS: []byte{0x40, 1, 1}, SPS: []byte{0x42, 1, 2}, PPS: []byte{0x44, 1, 3}}
	idr := append([]byte{0x26, 1}, bytes.Repeat([]byte{0xcd}, 4000)...)
	payloads, err := p.payloads(&frame.Video{Data: cmaf.AppendAVCC(nil, idr), Key: true, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	d := &codecs.H265Depacketizer{}
	var stream []byte
	for _, p := range payloads {
		b, err := d.Unmarshal(p)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, b...)
	}
	nals := cmaf.SplitAnnexB(stream)
	if len(nals) != 4 || !bytes.Equal(nals[0], config.VPS) || !bytes.Equal(nals[3], idr) {
		t.Errorf("%d NAL units", len(nals))
	}
}

func TestAV1Payloads(t *testing.T) {
	p, err := newPacketizer(cmaf.AV1)
	if err != nil {
		t.Fatal(err)
	}
	header := []byte{0x0a, 3, 1, 2, 3}
	picture := append([]byte{0x32, 0x85, 0x10}, bytes.Repeat([]byte{7}, 0x805)...)
	f := frame.Video{Data: picture, Key: true, Config: &cmaf.VideoConfig{Codec: cmaf.AV1, SequenceHeader: header}}
	payloads, err := p.payloads(&f)
	if err != nil || len(payloads) < 2 || payloads[0][0]&0x08 == 0 {
		t.Errorf("%v, %d payloads; the first one must begin a sequence", err, len(payloads))
	}
}

func TestTrack(t *testing.T) {
	tr := track{keep: time.Second, maxBytes: 5000}
	now := time.Now()
	push := func(key bool, size int) {
		now = now.Add(100 * time.Millisecond)
		tr.push(&unit{key: key, size: size, arrived: now})
	}
	push(true, 10)
	for range 29 {
		push(false, 10)
	}
	if tr.first != 0 || !tr.hasKey {
		t.Error("the pictures since the last key frame are kept however old they are")
	}
	push(true, 10)
	for range 4 {
		push(false, 10)
	}
	if tr.end()-tr.first != 10 || tr.key != 30 || !tr.hasKey {
		t.Errorf("%d units are kept, not those of a second", tr.end()-tr.first)
	}
	if u := tr.get(tr.first); u == nil || tr.get(tr.first-1) != nil || tr.get(tr.end()) != nil {
		t.Error("the numbers are wrong")
	}
	push(false, 4990)
	if tr.bytes > 5000 || tr.hasKey {
		t.Errorf("%d bytes are kept, and a key frame %v", tr.bytes, tr.hasKey)
	}
}

func TestHistory(t *testing.T) {
	var h history
	next := uint16(65_000)
	stamp := uint32(4_294_960_000)
	for i := range 20_000 { // 4 packets for each of 30 frames a second
		if i%4 == 0 {
			stamp += 3000
		}
		h.add(next, sentPacket{unit: uint32(i), timestamp: stamp})
		next++
		if i < 200 {
			continue
		}
		for _, age := range []int{1, 2, 100, 119} {
			if p := h.find(next-uint16(age), next); p == nil || p.unit != uint32(i-age+1) {
				t.Fatalf("after %d packets, the one %d ago is %+v", i, age, p)
			}
		}
	}
	if len(h.packets) > 256 {
		t.Errorf("room for %d packets where a second has 120", len(h.packets))
	}
	if h.find(next, next) != nil || h.find(next-5000, next) != nil {
		t.Error("a packet was found that is none")
	}
	for i := range 3000 { // a key frame of so many packets
		h.add(next, sentPacket{unit: uint32(i), timestamp: stamp})
		next++
	}
	if p := h.find(next-3000, next); p == nil || p.unit != 0 {
		t.Errorf("of a large picture the first packet is %+v", p)
	}
}

func TestPacer(t *testing.T) {
	var p pacer
	now := time.Now()
	p.set(8_000_000, now)
	sent := 0
	for end := now.Add(time.Second); now.Before(end); {
		if wait := p.wait(now); wait > 0 {
			now = now.Add(wait)
			continue
		}
		p.spend(1000)
		sent += 1000
	}
	if sent < 1_000_000 || sent > 1_000_000+burstBytes+stepBytes+1000 {
		t.Errorf("%d bytes in a second of 8 Mbit/s", sent)
	}
}

func TestRate(t *testing.T) {
	var r rate
	for i := range 300 {
		r.add(10_000, int64(i)*3000)
	}
	if r.value() != 2_400_000 {
		t.Errorf("%d", r.value())
	}
	r.add(10_000, 90_000*1000) // the publisher was away
	if r.value() != 2_400_000 {
		t.Errorf("%d after a gap", r.value())
	}
}

// heard is what a reader of feedback was told.
type heard struct {
	nacks    []uint16
	keys     int
	loss     []uint8
	arrivals map[uint16]int64
	lost     []uint16
	reports  int
}

func (h *heard) feedback() *feedback {
	h.arrivals = map[uint16]int64{}
	return &feedback{
		nack: func(_ uint32, s uint16) { h.nacks = append(h.nacks, s) },
		key:  func() { h.keys++ },
		loss: func(_ uint32, share uint8) { h.loss = append(h.loss, share) },
		arrived: func(s uint16, received bool, at int64) {
			if received {
				h.arrivals[s] = at
			} else {
				h.lost = append(h.lost, s)
			}
		},
		reported: func() { h.reports++ },
	}
}

// What pion writes we read, and as pion reads it.
func TestFeedback(t *testing.T) {
	packets := []rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 2, FractionLost: 77}}},
		&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: 2, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{65_535, 0, 3, 40})},
		&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2},
		&rtcp.FullIntraRequest{SenderSSRC: 1, MediaSSRC: 2, FIR: []rtcp.FIREntry{{SSRC: 2}}},
		&rtcp.TransportLayerCC{
			Header:     rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 7},
			SenderSSRC: 1, MediaSSRC: 2, BaseSequenceNumber: 65_530, PacketStatusCount: 20, ReferenceTime: 10,
			PacketChunks: []rtcp.PacketStatusChunk{
				&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: 2},
				&rtcp.StatusVectorChunk{SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, SymbolList: []uint16{1, 0, 2, 0, 0, 0, 0}},
				&rtcp.StatusVectorChunk{SymbolSize: rtcp.TypeTCCSymbolSizeOneBit, SymbolList: []uint16{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}},
			},
			RecvDeltas: []*rtcp.RecvDelta{
				{Type: 1, Delta: 1000}, {Type: 1, Delta: 250}, {Type: 1, Delta: 0}, {Type: 2, Delta: -500}, {Type: 1, Delta: 2500},
			},
		},
	}
	b, err := rtcp.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	h.feedback().read(b)
	if len(h.nacks) != 4 || h.nacks[0] != 65_535 || h.nacks[1] != 0 || h.nacks[2] != 3 || h.nacks[3] != 40 {
		t.Errorf("asked for %v", h.nacks)
	}
	if h.keys != 2 || len(h.loss) != 1 || h.loss[0] != 77 || h.reports != 1 {
		t.Errorf("%+v", h)
	}
	for s, want := range map[uint16]int64{65_530: 641_000, 65_531: 641_250, 65_532: 641_250, 65_534: 640_750, 13: 643_250} {
		if got, ok := h.arrivals[s]; !ok || got != want {
			t.Errorf("packet %d arrived at %d, not at %d", s, got, want)
		}
	}
	if len(h.arrivals) != 5 || len(h.lost) != 15 {
		t.Errorf("%d arrived, %d did not", len(h.arrivals), len(h.lost))
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfa, 0, 20, 0, 0, 10, 0, 0x20, 2, 1, 1})
	f.Add([]byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xff, 0xff})
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h heard
		h.feedback().read(b)
		if n := len(h.arrivals) + len(h.lost); n > 8*maxTransportList*(len(b)/transportHead+1) {
			t.Errorf("%d packets in %d bytes", n, len(b))
		}
		s := &sender{video: &localTrack{}, start: time.Now(), limits: defaultLimits()}
		fb := s.feedback()
		fb.now = time.Now()
		for i := range uint16(200) {
			s.estimate.send(i, 1000, int64(i)*1000)
			s.history.add(i, sentPacket{unit: uint32(i)})
		}
		fb.read(b)
		if s.estimate.bits < 0 {
			t.Errorf("%d bits per second", s.estimate.bits)
		}
	})
}

func TestNTP(t *testing.T) {
	got := ntp(time.Date(2000, 1, 1, 0, 0, 0, 500_000_000, time.UTC))
	if got>>32 != 3155673600 || uint32(got) != 1<<31 {
		t.Errorf("%x", got)
	}
}
