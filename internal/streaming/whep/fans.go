package whep

// acquire returns the fan of a rung, which begins when the first viewer comes.
// Release it.
func (s *Server) acquire(stream Stream, r Rung) *fan {
	key := fanKey{stream: stream.ID(), rung: r.Name}
	s.mu.Lock()
	f := s.fans[key]
	if f == nil {
		f = newFan(key, r, s.limits.upstream, func() {
			stream.RequestKeyFrame()
			if s.config.Metrics.KeyFrames != nil {
				s.config.Metrics.KeyFrames()
			}
		}, s.log)
		s.fans[key] = f
	}
	f.users++
	s.mu.Unlock()
	f.start.Do(func() { f.stop = r.Tap(f) })
	return f
}

// release ends a fan with its last viewer.
func (s *Server) release(f *fan) {
	s.mu.Lock()
	f.users--
	last := f.users == 0
	if last {
		delete(s.fans, f.key)
	}
	s.mu.Unlock()
	if last {
		f.stop()
	}
}
