package transcode

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// logEvery is how often a sidecar says that its process has died.
const logEvery = 10 * time.Second

// supervisor starts the processes of one sidecar, one after the other, and
// decides when there is another. All but stop, stats and failure are for the
// sidecar's own goroutine.
type supervisor struct {
	name   string
	path   string
	limits Limits
	log    *slog.Logger
	failed func(reason string)

	crashes int // in a row, each soon after the one before: the backoff
	barren  int // processes in a row without any output
	retryAt time.Time
	began   time.Time
	logged  time.Time

	mu       sync.Mutex
	proc     *process
	runs     int64
	stopped  bool
	gaveUp   string
	stopping chan struct{}
}

func newSupervisor(name, path string, limits Limits, failed func(string), log *slog.Logger) *supervisor {
	return &supervisor{name: name, path: path, limits: limits, failed: failed, log: log, stopping: make(chan struct{})}
}

// start runs a program and tells whether it does. It does not while the last
// failure is too recent, or for good after too many.
func (s *supervisor) start(args []string, consume func(io.Reader, func()) error) bool {
	if s.given() != "" || time.Now().Before(s.retryAt) {
		return false
	}
	s.began = time.Now()
	p, err := s.spawn(args, consume)
	if err != nil {
		s.failure(err, "", false)
	}
	return p != nil
}

// spawn starts a process, none when the sidecar was stopped.
func (s *supervisor) spawn(args []string, consume func(io.Reader, func()) error) (*process, error) {
	s.mu.Lock() // so that stop sees the process, or prevents it
	defer s.mu.Unlock()
	if s.stopped {
		return nil, nil
	}
	s.runs++
	p, err := startProcess(s.path, args, s.limits, consume)
	s.proc = p
	return p, err
}

// running returns the process, nil when there is none.
func (s *supervisor) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// exited is closed when the process is gone; nil while there is none.
func (s *supervisor) exited() <-chan struct{} {
	if p := s.running(); p != nil {
		return p.done
	}
	return nil
}

// reap takes note of the end of the process, if there was one and it has ended.
func (s *supervisor) reap() bool {
	p := s.running()
	if p == nil {
		return false
	}
	select {
	case <-p.done:
	default:
		return false
	}
	s.mu.Lock()
	s.proc = nil
	stopped := s.stopped
	s.mu.Unlock()
	if err := p.reason(); err != nil && !stopped {
		s.failure(err, p.said.String(), p.output)
	}
	return true
}

// finish lets the process end its work and waits for it.
func (s *supervisor) finish() {
	if p := s.running(); p != nil {
		p.finish()
		s.reap()
	}
}

// failure counts a process that failed, and decides when there is another one.
func (s *supervisor) failure(err error, said string, output bool) {
	now := time.Now()
	if output && now.Sub(s.began) > s.limits.MaxBackoff {
		s.crashes = 0
	}
	if s.crashes++; output {
		s.barren = 0
	} else {
		s.barren++
	}
	wait := s.limits.MaxBackoff
	if shift := s.crashes - 1; shift < 16 {
		wait = min(wait, s.limits.Backoff<<shift)
	}
	s.retryAt = now.Add(wait)
	if s.barren >= s.limits.Failures {
		s.giveUp(fmt.Sprintf("ffmpeg ended %d times in a row without any output; the last time: %v", s.barren, err), said)
		return
	}
	if now.Sub(s.logged) >= logEvery {
		s.logged = now
		s.log.Warn("transcode: ffmpeg failed and will be restarted", "sidecar", s.name, "err", err, "said", said,
			"in", wait, "in_a_row", s.crashes)
	}
}

// giveUp ends the attempts for good.
func (s *supervisor) giveUp(reason, said string) {
	s.mu.Lock()
	s.gaveUp = reason
	s.mu.Unlock()
	s.log.Error("transcode: a sidecar is given up", "sidecar", s.name, "reason", reason, "said", said)
	if s.failed != nil {
		s.failed(reason)
	}
}

// given is why it was given up, "" while it was not.
func (s *supervisor) given() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gaveUp
}

// stop kills the process and lets no other one start. It does not wait.
func (s *supervisor) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.stopping)
	if s.proc != nil {
		s.proc.kill("it was stopped")
	}
}

func (s *supervisor) restarts() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.runs-1)
}
