package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// tenMinutes runs the benchmark that copies a recording of 10 minutes into one
// MP4, from files to a file.
func tenMinutes(ctx context.Context, _ *bench) (figures, error) {
	const name = "BenchmarkRemux10Minutes"
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "1x", "./internal/streaming/cmaf")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], name) || fields[3] != "ns/op" {
			continue
		}
		var ns float64
		if _, err := fmt.Sscan(fields[2], &ns); err != nil {
			return nil, err
		}
		var f figures
		f.atMost("MP4 of 10 minutes at 2.5 Mbit/s", "s", ns/1e9, 1.5)
		return f, nil
	}
	return nil, fmt.Errorf("the benchmark says nothing: %s", out)
}
