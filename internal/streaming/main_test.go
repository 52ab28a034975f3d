package streaming_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
)

// childDir makes the test binary a node in that folder, to be killed.
const childDir = "STREAMING_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	flag.Parse()
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// child runs a node until it is killed. It prints its address.
func child(dir string) {
	n, err := openNode(dir, streaming.Config{SpillDir: filepath.Join(dir, "spill")}, "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(n.url)
	select {}
}
