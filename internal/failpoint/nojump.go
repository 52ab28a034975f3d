//go:build failpoints && !clockjump

package failpoint

import (
	"fmt"
	"os"
	"time"
)

func jump(time.Duration) {
	fmt.Fprintln(os.Stderr, "the clock cannot jump in a binary without the tag clockjump")
	os.Exit(2)
}
