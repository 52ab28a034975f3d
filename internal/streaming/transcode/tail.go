package transcode

import (
	"bytes"
	"strings"
	"sync"
)

const (
	tailLines = 8
	tailWidth = 200 // bytes of a line
)

// tail keeps the last lines of what a process says on stderr.
type tail struct {
	mu    sync.Mutex
	lines []string
	open  []byte // the line that has not ended yet
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := b; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		t.open = append(t.open, line[:min(len(line), tailWidth-len(t.open))]...)
		if ended {
			t.endLine()
		}
		rest = after
	}
	return len(b), nil
}

func (t *tail) endLine() {
	if line := strings.TrimSpace(string(t.open)); line != "" {
		t.lines = append(t.lines, strings.ToValidUTF8(line, "?"))
		t.lines = t.lines[max(0, len(t.lines)-tailLines):]
	}
	t.open = t.open[:0]
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLine()
	return strings.Join(t.lines, " | ")
}
