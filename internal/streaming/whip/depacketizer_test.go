package whip

import (
	"bytes"
	"context"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

const testMTU = 1200

// clips are made once, of each codec.
var clips = struct {
	sync.Mutex
	made map[cmaf.VideoCodec]*streamtest.Clip
}{made: map[cmaf.VideoCodec]*streamtest.Clip{}}

func clipOf(t testing.TB, codec cmaf.VideoCodec) *streamtest.Clip {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	if clips.made[codec] == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c, err := streamtest.MakeClip(ctx, streamtest.Picture{Width: 320, Height: 180, Codec: codec}, 2)
		if err != nil {
			t.Fatal(err)
		}
		clips.made[codec] = c
	}
	return clips.made[codec]
}

// codec is how a test sends one and what must come out.
type codec struct {
	id       cmaf.VideoCodec
	payloads rtp.Payloader
	sample   func(t testing.TB, unit []byte) []byte // of an access unit of a clip
}

func testCodecs() map[string]codec {
	return map[string]codec{
		"H264":              {cmaf.H264, &rtpcodecs.H264Payloader{}, avcSample},
		"H265":              {cmaf.H265, &rtpcodecs.H265Payloader{}, hevcSample},
		"VP8":               {cmaf.VP8, &rtpcodecs.VP8Payloader{}, asItIs},
		"VP8 with ids":      {cmaf.VP8, &rtpcodecs.VP8Payloader{EnablePictureID: true}, asItIs},
		"VP9":               {cmaf.VP9, &rtpcodecs.VP9Payloader{}, asItIs},
		"VP9 flexible mode": {cmaf.VP9, &rtpcodecs.VP9Payloader{FlexibleMode: true}, asItIs},
		"AV1":               {cmaf.AV1, &rtpcodecs.AV1Payloader{}, withoutDelimiter},
	}
}

func asItIs(_ testing.TB, unit []byte) []byte { return unit }

func avcSample(_ testing.TB, unit []byte) []byte {
	var sample []byte
	for _, n := range cmaf.SplitAnnexB(unit) {
		if kind := cmaf.NALType(n); kind != cmaf.NALSPS && kind != cmaf.NALPPS {
			sample = cmaf.AppendAVCC(sample, n)
		}
	}
	return sample
}

func hevcSample(_ testing.TB, unit []byte) []byte {
	var sample []byte
	for _, n := range cmaf.SplitAnnexB(unit) {
		if kind := n[0] >> 1; kind < 32 || kind > 34 {
			sample = cmaf.AppendAVCC(sample, n)
		}
	}
	return sample
}

// withoutDelimiter drops the temporal delimiter (an empty OBU of type 2).
func withoutDelimiter(t testing.TB, unit []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(unit, []byte{0x12, 0}) {
		t.Fatalf("the temporal unit begins with % x", unit[:4])
	}
	return unit[2:]
}

// packetize makes RTP packets of access units, as a publisher does.
func packetize(p rtp.Payloader, units [][]byte) []*rtp.Packet {
	z := rtp.NewPacketizerWithOptions(testMTU, p, rtp.NewFixedSequencer(65_530), 90000,
		rtp.WithPayloadType(96), rtp.WithSSRC(1), rtp.WithTimestamp(4_294_966_000))
	var packets []*rtp.Packet
	for _, unit := range units {
		packets = append(packets, z.Packetize(unit, 3000)...)
	}
	return packets
}

// feed plays packets through a reader, 1 ms apart, and waits for what is missing
// in the end.
func feed(t testing.TB, id cmaf.VideoCodec, packets []*rtp.Packet) *sink {
	t.Helper()
	s := newSink(id)
	v, err := newVideoReader(id, s)
	if err != nil {
		t.Fatal(err)
	}
	order := &reorder{to: v, wait: maxReorder}
	now := time.Unix(1_700_000_000, 0)
	buf := make([]byte, receiveMTU)
	for _, p := range packets {
		now = now.Add(time.Millisecond)
		n := copy(buf, p.Payload) // the reader's buffer is used again
		order.push(packet{sequence: p.SequenceNumber, timestamp: p.Timestamp, marker: p.Marker, payload: buf[:n], at: now})
	}
	for order.waiting() {
		now = now.Add(repairEvery)
		order.expire(now)
	}
	return s
}

// TestAccessUnits sends what real encoders made and gets it back bit by bit.
func TestAccessUnits(t *testing.T) {
	for name, c := range testCodecs() {
		t.Run(name, func(t *testing.T) {
			clip := clipOf(t, c.id)
			s := feed(t, c.id, packetize(c.payloads, clip.Frames))
			if len(s.frames) != len(clip.Frames) || s.lost > 0 || s.dropped > 0 {
				t.Fatalf("%d of %d frames, lost %d times", len(s.frames), len(clip.Frames), s.lost)
			}
			for i, unit := range clip.Frames {
				f := s.frames[i]
				if want := c.sample(t, unit); !bytes.Equal(f.Data, want) {
					t.Fatalf("frame %d has %d bytes and is not the one of %d that was sent", i, len(f.Data), len(want))
				}
				if key := i%streamtest.FrameRate == 0; f.Key != key || (f.Config != nil) != key {
					t.Fatalf("frame %d: key %t, configuration %v", i, f.Key, f.Config)
				}
				if f.Config != nil && (f.Config.Codec != c.id || f.Config.Width != 320 || f.Config.Height != 180) {
					t.Errorf("frame %d: %+v", i, f.Config)
				}
				if want := uint32(4_294_966_000 + 3000*i); f.Timestamp != want {
					t.Errorf("frame %d is at %d, not %d", i, f.Timestamp, want)
				}
			}
		})
	}
}

// TestShuffled delivers packets out of order, within the limit.
func TestShuffled(t *testing.T) {
	for name, c := range testCodecs() {
		t.Run(name, func(t *testing.T) {
			clip := clipOf(t, c.id)
			packets := packetize(c.payloads, clip.Frames)
			rnd := rand.New(rand.NewSource(2))
			for range 20 {
				shuffled := append([]*rtp.Packet(nil), packets...)
				for i := 1; i+4 < len(shuffled); i += 4 {
					rnd.Shuffle(4, func(a, b int) { shuffled[i+a], shuffled[i+b] = shuffled[i+b], shuffled[i+a] })
				}
				shuffled = append(shuffled, shuffled[3]) // twice
				s := feed(t, c.id, shuffled)
				if len(s.frames) != len(clip.Frames) || s.lost > 0 {
					t.Fatalf("%d of %d frames, lost %d times", len(s.frames), len(clip.Frames), s.lost)
				}
				for i, unit := range clip.Frames {
					if !bytes.Equal(s.frames[i].Data, c.sample(t, unit)) {
						t.Fatalf("frame %d is not the one that was sent", i)
					}
				}
			}
		})
	}
}

// TestLoss loses each packet in turn, then many at random, also the first and the
// last. No frame that misses a part gets through, and few whole ones are lost.
func TestLoss(t *testing.T) {
	for name, c := range testCodecs() {
		t.Run(name, func(t *testing.T) {
			clip := clipOf(t, c.id)
			packets := packetize(c.payloads, clip.Frames)
			sent := map[uint32][]byte{}
			for i, unit := range clip.Frames {
				sent[uint32(4_294_966_000+3000*i)] = c.sample(t, unit)
			}
			intact := func(s *sink) {
				t.Helper()
				for _, f := range s.frames {
					if !bytes.Equal(f.Data, sent[f.Timestamp]) {
						t.Fatal("a broken frame got through")
					}
				}
			}
			for missing := range packets {
				rest := append(append([]*rtp.Packet(nil), packets[:missing]...), packets[missing+1:]...)
				s := feed(t, c.id, rest)
				intact(s)
				if s.lost == 0 && missing != len(packets)-1 && missing != 0 {
					t.Errorf("packet %d: its loss was not noticed", missing)
				}
				if len(s.frames) < len(clip.Frames)-3 {
					t.Errorf("packet %d cost %d frames", missing, len(clip.Frames)-len(s.frames))
				}
			}
			rnd := rand.New(rand.NewSource(3))
			for range 50 {
				var rest []*rtp.Packet
				for _, p := range packets {
					if rnd.Intn(20) > 0 {
						rest = append(rest, p)
					}
				}
				for i := 1; i+3 < len(rest); i += 3 {
					rnd.Shuffle(3, func(a, b int) { rest[i+a], rest[i+b] = rest[i+b], rest[i+a] })
				}
				intact(feed(t, c.id, rest))
			}
		})
	}
}

// TestMarkerless sends no markers: the next timestamp ends an access unit.
func TestMarkerless(t *testing.T) {
	for name, c := range testCodecs() {
		t.Run(name, func(t *testing.T) {
			clip := clipOf(t, c.id)
			packets := packetize(c.payloads, clip.Frames)
			for _, p := range packets {
				p.Marker = false
			}
			s := feed(t, c.id, packets)
			if len(s.frames) != len(clip.Frames)-1 || s.lost > 0 {
				t.Fatalf("%d of %d frames, lost %d times", len(s.frames), len(clip.Frames), s.lost)
			}
			for i := 1; i < len(s.frames); i++ {
				if !s.frames[i].Arrival.After(s.frames[i-1].Arrival) {
					t.Fatalf("frame %d arrived with the one before", i)
				}
			}
		})
	}
}

func TestBadPayloads(t *testing.T) {
	for name, tt := range map[string]struct {
		codec   cmaf.VideoCodec
		payload []byte
	}{
		"STAP-A cut off":               {cmaf.H264, []byte{24, 0, 9, 1}},
		"STAP-A half a length":         {cmaf.H264, []byte{24, 0}},
		"FU-A without payload":         {cmaf.H264, []byte{28, 0x85}},
		"FU-A without beginning":       {cmaf.H264, []byte{28, 0x05, 1}},
		"STAP-B":                       {cmaf.H264, []byte{25, 1, 2}},
		"reserved H264":                {cmaf.H264, []byte{31, 1}},
		"H265 header cut off":          {cmaf.H265, []byte{0x40}},
		"FU without payload":           {cmaf.H265, []byte{49 << 1, 1, 0x81}},
		"FU without beginning":         {cmaf.H265, []byte{49 << 1, 1, 0x01, 1}},
		"PACI":                         {cmaf.H265, []byte{50 << 1, 1, 1}},
		"VP8 descriptor cut off":       {cmaf.VP8, []byte{0x90}},
		"VP8 without beginning":        {cmaf.VP8, []byte{0x00, 1, 2}},
		"VP9 descriptor cut off":       {cmaf.VP9, []byte{0x88}},
		"VP9 without beginning":        {cmaf.VP9, []byte{0x80, 1, 2}},
		"AV1 continues nothing":        {cmaf.AV1, []byte{0x90, 1}},
		"AV1 element longer than data": {cmaf.AV1, []byte{0x08, 9, 1}},
		"AV1 length without end":       {cmaf.AV1, []byte{0x08, 0x80}},
		"AV1 forbidden bit":            {cmaf.AV1, []byte{0x18, 0x80}},
		"AV1 less than it says":        {cmaf.AV1, []byte{0x28, 1, 0x30}},
	} {
		format, err := payloadsOf(tt.codec)
		if err != nil {
			t.Fatal(err)
		}
		d := depacketizer{format: format, whole: true}
		if err := d.push(tt.payload, 1, true, func(accessUnit) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTooLarge sends access units without an end.
func TestTooLarge(t *testing.T) {
	for name, tt := range map[string]struct {
		codec       cmaf.VideoCodec
		first, more []byte
	}{
		"H264": {cmaf.H264, []byte{28, 0x85}, []byte{28, 0x05}},
		"H265": {cmaf.H265, []byte{49 << 1, 1, 0x93}, []byte{49 << 1, 1, 0x13}},
		"VP8":  {cmaf.VP8, []byte{0x10}, []byte{0x00}},
		"VP9":  {cmaf.VP9, []byte{0x08}, []byte{0x00}},
		"AV1":  {cmaf.AV1, []byte{0x58, 0x30}, []byte{0xd0}},
	} {
		format, err := payloadsOf(tt.codec)
		if err != nil {
			t.Fatal(err)
		}
		d := depacketizer{format: format, whole: true}
		big := make([]byte, 1<<20)
		err = d.push(append(tt.first, big...), 1, false, nil)
		for range 5 {
			if err != nil {
				break
			}
			err = d.push(append(tt.more, big...), 1, false, nil)
		}
		if err == nil {
			t.Errorf("%s: an access unit may have any size", name)
		}
	}
}
