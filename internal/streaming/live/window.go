package live

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// What is kept for players, in ticks where it is a time.
const (
	listedTicks    = 30 * ticksPerSecond // of the live playlist
	minListed      = 6                   // segments
	partsTicks     = 3 * 4 * ticksPerSecond
	keptSegments   = 12       // behind the playlist, in memory
	maxWindowBytes = 64 << 20 // of all segments in memory
	leastInMemory  = 3        // segments, whatever their size
)

// window is what players can have of a stream: segments and parts in memory
// and the playlist that names them.
type window struct {
	cfg     Config
	holding atomic.Int64 // requests that wait

	mu        sync.RWMutex
	segments  []*Segment // those in memory, the open one last
	dropped   map[uint64]*Segment
	listed    int // how many of segments, from the end, the playlist names
	next      uint64
	bytes     int64
	inits     map[int][]byte
	config    cmaf.VideoConfig // of the first init segment
	peak      int64            // bits per second, of any segment
	interval  int64
	skipped   uint64 // discontinuities that have left the playlist
	unaligned bool   // some segment does not begin with a key frame
	ended     bool
	state     *state
	changed   chan struct{}
}

func newWindow(cfg Config) *window {
	w := &window{
		cfg: cfg, inits: map[int][]byte{}, dropped: map[uint64]*Segment{},
		changed: make(chan struct{}),
	}
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
// context's error.
func (w *window) wait(ctx context.Context, ready func(*state) bool) (*state, error) {
	for {
		w.mu.RLock()
		s, changed := w.state, w.changed
		w.mu.RUnlock()
		if ready(s) {
			return s, nil
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

func (w *window) addInit(version int, data []byte, config cmaf.VideoConfig) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inits[version] = data
	if version == 1 {
		w.config = config
	}
}

// dependent notes that a segment does not begin with a key frame, and says
// whether it is the first such one.
func (w *window) dependent() (first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first = !w.unaligned
	w.unaligned = true
	return first
}

func (w *window) openSegment(s *Segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.uri = segmentName(s.Epoch, s.MSN)
	w.segments = append(w.segments, s)
	w.listed++
	w.next = s.MSN + 1
}

func (w *window) addPart(s *Segment, p *Part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.uri = partName(s.Epoch, s.MSN, len(s.parts))
	s.parts = append(s.parts, p)
	s.Size += int64(len(p.Data))
	w.bytes += int64(len(p.Data))
	w.publish()
}

// closeSegment completes the open segment. Without any media in it, it is taken
// back and false returned.
func (w *window) closeSegment(s *Segment, ticks, interval int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Size == 0 {
		w.segments = w.segments[:len(w.segments)-1]
		w.listed--
		w.next = s.MSN
		w.publish()
		return false
	}
	s.Ticks, s.complete = ticks, true
	w.peak = max(w.peak, s.Size*8*ticksPerSecond/max(ticks, ticksPerSecond/10))
	w.interval = interval
	w.trim()
	w.publish()
	return true
}

// trim shortens the playlist and forgets the oldest bytes.
func (w *window) trim() {
	var length int64
	for _, s := range w.segments[len(w.segments)-w.listed:] {
		length += s.Ticks
	}
	for w.listed > minListed {
		oldest := w.segments[len(w.segments)-w.listed]
		if length-oldest.Ticks < listedTicks {
			break
		}
		length -= oldest.Ticks
		w.listed--
		if oldest.Discontinuity {
			w.skipped++
		}
	}
	for len(w.segments) > w.listed+keptSegments {
		w.release(w.segments[0])
		w.dropped[w.segments[0].MSN] = w.segments[0]
		w.segments[0] = nil
		w.segments = w.segments[1:]
	}
	for i := 0; w.bytes > maxWindowBytes && i < len(w.segments)-leastInMemory; i++ {
		w.release(w.segments[i])
	}
}

// release forgets a segment's bytes. Its facts stay: the object store has its
// media under a name made of them.
func (w *window) release(s *Segment) {
	if s.released {
		return
	}
	s.released = true
	w.bytes -= s.Size
	for i, p := range s.parts {
		facts := *p
		facts.Data = nil
		s.parts[i] = &facts
	}
}

func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.publish()
}

// segment returns a segment by its number, as far as it is there; nil if there
// is none. Without bytes in memory its data is nil.
func (w *window) segment(epoch int64, msn uint64) (s *Segment, data [][]byte) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if epoch != w.cfg.Epoch {
		return nil, nil
	}
	for _, s := range w.segments {
		if s.MSN != msn || !s.complete {
			continue
		}
		if s.released {
			return s, nil
		}
		return s, s.Data()
	}
	return w.dropped[msn], nil
}

// part returns a part's bytes. Where it is not there, coming says whether it
// may come yet.
func (w *window) part(n mediaName) (data []byte, coming bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if n.epoch != w.cfg.Epoch {
		return nil, false
	}
	for _, s := range w.segments {
		if s.MSN != n.msn {
			continue
		}
		if n.part < len(s.parts) {
			return s.parts[n.part].Data, false
		}
		return nil, !s.complete && n.part == len(s.parts) && !w.ended
	}
	return nil, n.msn == w.next && n.part == 0 && !w.ended
}

func (w *window) initSegment(n mediaName) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if n.epoch != w.cfg.Epoch {
		return nil
	}
	return w.inits[n.init]
}

// snapshot renders the playlist's contents. The caller holds mu.
func (w *window) snapshot() *state {
	target := w.cfg.PartTarget
	m := hls.Media{
		TargetDuration: int(TargetDuration.Seconds()), PartTarget: target,
		PartHoldBack: 3*target + target/2, SkipUntil: 6 * TargetDuration,
		IndependentSegments: !w.unaligned, DiscontinuitySequence: w.skipped, Ended: w.ended,
		MediaSequence: w.next, Hint: partName(w.cfg.Epoch, w.next, 0),
	}
	listed := w.segments[len(w.segments)-w.listed:]
	m.Segments = make([]hls.Segment, 0, len(listed))
	var behind int64
	for i := len(listed) - 1; i >= 0; i-- {
		s := listed[i]
		out := hls.Segment{
			Duration: duration(s.Ticks), Discontinuity: s.Discontinuity,
			Init: initName(s.Epoch, s.Init), ProgramDateTime: s.Start,
		}
		if s.complete {
			out.URI = s.uri
		} else {
			m.Hint = partName(s.Epoch, s.MSN, len(s.parts))
		}
		if behind < partsTicks {
			out.Parts = partsOf(s)
		}
		behind += s.length()
		if s.complete || len(s.parts) > 0 {
			m.Segments = append(m.Segments, out)
		}
		m.MediaSequence = s.MSN
	}
	for i, j := 0, len(m.Segments)-1; i < j; i, j = i+1, j-1 {
		m.Segments[i], m.Segments[j] = m.Segments[j], m.Segments[i]
	}
	return &state{media: m, master: w.master()}
}

func partsOf(s *Segment) []hls.Part {
	parts := make([]hls.Part, len(s.parts))
	for i, p := range s.parts {
		parts[i] = hls.Part{URI: p.uri, Duration: duration(p.Duration), Independent: p.Independent, Gap: p.Gap}
	}
	return parts
}

// master returns the multivariant playlist's contents, nil before the first
// segment is complete. The caller holds mu.
func (w *window) master() *hls.Multivariant {
	if w.peak == 0 {
		return nil
	}
	init := cmaf.Init{Video: &w.config, Audio: w.cfg.Audio}
	rate := math.Round(2*ticksPerSecond/float64(max(w.interval, 1))) / 2
	// A browser begins low and climbs; the playlist is read once. So it names
	// what the picture size may come to.
	bandwidth := max(w.peak*5/4, int64(w.config.Width)*int64(w.config.Height)*3, 500_000)
	return &hls.Multivariant{Variants: []hls.Variant{{
		URI: w.cfg.ID + "/" + Rung + "/media.m3u8", Bandwidth: int(bandwidth),
		Codecs: init.Codecs(), Width: w.config.Width, Height: w.config.Height, FrameRate: rate,
	}}}
}
