package transcode

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is one run of ffmpeg. write is called by one goroutine, the others by
// any.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	said   *tail
	done   chan struct{} // closed when the process is gone and its output read
	stall  time.Duration
	start  time.Duration
	output bool // something came out; valid after done

	mu       sync.Mutex
	waiting  time.Time // since when input waits for output; zero: it does not
	any      bool      // there was output
	finished bool      // its input has ended
	killed   string    // why we killed it
	gone     bool      // its id may be another's by now
	broken   error     // what was wrong with its output
}

// startProcess runs a program. consume reads its output to the end, calling
// heard for everything that it gives; its error is a reason to kill the program.
func startProcess(path string, args []string, limits Limits, consume func(out io.Reader, heard func()) error) (*process, error) {
	// No context: what ends it is written here, and it must not end by itself
	// before its group was killed.
	cmd := exec.Command(path, args...) //nolint:noctx // see above
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), stdin.Close())
	}
	p := &process{cmd: cmd, stdin: stdin, said: &tail{}, done: make(chan struct{}), stall: limits.Stall, start: limits.Start}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, stdout, p.said
	cmd.Env, cmd.Dir = childEnvironment(), os.TempDir()
	cmd.WaitDelay = time.Second // its group is dead by then, and so is who could hold stderr
	ownGroup(cmd)

	started := make(chan error, 1)
	go p.run(out, consume, started)
	err = <-started
	_, _ = in.Close(), stdout.Close() // the child has its own
	if err != nil {
		_, _, _ = stdin.Close(), out.Close(), <-p.done
		return nil, err
	}
	go p.watch()
	return p, nil
}

// childEnvironment is what ffmpeg gets to know: it decodes what strangers send,
// so none of our settings and secrets.
func childEnvironment() []string {
	var env []string
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "SystemRoot", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// run owns the child. The thread that started it stays until it is gone, because
// Linux sends the child the death signal of its parent's thread.
func (p *process) run(out *os.File, consume func(io.Reader, func()) error, started chan<- error) {
	defer close(p.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	lowerPriority(p.cmd.Process.Pid)
	read := make(chan error, 1)
	go func() { read <- consume(out, p.heard) }()
	err = <-read
	// Not waited for yet, so its id, and with it that of its group, is still its own.
	p.mu.Lock()
	p.gone = true
	killGroup(p.cmd)
	p.mu.Unlock()
	_ = p.cmd.Wait() // ProcessState has it
	_, _ = p.stdin.Close(), out.Close()
	p.mu.Lock()
	p.broken, p.output = err, p.any
	p.mu.Unlock()
}

// heard notes that there is output.
func (p *process) heard() {
	p.mu.Lock()
	p.waiting, p.any = time.Time{}, true
	p.mu.Unlock()
}

// write hands input to the process. It blocks while the process does not read,
// until it is killed for that.
func (p *process) write(b []byte) error {
	p.mu.Lock()
	if p.waiting.IsZero() {
		p.waiting = time.Now()
	}
	p.mu.Unlock()
	_, err := p.stdin.Write(b)
	return err
}

// finish says that there is no more input, and waits for the rest of the output.
func (p *process) finish() {
	p.mu.Lock()
	p.finished, p.waiting = true, time.Now()
	p.mu.Unlock()
	_ = p.stdin.Close()
	<-p.done
}

// kill ends the process and its children now. It does not wait.
func (p *process) kill(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed == "" {
		p.killed = why
	}
	if !p.gone {
		killGroup(p.cmd)
		_ = p.stdin.Close()
	}
}

// watch kills the process when it takes input and gives nothing.
func (p *process) watch() {
	t := time.NewTicker(min(p.stall, p.start) / 8)
	defer t.Stop()
	for {
		select {
		case <-p.done:
			return
		case now := <-t.C:
			if limit := p.overdue(now); limit > 0 {
				p.kill(fmt.Sprintf("it gave nothing for %s", limit))
			}
		}
	}
}

// overdue returns the limit that has passed without output, 0 when none has.
func (p *process) overdue(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.stall
	if !p.any {
		limit = p.start
	}
	if p.waiting.IsZero() || now.Sub(p.waiting) < limit {
		return 0
	}
	return limit
}

// reason says how the process ended, nil when it did what it should. It is valid
// after done.
func (p *process) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.killed != "":
		return errors.New("killed because " + p.killed)
	case p.broken != nil:
		return fmt.Errorf("its output: %w", p.broken)
	case p.cmd.ProcessState != nil && !p.cmd.ProcessState.Success():
		return errors.New(p.cmd.ProcessState.String())
	case !p.finished:
		return errors.New("it ended by itself")
	}
	return nil
}
