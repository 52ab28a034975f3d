package whep

// rate measures bits per second along a timeline of 90 kHz.
type rate struct {
	from, bits int64 // of the time being measured
	began      bool
	measured   int64
}

func (r *rate) add(bytes int, at int64) {
	span := at - r.from
	if !r.began || span < 0 || span > 10*videoClock { // the first one, or the timeline jumped
		r.began, r.from, r.bits = true, at, 0
		span = 0
	}
	if span >= int64(rateTime.Seconds()*videoClock) {
		now := r.bits * videoClock / span
		if r.measured > 0 { // key frames fall into one span and not into the next
			now = (r.measured + now) / 2
		}
		r.measured = now
		r.from, r.bits = at, 0
	}
	r.bits += int64(bytes) * 8
}

// value is 0 until something was measured.
func (r *rate) value() int64 { return r.measured }
