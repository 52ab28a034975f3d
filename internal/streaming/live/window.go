package live

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// What is kept for players, in ticks where it is a time.
const (
	listedTicks    = 30 * ticksPerSecond // of the live playlist
	minListed      = 6                   // segments
	partsTicks     = 3 * 4 * ticksPerSecond
	keptSegments   = 2        // behind the playlist, in memory
	maxWindowBytes = 64 << 20 // of all segments in memory
	leastInMemory  = 3        // segments, whatever their size
)

// window is what players can have of one rung: the segments and parts in memory,
// the playlists that name them, and the facts of all segments before.
type window struct {
	rung       string
	cfg        *Config
	hasVideo   bool
	split      bool         // the video-only view is served too
	holding    atomic.Int64 // requests that wait
	last       atomic.Pointer[position]
	out        atomic.Bool // it is not offered
	renderings atomic.Int64
	dvrs       [views]dvrText
	peers      *[]*window // all of the stream, this one too

	mu          sync.RWMutex
	segments    []*Segment // all of the broadcast, the open one last
	listed      int        // how many of segments, from the end, the playlist names
	held        int        // how many of segments, from the end, are in memory
	next        uint64
	bytes       int64
	inits       map[initKey]initData
	formats     cmaf.Formats // of all init segments
	epoch       int64        // of what comes next
	peak        int64        // bits per second, of any segment
	size, ticks int64        // of all complete segments but gaps
	busiest     int64        // bits per second, the highest average of what was listed
	interval    int64
	skipped     uint64 // discontinuities that have left the playlist
	aligned     bool   // it is known whether segments begin with key frames
	unaligned   bool   // one does not
	hintInit    string // of the next part, when it is a new one
	losses      int    // how often the object store turned out to lack a segment
	ended       bool
	parked      bool
	state       *state
	changed     chan struct{}
}

// initKey names an init segment.
type initKey struct {
	epoch   int64
	version int
}

// initData is an init segment in both views.
type initData [views][]byte

// position is the end of a rung's playlist, for rendition reports.
type position struct {
	msn  uint64
	part int
}

func newWindow(rung string, cfg *Config, video, split bool, peers *[]*window) *window {
	w := &window{
		rung: rung, cfg: cfg, hasVideo: video, split: split, peers: peers,
		inits: map[initKey]initData{}, changed: make(chan struct{}),
	}
	*peers = append(*peers, w)
	w.state = w.snapshot()
	return w
}

// publish shows what has changed to all who wait. The caller holds mu.
func (w *window) publish() {
	w.state = w.snapshot()
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait returns the first state that is ready, or the present one with the
// context's error. Errors: errs.Unavailable when none comes any more.
func (w *window) wait(ctx context.Context, ready func(*state) bool) (*state, error) {
	for {
		w.mu.RLock()
		s, changed := w.state, w.changed
		w.mu.RUnlock()
		if ready(s) {
			return s, nil
		}
		if s.parked {
			return s, errs.New(errs.Unavailable, "the server is restarting; try again in a moment")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

func (w *window) nextMSN() uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.next
}

// setEpoch says the epoch of what comes next.
func (w *window) setEpoch(epoch int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoch != epoch {
		w.epoch = epoch
		w.publish() // it is in the name of the part that is hinted at
	}
}

// addInit keeps an init segment; alone is that of the video-only view.
func (w *window) addInit(key initKey, data, alone []byte, video *cmaf.VideoConfig) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if video != nil {
		w.formats.Add(cmaf.Init{Video: video})
	}
	w.inits[key] = initData{data, alone}
	n := len(w.segments)
	if n > 0 && (w.segments[n-1].Epoch != key.epoch || w.segments[n-1].Init != key.version) {
		w.hintInit = initName(key.epoch, key.version)
		w.publish()
	}
}

// align notes whether a segment begins with a key frame. Playlists are shown
// once that is known of the second one, as they say it of all and may not change
// their mind.
func (w *window) align(key bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.aligned && (key || w.unaligned) {
		return
	}
	w.aligned = true
	w.unaligned = w.unaligned || !key
	w.publish()
}

func (w *window) openSegment(s *Segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.uri = segmentName(s.Epoch, s.MSN)
	w.hintInit = ""
	w.segments = append(w.segments, s)
	w.listed++
	w.held++
	w.next = s.MSN + 1
}

func (w *window) addPart(s *Segment, p *Part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.uri = partName(s.Epoch, s.MSN, len(s.parts))
	s.parts = append(s.parts, p)
	s.Size += int64(len(p.data))
	w.bytes += int64(len(p.data))
	w.last.Store(&position{s.MSN, len(s.parts) - 1})
	w.publish()
}

// closeSegment completes the open segment. An empty one is taken back and false
// returned.
func (w *window) closeSegment(s *Segment, c closeCut) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.empty {
		w.segments = w.segments[:len(w.segments)-1]
		w.listed--
		w.held--
		w.next = s.MSN
		w.publish()
		return false
	}
	s.Ticks, s.complete = c.ticks, true
	w.count(s)
	w.interval = c.interval
	w.trim()
	w.busiest = max(w.busiest, w.averageListed())
	w.publish()
	return true
}

// count adds a complete segment to the bitrates. A gap has none.
func (w *window) count(s *Segment) {
	if s.Size == 0 {
		return
	}
	w.peak = max(w.peak, s.Size*8*ticksPerSecond/max(s.Ticks, ticksPerSecond/10))
	w.size += s.Size
	w.ticks += s.Ticks
}

// average is the bits per second of all complete segments, or of the half minute
// that had the most: a publisher that has climbed stays there.
func (w *window) average() int64 {
	return max(w.busiest, w.size*8*ticksPerSecond/max(w.ticks, ticksPerSecond))
}

// averageListed is the bits per second of the complete segments in the playlist.
func (w *window) averageListed() int64 {
	var size, ticks int64
	for _, s := range w.list() {
		if s.complete && s.Size > 0 {
			size += s.Size
			ticks += s.Ticks
		}
	}
	return size * 8 * ticksPerSecond / max(ticks, ticksPerSecond)
}

// trim shortens the playlist and forgets the oldest bytes.
func (w *window) trim() {
	var length int64
	for _, s := range w.list() {
		length += s.Ticks
	}
	for w.listed > minListed {
		oldest := w.list()[0]
		if length-oldest.Ticks < listedTicks {
			break
		}
		length -= oldest.Ticks
		w.listed--
		if oldest.released {
			oldest.parts = nil // the playlist named them until now
		}
		if oldest.Discontinuity {
			w.skipped++
		}
	}
	for w.held > w.listed+keptSegments || w.bytes > maxWindowBytes && w.held > leastInMemory {
		s := w.segments[len(w.segments)-w.held]
		w.held--
		w.bytes -= s.Size
		s.release(w.held >= w.listed)
		if s.lost {
			w.losses++
		}
	}
}

// list returns the segments that the playlist names.
func (w *window) list() []*Segment { return w.segments[len(w.segments)-w.listed:] }

// release forgets a segment's bytes, and what its parts were unless the playlist
// may still name them. Its facts stay: the object store has its media under a
// name made of them.
func (s *Segment) release(unlisted bool) {
	s.released = true
	if unlisted {
		s.parts = nil
		return
	}
	for i, p := range s.parts {
		facts := *p
		facts.data, facts.videoHead = nil, nil
		s.parts[i] = &facts
	}
}

// lose notes that the object store has not taken a segment.
func (w *window) lose(epoch int64, msn uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.find(epoch, msn); s != nil {
		s.lost = true
		w.losses++
		if w.ended && s.released {
			w.publish()
		}
	}
}

// releaseAll forgets the bytes of all segments of a stream that has ended. Its
// playlists name whole segments from then on.
func (w *window) releaseAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended || w.held == 0 {
		return
	}
	for _, s := range w.segments[len(w.segments)-w.held:] {
		s.release(true)
		if s.lost {
			w.losses++
		}
	}
	w.held, w.bytes = 0, 0
	w.publish()
}

func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.aligned, w.hintInit = true, true, ""
	w.publish()
}

func (w *window) park() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = true
	w.publish()
}

// find returns a segment, also the open one; nil if there is none. The caller
// holds mu.
func (w *window) find(epoch int64, msn uint64) *Segment {
	i, ok := slices.BinarySearchFunc(w.segments, msn, func(s *Segment, msn uint64) int {
		switch {
		case s.MSN < msn:
			return -1
		case s.MSN > msn:
			return 1
		}
		return 0
	})
	if !ok || w.segments[i].Epoch != epoch {
		return nil
	}
	return w.segments[i]
}

// segment returns a complete segment; nil if there is none. Without bytes in
// memory its data is nil.
func (w *window) segment(n mediaName, v view) (s *Segment, data [][]byte) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s = w.find(n.epoch, n.msn)
	switch {
	case s == nil || !s.complete || s.gap():
		return nil, nil
	case s.released:
		return s, nil
	}
	return s, s.bytes(v)
}

// part returns a part's bytes. Where it is not there, coming says whether it
// may come yet.
func (w *window) part(n mediaName, v view) (data [][]byte, coming bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s := w.find(n.epoch, n.msn)
	switch {
	case s == nil:
		return nil, n.epoch == w.epoch && n.msn == w.next && n.part == 0 && !w.ended
	case n.part >= len(s.parts):
		return nil, !s.complete && n.part == len(s.parts) && !w.ended
	case s.released:
		return nil, false
	}
	return s.parts[n.part].bytes(v), false
}

func (w *window) initSegment(n mediaName, v view) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.inits[initKey{n.epoch, n.init}][v]
}
