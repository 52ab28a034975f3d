//go:build failpoints && clockjump

package failpoint

import "time"

// jump sets the clock of the wall, as this process sees it. time.Jump is of the
// package time that test/crash puts in the place of Go's.
func jump(d time.Duration) { time.Jump(d) }
