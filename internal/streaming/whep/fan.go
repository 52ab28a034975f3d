package whep

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
)

const (
	// keepFor is above 1 s, after which nobody asks again for a lost packet.
	keepFor  = 1500 * time.Millisecond
	maxVideo = 24 << 20 // bytes kept: 4 s of 20 Mbit/s and then some
	maxAudio = 1 << 20
	rateTime = 2 * time.Second // that a rate is measured over
)

// fan takes the frames of one rung, makes packets of them and wakes its viewers.
// It is a frame.Tap.
type fan struct {
	key  fanKey
	rung Rung
	log  *slog.Logger

	ask      func() // for a key frame
	askEvery time.Duration

	start sync.Once
	stop  func() // ends the tap
	users int    // owned by the server's lock

	// Of the tap's calls, which come one at a time.
	codec   cmaf.VideoCodec
	packets packetizer

	mu        sync.RWMutex
	video     track
	audio     track
	followers []chan<- struct{}
	reordered bool // has B-frames
	over      bool
	asked     time.Time
	rate      rate
	epoch     time.Time // when the timeline's zero was
}

type fanKey struct{ stream, rung string }

func newFan(key fanKey, r Rung, askEvery time.Duration, ask func(), log *slog.Logger) *fan {
	return &fan{
		key: key, rung: r, ask: ask, askEvery: askEvery, log: log.With("stream", key.stream, "rung", key.rung),
		video: track{keep: keepFor, maxBytes: maxVideo},
		audio: track{keep: keepFor, maxBytes: maxAudio},
	}
}

// Video takes the next access unit.
func (f *fan) Video(v frame.Video, at int64) {
	if v.Config != nil && (f.packets == nil || f.codec != v.Config.Codec) {
		var err error
		f.codec = v.Config.Codec
		if f.packets, err = newPacketizer(f.codec); err != nil {
			f.log.Warn("a frame cannot be sent to viewers", "error", err)
		}
	}
	if f.packets == nil || len(v.Data) > maxUnit {
		return
	}
	payloads, err := f.packets.payloads(&v)
	if err != nil {
		f.log.Warn("a frame cannot be sent to viewers", "error", err)
		return
	}
	u := newUnit(payloads, at, v.Key, v.Arrival)
	f.mu.Lock()
	f.settle(u, videoClock)
	f.video.push(u)
	f.rate.add(u.size, at)
	f.reordered = f.reordered || v.Offset != 0
	f.wake()
}

// Audio takes the next packet.
func (f *fan) Audio(a frame.Audio, at int64) {
	if len(a.Data) == 0 || len(a.Data) > maxPayload {
		return
	}
	u := newUnit([][]byte{a.Data}, at, true, a.Arrival)
	f.mu.Lock()
	f.settle(u, audioClock)
	f.audio.push(u)
	f.wake()
}

// Break says that times may jump. Viewers keep the last picture until the next
// key frame.
func (f *fan) Break() {}

// End says that the stream is over.
func (f *fan) End() {
	f.mu.Lock()
	f.over = true
	f.wake()
}

func newUnit(payloads [][]byte, at int64, key bool, arrived time.Time) *unit {
	if arrived.IsZero() {
		arrived = time.Now()
	}
	u := &unit{at: at, arrived: arrived, key: key, payloads: payloads}
	for _, p := range payloads {
		u.size += len(p)
	}
	return u
}

// settle fixes where the timeline lies in real time, by the first unit.
func (f *fan) settle(u *unit, clock int64) {
	if f.epoch.IsZero() {
		f.epoch = u.arrived.Add(-ticks(u.at, clock))
	}
}

// ticks makes a duration of a time in units of a clock.
func ticks(at, clock int64) time.Duration {
	return time.Duration(at/clock)*time.Second + time.Duration(at%clock)*time.Second/time.Duration(clock)
}

// wake tells the followers and unlocks.
func (f *fan) wake() {
	for _, c := range f.followers {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
	f.mu.Unlock()
}

// follow wakes a viewer by every new unit.
func (f *fan) follow(c chan<- struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers = append(f.followers, c)
}

func (f *fan) unfollow(c chan<- struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.followers, c); i >= 0 {
		f.followers = slices.Delete(f.followers, i, i+1)
	}
}

// requestKey asks for a key frame, rarely enough.
func (f *fan) requestKey(now time.Time) {
	f.mu.Lock()
	due := now.Sub(f.asked) >= f.askEvery
	if due {
		f.asked = now
	}
	f.mu.Unlock()
	if due {
		f.ask()
	}
}

// bitrate is that of the video, in bits per second: measured, or as it was said.
func (f *fan) bitrate() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if r := f.rate.value(); r > 0 {
		return r
	}
	return f.rung.Bitrate
}

// state of a fan, for a viewer.
type state struct {
	over, reordered bool
}

func (f *fan) state() state {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return state{over: f.over, reordered: f.reordered}
}

// place is a unit with its surroundings.
type place struct {
	unit   *unit
	number uint64
	behind int    // units after it
	edge   int64  // time of the newest unit
	key    uint64 // number of the last key frame
	hasKey bool
	end    uint64
}

// at returns the place of a unit; its unit is nil if there is none.
func (f *fan) at(t *track, n uint64) place {
	f.mu.RLock()
	defer f.mu.RUnlock()
	p := place{unit: t.get(n), number: n, key: t.key, hasKey: t.hasKey, end: t.end()}
	if last := t.last(); last != nil {
		p.edge = last.at
		p.behind = int(t.end()-n) - 1
	}
	return p
}

// lookup returns a unit for a retransmission.
func (f *fan) lookup(t *track, n uint64) *unit {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return t.get(n)
}

// live returns the number that the next unit of a track gets.
func (f *fan) live(t *track) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return t.end()
}

// after returns the number of the first unit of a track that is later than a
// time on the timeline.
func (f *fan) after(t *track, at int64) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := t.end()
	for n > t.first && t.get(n-1).at > at {
		n--
	}
	return n
}

// began is when the timeline's zero was.
func (f *fan) began() time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.epoch
}
