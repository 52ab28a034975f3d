// Hlscheck follows a stream as a low-latency player does, and says which rules of
// HLS it breaks (docs/hls.md):
//
//	go run ./test/hlscheck -url http://localhost:8080/live/CHANNEL/master.m3u8 -for 30s
//	go run ./test/hlscheck -url http://localhost:8080/vod/VIDEO/master.m3u8 -vod
//
// It exits with 1 when a rule is broken or the stream cannot be followed, and
// with 2 when it is called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
)

func main() {
	o, url, err := options()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hlscheck:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	report, err := hlstest.Follow(ctx, url, o)
	interrupted := ctx.Err() != nil
	stop()
	fmt.Print(report)
	if err != nil && !interrupted {
		fmt.Fprintln(os.Stderr, "hlscheck:", err)
		os.Exit(1)
	}
	if len(report.Broken) > 0 {
		os.Exit(1)
	}
}

func options() (o hlstest.FollowOptions, url string, err error) {
	address := flag.String("url", "", "the multivariant playlist")
	duration := flag.Duration("for", 30*time.Second, "how long to follow; 0: until the stream ends")
	vod := flag.Bool("vod", false, "it is a recording")
	except := flag.String("except", "", "ids of rules that do not apply, separated by commas")
	list := flag.Bool("rules", false, "say what is checked, and end")
	flag.Parse()
	if *list {
		for _, r := range hlstest.Rules() {
			fmt.Printf("%-24s %-28s %s\n", r.ID, r.Source, r.Text)
		}
		os.Exit(0)
	}
	if *address == "" {
		return o, "", errors.New("-url is missing: http://HOST/live/CHANNEL/master.m3u8")
	}
	o = hlstest.FollowOptions{For: *duration, VOD: *vod}
	if *except != "" {
		o.Except = strings.Split(*except, ",")
	}
	for _, id := range o.Except {
		if !slices.ContainsFunc(hlstest.Rules(), func(r hlstest.Rule) bool { return r.ID == id }) {
			return o, "", fmt.Errorf("-except: there is no rule %q; -rules lists them", id)
		}
	}
	return o, *address, nil
}
