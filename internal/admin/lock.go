package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// ErrLocked means that another process works on the data folder.
var ErrLocked = errs.New(errs.Conflict, "another serverlessvideo process works on this data folder")

// Lock is the right to work on a data folder. It ends with Release, and with
// the process.
type Lock struct{ flock *flock.Flock }

// Acquire makes the data folder if it is missing and takes its lock without
// waiting. The error wraps ErrLocked when another process has it; any other says
// what is wrong with the folder. An admin.json that a killed process left is
// removed: whoever has the lock is alone.
func Acquire(dir string) (*Lock, error) {
	if err := writable(dir); err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	locked, err := l.TryLock()
	if err != nil {
		return nil, unusable(dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
	}
	if err := os.Remove(addressPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(unusable(dir, err), l.Unlock())
	}
	return &Lock{flock: l}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.flock.Unlock() }

// writable makes sure that dir is a folder in which files can be made.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return unusable(dir, err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return unusable(dir, err)
	}
	return nil
}

func unusable(dir string, err error) error {
	shown := dir
	if abs, absErr := filepath.Abs(dir); absErr == nil {
		shown = abs
	}
	return errs.Wrap(err, errs.Unavailable, fmt.Sprintf(
		"the data folder %s cannot be written by user id %d: give that user the right to write there, or choose another folder with --data-dir", shown, os.Getuid()))
}
