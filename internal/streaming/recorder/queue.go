package recorder

import "slices"

// object is what waits to be stored. Its data is in memory, in a file, or in
// both while it is being stored from memory.
type object struct {
	name    string
	size    int64
	segment *Segment // nil for an init segment
	data    [][]byte
	file    string
	storing bool
	stored  bool // and kept until all before it are too
	dropped bool
}

// push adds an object to the queue. Memory stays within the budget, whatever
// the disk and the store do, but for what is being stored at the moment.
func (r *Recorder) push(o *object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return
	}
	r.queue = append(r.queue, o)
	r.hold(o.size)
	if o.segment != nil {
		r.waiting.Segments++
	}
	for r.budget.over() {
		i := slices.IndexFunc(r.queue, func(q *object) bool { return q.droppable() && q.data != nil && q != o })
		if i < 0 {
			break
		}
		r.drop(i)
	}
	r.signal()
}

// droppable says whether an object may be given up.
func (o *object) droppable() bool { return o.segment != nil && !o.storing && !o.stored }

func (r *Recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// hold and spilled count bytes, in the budget too. The caller holds mu.

func (r *Recorder) hold(bytes int64) {
	r.waiting.Memory += bytes
	r.budget.memoryUsed.Add(bytes)
}

func (r *Recorder) spilled(bytes int64) {
	r.waiting.Spilled += bytes
	r.budget.spillUsed.Add(bytes)
}

// drop gives up an object of the queue. The caller holds mu.
func (r *Recorder) drop(i int) {
	o := r.queue[i]
	r.queue = slices.Delete(r.queue, i, i+1)
	o.dropped = true
	r.release(o)
	if o.segment != nil {
		r.lost = append(r.lost, o)
		r.summary.Lost++
		r.waiting.Segments--
	}
}

// release lets an object's bytes go. Its file is deleted by tell: a disk that
// hangs must not hold up push. The caller holds mu.
func (r *Recorder) release(o *object) {
	if o.data != nil {
		o.data = nil
		r.hold(-o.size)
	}
	if o.file != "" {
		r.trash = append(r.trash, o.file)
		o.file = ""
		r.spilled(-o.size)
	}
}

// takeStored removes the objects from the front of the queue that are stored,
// and returns those that are segments.
func (r *Recorder) takeStored() []Segment {
	r.mu.Lock()
	defer r.mu.Unlock()
	var segments []Segment
	for len(r.queue) > 0 && r.queue[0].stored {
		if s := r.queue[0].segment; s != nil {
			segments = append(segments, *s)
			r.summary.Segments++
			r.summary.Ticks += s.Ticks
			r.waiting.Segments--
		}
		r.queue[0] = nil
		r.queue = r.queue[1:]
	}
	return segments
}

// takeLost returns the segments that were given up since, and the files that
// are of no more use.
func (r *Recorder) takeLost() (lost []*object, trash []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost, trash = r.lost, r.trash
	r.lost, r.trash = nil, nil
	return lost, trash
}

// tell reports what has happened, and clears up after it.
func (r *Recorder) tell() {
	lost, trash := r.takeLost()
	for _, file := range trash {
		r.cfg.Spill.remove(file)
	}
	for _, o := range lost {
		r.cfg.Log.Error("a segment of a recording is lost: the object store did not take it in time",
			"prefix", r.cfg.Prefix, "rung", r.cfg.Rung, "epoch", o.segment.Epoch, "msn", o.segment.MSN, "bytes", o.size)
		if r.cfg.OnLost != nil {
			r.cfg.OnLost(*o.segment)
		}
	}
	for _, s := range r.takeStored() {
		if r.cfg.OnStored != nil {
			r.cfg.OnStored(s)
		}
	}
}
