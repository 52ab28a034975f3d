package bus_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// TestFullDisk: events are refused while the disk is full, and taken again when
// it is not, without a restart; consumers miss nothing.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	cfg := testConfig(t)
	cfg.Dir = filepath.Join(dir, "bus")
	b := open(t, cfg)
	var h heard
	if err := b.Consume(t.Context(), h.consumer("all", event.Filter{})); err != nil {
		t.Fatal(err)
	}
	before, during, after := deleted("before"), deleted("during"), deleted("after")
	publish(t, b, before)

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for n := 0; ; n++ { // what is open already has a little room
		if err := b.Publish(ctx, deleted("filler")); err != nil {
			break
		}
		if n > 1000 {
			t.Fatal("a full disk takes everything")
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	publish(t, b, during, after)
	// At once, not when those who waited for events notice that nobody answers.
	eventually(t, "all is heard", func() bool {
		all := map[string]bool{}
		for _, id := range h.all() {
			all[id] = true
		}
		return all[before.ID] && all[during.ID] && all[after.ID]
	})
}

// smallDisk mounts a file system of 8 MB in memory.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a small file system cannot be mounted; it needs root: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", dir).Run() })
	return dir
}

// fill writes a file until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
