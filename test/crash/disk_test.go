package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// disk is a small file system in a file.
type disk struct {
	t     *testing.T
	image string
	mount string
}

// newDisk makes and mounts one of so many MB. The test is skipped, with the
// reason, where that is not allowed.
func newDisk(t *testing.T, mb int64) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), mount: t.TempDir()}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, mb<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", d.image).CombinedOutput(); err != nil {
		t.Skipf("a small file system cannot be made: %v %s", err, out)
	}
	if err := d.tryMount(); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", d.mount).Run() })
	return d
}

func (d *disk) tryMount() error {
	out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (d *disk) filler() string { return filepath.Join(d.mount, "filler") }

// fill leaves no byte free.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
		err = nil
	}
	_ = f.Sync() // it may say that it is full, too
}

func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// abort makes the file system go read-only as an error of its device would, with
// files open for writing.
func (d *disk) abort() {
	d.t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,abort", d.mount).CombinedOutput(); err != nil {
		d.t.Skipf("this kernel does not let a file system be aborted: %v %s", err, out)
	}
}

// repair checks the file system, which nobody uses, and mounts it again.
func (d *disk) repair() {
	d.t.Helper()
	if out, err := exec.Command("umount", d.mount).CombinedOutput(); err != nil {
		d.t.Fatalf("%v %s", err, out)
	}
	out, err := exec.Command("e2fsck", "-fy", d.image).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 1 { // 1: errors were corrected
		d.t.Fatalf("%v %s", err, out)
	}
	if err := d.tryMount(); err != nil {
		d.t.Fatal(err)
	}
}

func goRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	return strings.TrimSpace(string(out)), err
}
