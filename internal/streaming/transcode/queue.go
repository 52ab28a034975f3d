package transcode

import (
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// input is a frame on its way to ffmpeg.
type input struct {
	data      []byte
	key       bool
	config    *cmaf.VideoConfig
	at        int64 // in the track's timescale
	offset    int32
	timestamp uint32
	arrival   time.Time
	fresh     bool // the first one after a break
	lost      bool // a place on the timeline alone: it, and those after it, are not to be had
}

// queue holds what ffmpeg has not taken yet. Adding never blocks.
type queue struct {
	frames, bytes int           // the limits
	ready         chan struct{} // something has changed

	mu       sync.Mutex
	items    []input
	size     int  // bytes in items
	skipping bool // video: until the next key frame
	fresh    bool // the next one is the first after a break
	ended    bool
	in, drop int64
}

func newQueue(l Limits) *queue {
	return &queue{frames: l.QueueFrames, bytes: l.QueueBytes, ready: make(chan struct{}, 1)}
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// full tells whether another frame of a size has no room.
func (q *queue) full(size int) bool {
	return len(q.items) >= q.frames || q.size+size > q.bytes && q.size > 0
}

// pushVideo adds a frame. When there is no room it and all up to the next key
// frame are dropped, since nothing could be decoded of them.
func (q *queue) pushVideo(in input) {
	defer q.wake()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.in++
	if q.skipping && !in.key || q.full(len(in.data)) {
		q.skipping = true
		q.drop++
		if n := len(q.items); n == 0 || !q.items[n-1].lost {
			q.items = append(q.items, input{at: in.at, offset: in.offset, lost: true})
		}
		return
	}
	q.skipping = false
	q.add(in)
}

// pushAudio adds a packet. When there is no room the oldest ones give way.
func (q *queue) pushAudio(in input) {
	defer q.wake()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.in++
	for q.full(len(in.data)) {
		q.remove()
		q.drop++
	}
	in.fresh, q.fresh = q.fresh, false
	q.add(in)
}

func (q *queue) add(in input) {
	q.items = append(q.items, in)
	q.size += len(in.data)
}

func (q *queue) remove() input {
	in := q.items[0]
	q.items[0] = input{} // lets go of the data
	q.items = q.items[1:]
	q.size -= len(in.data)
	return in
}

// pop takes the oldest frame. ended says that none will come any more.
func (q *queue) pop() (in input, ok, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return input{}, false, q.ended
	}
	return q.remove(), true, false
}

// gap says that the publisher was away.
func (q *queue) gap() {
	q.mu.Lock()
	q.skipping, q.fresh = true, true
	q.mu.Unlock()
}

func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.wake()
}

// counts returns how many frames came, and how many of them were dropped.
func (q *queue) counts() (in, dropped int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.in, q.drop
}
