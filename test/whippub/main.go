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

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
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
	codec := flag.String("codec", "H264", "H264, H265, VP8, VP9 or AV1")
	bitrate := flag.Int("bitrate", 0, "of the video, in bits per second; 0: 800,000")
	flash := flag.Bool("flash", false, "a flash and a tone every second, to measure their distance")
	duration := flag.Duration("duration", 0, "how long to publish; 0: until interrupted")
	noAudio := flag.Bool("no-audio", false, "publish without sound")
	drop := flag.Int("drop", 0, "lose every so-many-th packet")
	answerPLI := flag.Bool("answer-pli", false, "give a key frame when asked for one, as browsers do")
	vanish := flag.Bool("vanish", false, "go silent at the end instead of ending the broadcast")
	flag.Parse()
	if *url == "" {
		return errors.New("-url is missing: http://HOST/whip/CHANNEL")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	o := streamtest.Options{Duration: *duration, NoAudio: *noAudio, DropEvery: *drop, AnswerPLI: *answerPLI}
	for size := range strings.SplitSeq(*sizes, ",") {
		p, err := picture(size)
		if err != nil {
			return err
		}
		p.Flash, p.Bitrate = *flash, *bitrate
		if p.Codec, err = codecOf(*codec); err != nil {
			return err
		}
		clip, err := streamtest.MakeClip(ctx, p, clipSeconds)
		if err != nil {
			return err
		}
		o.Clips = append(o.Clips, clip)
	}
	since := time.Now()
	p, err := streamtest.Publish(ctx, *url, *key, o)
	if err != nil {
		return err
	}
	fmt.Printf("publishing since %s; the session is %s\n", since.Format(time.RFC3339Nano), p.Location())
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

func codecOf(name string) (cmaf.VideoCodec, error) {
	for _, c := range []cmaf.VideoCodec{cmaf.H264, cmaf.H265, cmaf.VP8, cmaf.VP9, cmaf.AV1} {
		if strings.EqualFold(name, c.String()) {
			return c, nil
		}
	}
	return 0, fmt.Errorf("-codec %q must be H264, H265, VP8, VP9 or AV1", name)
}
