// Load measures what docs/performance.md states, on the real program:
//
//	make load
//	go run ./test/load -only lat,viewers -runs 3
//
// It starts the built program (TEST_BINARY, else bin/serverlessvideo) on a data
// folder of its own, and publishers and viewers as child processes, so that their
// work is not counted as the server's. All is on loopback, takes seconds to a few
// minutes, and is gone afterwards. It needs Linux (/proc) and ffmpeg.
//
// It exits with 1 when something could not be measured. A missed bar is a result.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measureTimeout is for one run of one measure.
const measureTimeout = 4 * time.Minute

// measure is one of the things that -only names.
type measure struct {
	name, about string
	run         func(ctx context.Context, b *bench) (figures, error)
}

func measures() []measure {
	return []measure{
		{"lat", "from a frame's sending to its LL-HLS part being received", latency},
		{"viewers", "CPU for each LL-HLS viewer", hlsViewers},
		{"https", "CPU for each LL-HLS viewer over HTTP/2 with TLS", h2Viewers},
		{"whip", "CPU and memory of WHIP streams with the recorder on", whipStreams},
		{"rtmp", "the same of RTMP streams", rtmpStreams},
		{"whep", "frames' delay, CPU and memory of WHEP viewers", whepViewers},
		{"join", "a WHEP viewer's wait for its first key frame", whepJoin},
		{"start", "a broadcast's beginning and end", startAndEnd},
		{"mp4", "the MP4 of a recording of 10 minutes", tenMinutes},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 2 && os.Args[1] == childArgument {
		err = serveOrder(ctx, os.Stdin, os.Stdout)
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1) //nolint:gocritic // the process ends; nothing waits for the signals
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "names of measures, separated by commas; all if empty")
	runs := flag.Int("runs", 1, "how often each is run, 1 to 9; the table has the medians")
	keep := flag.String("log", "", "folder for the server's logs, to be kept")
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if *runs < 1 || *runs > 9 {
		return fmt.Errorf("-runs %d is not between 1 and 9", *runs)
	}
	binary := cmp.Or(os.Getenv("TEST_BINARY"), "bin/serverlessvideo")
	if _, err := exec.LookPath(binary); err != nil {
		return fmt.Errorf("there is no program to measure: `make build` makes it, TEST_BINARY names another: %w", err)
	}
	dir, err := os.MkdirTemp("", "load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{binary: binary, dir: dir, logs: cmp.Or(*keep, dir), clips: map[string]string{}}
	var failed error
	for _, m := range chosen {
		fmt.Printf("%s: %s\n", m.name, m.about)
		if err := repeat(ctx, b, m, *runs); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// repeat runs a measure and prints its medians.
func repeat(ctx context.Context, b *bench, m measure, runs int) error {
	var all []figures
	for range runs {
		ctx, cancel := context.WithTimeout(ctx, measureTimeout)
		f, err := m.run(ctx, b)
		cancel()
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	return writeTable(os.Stdout, all)
}

func choose(only string) ([]measure, error) {
	all := measures()
	if only == "" {
		return all, nil
	}
	var chosen []measure
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(m measure) bool { return m.name == name })
		if i < 0 {
			var names []string
			for _, m := range all {
				names = append(names, m.name)
			}
			return nil, fmt.Errorf("-only: there is no measure %q, but %s", name, strings.Join(names, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
