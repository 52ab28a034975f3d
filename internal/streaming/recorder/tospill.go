package recorder

import (
	"slices"
	"time"
)

// How long nothing is spilled after it failed.
const spillPause = 5 * time.Second

// spill writes the oldest objects to disk when memory is tight, and all of them
// when the recording is over and the store fails: a kill shall not cost its end.
// What is being stored gets its file too, so that what is on disk has no holes and
// misses no init segment.
func (r *Recorder) spill() {
	if r.cfg.Spill == nil || time.Now().Before(r.puts.spillAt) {
		return
	}
	for tight := r.budget.tight(); tight || r.failsAtTheEnd(); tight = r.budget.tight() {
		o, key, data := r.toSpill()
		if o == nil || !r.hasRoom(o.size) && !(tight && r.makeRoom(o.size)) || !r.toFile(o, key, data) {
			return
		}
	}
}

// hasRoom says whether there is room on disk without giving anything up.
func (r *Recorder) hasRoom(size int64) bool { return r.cfg.Spill.room(r.budget.spillRoom()) >= size }

// failsAtTheEnd says whether nothing more comes, and the store did not take the last
// object.
func (r *Recorder) failsAtTheEnd() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finished && r.puts.failures > 0
}

// toSpill returns the oldest object that has no file.
func (r *Recorder) toSpill() (o *object, key string, data [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.queue {
		if o.file == "" && !o.stored {
			return o, join(r.cfg.Prefix, r.cfg.Rung, o.name), o.data
		}
	}
	return nil, "", nil
}

// toFile writes an object to disk and frees its memory. It says whether it could.
func (r *Recorder) toFile(o *object, key string, data [][]byte) bool {
	file, err := r.cfg.Spill.write(key, o.size, data)
	if err != nil {
		r.puts.spillAt = time.Now().Add(spillPause)
		r.cfg.Log.Error("writing a segment that waits for the object store to disk", "prefix", r.cfg.Prefix, "rung", r.cfg.Rung, "error", err)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.dropped { // by push, while it was written
		r.trash = append(r.trash, file)
		return true
	}
	o.file = file
	r.spilled(o.size)
	if !o.storing {
		o.data = nil
		r.hold(-o.size)
	}
	return true
}

// makeRoom gives up the oldest segments on disk until another object has room
// there. It says whether it has.
func (r *Recorder) makeRoom(size int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for room := r.cfg.Spill.room(r.budget.spillRoom()); room < size; {
		i := slices.IndexFunc(r.queue, func(o *object) bool { return o.droppable() && o.file != "" })
		if i < 0 {
			return false
		}
		room += r.queue[i].size
		r.drop(i)
	}
	return true
}

// abandon ends the recorder before all is stored: the rest goes to disk for
// Spill.Recover, as far as there is room.
func (r *Recorder) abandon() {
	r.puts.workers.Wait()
	for r.puts.running > 0 {
		r.settle(<-r.puts.results)
	}
	r.tell()
	for r.cfg.Spill != nil {
		o, key, data := r.toSpill()
		if o == nil || !r.makeRoom(o.size) || !r.toFile(o, key, data) {
			break
		}
	}
	r.leave()
	r.tell()
}

// leave hands what is on disk to Recover, and gives up the rest. Only what is
// stored stays in the queue.
func (r *Recorder) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var left []spilled
	for i := 0; i < len(r.queue); {
		switch o := r.queue[i]; {
		case o.stored:
			i++
		case o.file == "":
			r.drop(i)
		default:
			left = append(left, spilled{file: o.file, key: join(r.cfg.Prefix, r.cfg.Rung, o.name), size: o.size})
			r.queue = slices.Delete(r.queue, i, i+1)
			r.spilled(-o.size)
			if o.segment != nil {
				r.summary.Left++
				r.waiting.Segments--
			}
		}
	}
	if len(left) > 0 {
		r.cfg.Spill.leave(left)
	}
}
