// Whippub publishes made-up video and sound over WHIP in real time, to try a
// server by hand or to load it:
//
//	go run ./test/whippub -url http://localhost:8080/whip/CHANNEL -key KEY -duration 30s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

const clipSeconds = 4

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "whippub:", err)
		os.Exit(1)
	}
}

func run() error {
	url := flag.String("url", "", "WHIP endpoint of the channel")
	key := flag.String("key", "", "stream key")
	sizes := flag.String("size", "1280x720", "picture sizes, separated by commas: one after the other")
	flash := flag.Bool("flash", false, "a flash and a tone every second, to measure their distance")
	duration := flag.Duration("duration", 0, "how long to publish; 0: until interrupted")
	noAudio := flag.Bool("no-audio", false, "publish without sound")
	drop := flag.Int("drop", 0, "lose every so-many-th packet")
	vanish := flag.Bool("vanish", false, "go silent at the end instead of ending the broadcast")
	flag.Parse()
	if *url == "" {
		return errors.New("-url is missing: http://HOST/whip/CHANNEL")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	o := streamtest.Options{Duration: *duration, NoAudio: *noAudio, DropEvery: *drop}
	for size := range strings.SplitSeq(*sizes, ",") {
		p, err := picture(size)
		if err != nil {
			return err
		}
		p.Flash = *flash
		clip, err := streamtest.MakeClip(ctx, p, clipSeconds)
		if err != nil {
			return err
		}
		o.Clips = append(o.Clips, clip)
	}
	p, err := streamtest.Publish(ctx, *url, *key, o)
	if err != nil {
		return err
	}
	fmt.Println("publishing; the session is", p.Location())
	_ = p.Wait(ctx) // an interrupt ends it as the duration does
	if *vanish {
		return p.Vanish()
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = p.Stop(end)
	fmt.Println("published", p.Sent().Round(time.Millisecond))
	return err
}

func picture(size string) (streamtest.Picture, error) {
	w, h, _ := strings.Cut(size, "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if err1 != nil || err2 != nil || width < 16 || height < 16 || width%2 != 0 || height%2 != 0 {
		return streamtest.Picture{}, fmt.Errorf("-size %q must be like 1280x720, with even numbers", size)
	}
	return streamtest.Picture{Width: width, Height: height}, nil
}
