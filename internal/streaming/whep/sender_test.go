package whep

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

// packetLog is a viewer's network that keeps what was sent.
type packetLog struct{ packets []rtp.Header }

// WriteRTP keeps a header.
func (l *packetLog) WriteRTP(h *rtp.Header, _ []byte) (int, error) {
	l.packets = append(l.packets, *h)
	return 0, nil
}

// Write is not used.
func (l *packetLog) Write([]byte) (int, error) { return 0, nil }

// bench is a sender with a fan, whose time is the test's.
type senderBench struct {
	t      *testing.T
	fan    *fan
	sender *sender
	log    *packetLog
	now    time.Time
	asked  int
	ended  Reason
}

func newSenderBench(t *testing.T) *senderBench {
	t.Helper()
	b := &senderBench{t: t, log: &packetLog{}, now: time.Unix(1_700_000_000, 0)}
	b.fan = newFan(fanKey{"st-1", "0"}, Rung{Name: "0", Bitrate: 1_000_000}, time.Second, func() { b.asked++ }, slog.New(slog.DiscardHandler))
	b.sender = &sender{
		limits: defaultLimits(), wakeup: make(chan struct{}, 1), start: b.now,
		ladder: ladder{steps: []step{{rung: b.fan.rung}}},
		events: senderEvents{
			end: func(r Reason) { b.ended = r }, release: func(*fan) {}, rtcp: func([]rtcp.Packet) {},
			acquire: func(Rung) *fan { return b.fan },
		},
	}
	b.sender.heard = b.sender.feedback()
	b.sender.video = newLocalTrack(0, nil, &b.sender.mu)
	b.sender.video.writer, b.sender.video.ready = b.log, true
	b.sender.video.header.SSRC = 7
	return b
}

// frame pushes an access unit of one packet for each 1,000 bytes.
func (b *senderBench) frame(at int64, key bool, bytes int) {
	f := frame.Video{Key: key, Arrival: b.now}
	if key {
		f.Config = &cmaf.VideoConfig{Codec: cmaf.H264}
	}
	for ; bytes > 0; bytes -= 1000 {
		f.Data = cmaf.AppendAVCC(f.Data, append([]byte{0x41}, make([]byte, min(bytes, 1000)-1)...))
	}
	b.fan.Video(f, at)
}

// pump runs the sender, and waits as it wants to if it is to be finished.
func (b *senderBench) pump(finish bool) {
	for wait := b.sender.pump(b.now); finish && wait > 0; wait = b.sender.pump(b.now) {
		b.now = b.now.Add(wait)
	}
}

// pictures returns the timestamps that were sent since the last call, each once,
// as ticks of the viewer's timeline, and checks the sequence numbers.
func (b *senderBench) pictures() []int64 {
	b.t.Helper()
	var out []int64
	for i, h := range b.log.packets {
		if i > 0 && h.SequenceNumber != b.log.packets[i-1].SequenceNumber+1 {
			b.t.Errorf("sequence number %d comes after %d", h.SequenceNumber, b.log.packets[i-1].SequenceNumber)
		}
		at := int64(int32(h.Timestamp - b.sender.video.base))
		if len(out) == 0 || out[len(out)-1] != at {
			out = append(out, at)
		}
	}
	b.log.packets = nil
	for i := 1; i < len(out); i++ {
		if out[i] <= out[i-1] {
			b.t.Errorf("timestamp %d comes after %d", out[i], out[i-1])
		}
	}
	return out
}

func TestReplayIsSqueezed(t *testing.T) {
	b := newSenderBench(t)
	for i := range 60 {
		b.frame(int64(i)*3000, i == 0, 3000)
	}
	b.sender.begin(b.fan, b.now)
	b.pump(true)
	got := b.pictures()
	if len(got) != 60 || got[59] != 59*3000 || got[59]-got[0] != 59*squeezed {
		t.Errorf("%d pictures from %d to %d", len(got), got[0], got[len(got)-1])
	}
	b.frame(60*3000, false, 3000)
	b.pump(true)
	if got := b.pictures(); len(got) != 1 || got[0] != 60*3000 {
		t.Errorf("then %v", got)
	}
}

// Without a key frame in memory the viewer waits for the next one, which is asked
// for.
func TestBeginWithoutKey(t *testing.T) {
	b := newSenderBench(t)
	b.sender.begin(b.fan, b.now)
	b.pump(true)
	if b.asked != 1 {
		t.Errorf("asked %d times", b.asked)
	}
	b.frame(0, true, 1000)
	b.pump(true)
	if got := b.pictures(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// More than half a second of media does not wait: it is dropped to a key frame.
func TestQueueDropsToKey(t *testing.T) {
	b := newSenderBench(t)
	b.frame(0, true, 1000)
	b.sender.begin(b.fan, b.now)
	b.pump(true)
	b.sender.estimate.bits, b.sender.estimate.congested = minPace, true
	b.sender.pacer.set(minPace, b.now)
	for i := 1; i < 40; i++ { // 10 times what the network carries
		b.now = b.now.Add(33 * time.Millisecond)
		b.frame(int64(i)*3000, i == 30, 8000)
		b.pump(false)
		if behind := ticks(int64(i)*3000-b.sender.lastAt, videoClock); behind > 500*time.Millisecond && b.sender.part > 0 && b.log.packets[len(b.log.packets)-1].Timestamp != b.sender.video.base+uint32(b.sender.stamp) {
			t.Errorf("a picture %v old is sent", behind)
		}
	}
	got := b.pictures()
	skipped := false
	for i := 1; i < len(got); i++ {
		if d := got[i] - got[i-1]; d > 3000 {
			skipped = true
			if got[i] != 30*3000 {
				t.Errorf("after a gap comes %d, not the key frame, of %v", got[i]/3000, got)
			}
		}
	}
	if !skipped {
		t.Errorf("nothing was dropped: %v", got)
	}
}

// The viewer's timeline goes on where the stream's jumps back.
func TestTimelineJumps(t *testing.T) {
	b := newSenderBench(t)
	b.frame(900_000, true, 1000)
	b.sender.begin(b.fan, b.now)
	b.pump(true)
	for i := range 3 {
		b.now = b.now.Add(33 * time.Millisecond)
		b.frame(int64(i)*3000, i == 0, 1000)
		b.pump(true)
	}
	got := b.pictures()
	if len(got) != 4 || got[1]-got[0] != videoClock/25 || got[3]-got[2] != 3000 {
		t.Errorf("%v", got)
	}
}

// A request for a key frame is answered from memory, once a second.
func TestKeyRequests(t *testing.T) {
	b := newSenderBench(t)
	pli := []byte{0x81, typePayload, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7}
	n := int64(0)
	step := func() {
		b.frame(n*3000, n == 0, 1000)
		n++
		b.pump(true)
		b.now = b.now.Add(33 * time.Millisecond)
	}
	step()
	b.sender.begin(b.fan, b.now)
	for range 40 {
		step()
	}
	b.pictures()
	for range 30 {
		b.sender.hear(pli)
		step()
	}
	got := b.pictures()
	if len(got) < 60 || len(got) > 2*60+60 {
		t.Errorf("%d pictures came in a second with 40 in memory", len(got))
	}
	if b.asked != 1 {
		t.Errorf("the publisher was asked %d times", b.asked)
	}
}

// Lost packets come again, each a few times at most and only while they are kept.
func TestRepeats(t *testing.T) {
	b := newSenderBench(t)
	b.frame(0, true, 5000)
	b.sender.begin(b.fan, b.now)
	b.pump(true)
	first := b.log.packets[0].SequenceNumber
	b.log.packets = nil
	ask := func(sequence uint16) int {
		b.log.packets = nil
		b.sender.hear([]byte{0x81, typeTransport, 0, 3, 0, 0, 0, 1, 0, 0, 0, 7, byte(sequence >> 8), byte(sequence), 0, 0})
		return len(b.log.packets)
	}
	if n := ask(first + 2); n != 1 || b.log.packets[0].SequenceNumber != first+2 {
		t.Errorf("%d packets came again", n)
	}
	if ask(first+2) != 0 {
		t.Error("a request that crossed the answer was answered too")
	}
	if ask(first+100) != 0 || ask(first-1) != 0 {
		t.Error("packets came again that never were")
	}
	came := 0
	for range 50 {
		b.sender.start = b.sender.start.Add(-time.Second) // as if time went by
		came += ask(first + 1)
	}
	if came != maxRepeats {
		t.Errorf("a packet came again %d times", came)
	}
	b.sender.fan.mu.Lock()
	b.sender.fan.video.units = b.sender.fan.video.units[1:]
	b.sender.fan.video.first++
	b.sender.fan.mu.Unlock()
	if ask(first) != 0 {
		t.Error("a packet came again that is not kept")
	}
}

// The rung changes at a key frame that is later than all that was sent, and the
// old rung stops before the same picture.
func TestChangeAtKey(t *testing.T) {
	b := newSenderBench(t)
	lower := newFan(fanKey{"st-1", "1"}, Rung{Name: "1"}, time.Second, func() {}, slog.New(slog.DiscardHandler))
	b.sender.events.acquire = func(Rung) *fan { return lower }
	b.sender.ladder.steps = append(b.sender.ladder.steps, step{rung: lower.rung, payload: 99})
	lowerFrame := func(n int64) {
		f := frame.Video{Key: n%30 == 0, Arrival: b.now, Data: cmaf.AppendAVCC(nil, []byte{0x41, 1})}
		if f.Key {
			f.Config = &cmaf.VideoConfig{Codec: cmaf.H264}
		}
		lower.Video(f, n*3000)
	}
	lowerFrame(0)
	b.frame(0, true, 1000)
	b.sender.begin(b.fan, b.now)
	for n := int64(1); n < 50; n++ {
		b.now = b.now.Add(33 * time.Millisecond)
		b.frame(n*3000, n%30 == 0, 1000)
		if n > 10 { // a sidecar is later
			lowerFrame(n - 10)
		}
		if n == 15 && !b.sender.moveTo(1, 1, b.now) {
			t.Fatal("no change")
		}
		b.pump(true)
		for _, h := range b.log.packets {
			if at := int64(int32(h.Timestamp - b.sender.video.base)); (at >= 30*3000) != (h.PayloadType == 99) {
				t.Errorf("picture %d is sent with payload type %d", at/3000, h.PayloadType)
			}
		}
		if got := b.pictures(); n >= 30 && n < 40 && len(got) > 0 {
			t.Errorf("while the key frame is awaited, %v", got)
		} else if n > 40 && (len(got) != 1 || got[0] != (n-10)*3000) {
			t.Errorf("after the change, frame %d brings %v", n, got)
		}
	}
	if b.sender.ladder.at != 1 {
		t.Error("the rung did not change")
	}
}
