package transcode

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// childOf makes the test binary one that has a sidecar, to be killed.
const childOf = "TRANSCODE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childOf) != "" {
		childWithSidecar()
		return
	}
	code := m.Run()
	if left := children(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "processes are left:", left)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// children lists the processes that this one has started and that are there.
func children() []string {
	var names []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		rest := stat[bytes.LastIndexByte(stat, ')')+1:] // " S ppid …"
		var state string
		var parent int
		if _, err := fmt.Sscan(string(rest), &state, &parent); err == nil && parent == os.Getpid() {
			names = append(names, string(stat[:len(stat)-len(rest)]))
		}
	}
	return names
}
