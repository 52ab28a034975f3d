//go:build linux || darwin || freebsd

package recorder

import "syscall"

// diskSpace returns the bytes of the file system that dir is on: those that are
// free for us, and all.
func diskSpace(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize) //nolint:unconvert // its type is another on each system
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
