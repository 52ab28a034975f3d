package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// What all is measured with: 720p30 of 2.5 Mbit/s with sound, a key frame every
// 2 s.
const (
	clipSeconds = 4
	keyEvery    = 2 * streamtest.FrameRate
)

const (
	settle = 4 * time.Second  // from a change to the measuring
	window = 10 * time.Second // of measuring
)

// bench is what all runs share.
type bench struct {
	binary, dir, logs string
	clips             map[string]string // files by protocol
}

// clip returns the file with what a protocol's publishers send.
func (b *bench) clip(ctx context.Context, protocol string) (string, error) {
	if path := b.clips[protocol]; path != "" {
		return path, nil
	}
	path := filepath.Join(b.dir, protocol+".clip")
	var clip any
	var err error
	if protocol == "rtmp" {
		clip, err = rtmptest.MakeClip(ctx, rtmptest.Spec{Size: "1280x720", Seconds: clipSeconds, KeyEvery: keyEvery, Bitrate: "2500k",
			Args: []string{"-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "2500k"}})
	} else {
		clip, err = streamtest.MakeClip(ctx, streamtest.Picture{Width: 1280, Height: 720, Bitrate: 2_500_000, KeyEvery: keyEvery}, clipSeconds)
	}
	if err == nil {
		err = saveClip(path, clip)
	}
	if err == nil {
		b.clips[protocol] = path
	}
	return path, err
}

// withNode runs a measure on a fresh node with some broadcasters.
func (b *bench) withNode(ctx context.Context, broadcasters int, run func(*node, []broadcaster) error) error {
	n, err := startNode(ctx, b)
	if err != nil {
		return err
	}
	var all []broadcaster
	for i := range broadcasters {
		var made broadcaster
		if made, err = n.add(ctx, i); err != nil {
			break
		}
		all = append(all, made)
	}
	if err == nil {
		err = run(n, all)
	}
	return errors.Join(err, n.stop())
}

// withStream runs a measure beside one WHIP stream.
func (b *bench) withStream(ctx context.Context, run func(*node, broadcaster) error) error {
	return b.withNode(ctx, 1, func(n *node, who []broadcaster) error {
		p, err := b.publish(ctx, n, "whip", who)
		if err != nil {
			return err
		}
		if err = pause(ctx, settle); err == nil {
			err = run(n, who[0])
		}
		return errors.Join(err, p.stop())
	})
}

// publish starts a child that publishes on the channels.
func (b *bench) publish(ctx context.Context, n *node, protocol string, who []broadcaster) (*child, error) {
	clip, err := b.clip(ctx, protocol)
	if err != nil {
		return nil, err
	}
	o := order{Role: protocol, Clip: clip}
	for _, w := range who {
		endpoint := n.url("/whip/" + w.channel)
		if protocol == "rtmp" {
			endpoint = "rtmp://" + n.rtmp + "/live"
		}
		o.Endpoints, o.Keys = append(o.Endpoints, endpoint), append(o.Keys, w.key)
	}
	return startChild(ctx, o)
}

// mediaPlaylist returns the URL of a channel's media playlist, as soon as players
// may begin.
func (n *node) mediaPlaylist(ctx context.Context, channel string) (*url.URL, error) {
	master := n.url("/live/" + channel + "/master.m3u8")
	text, err := getOK(ctx, http.DefaultClient, master)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(master)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return base.Parse(line)
		}
	}
	return nil, fmt.Errorf("the multivariant playlist names no media playlist:\n%s", text)
}

// watch measures a child for the window: what it saw, and the node's CPU and
// memory meanwhile.
func (n *node) watch(ctx context.Context, o order) (seen tally, cpu, memory float64, err error) {
	c, err := startChild(ctx, o)
	if err != nil {
		return tally{}, 0, 0, err
	}
	measure := func() error {
		err := pause(ctx, settle)
		if err == nil {
			err = c.begin()
		}
		if err == nil {
			cpu, err = n.cpu(ctx, window)
		}
		if err == nil {
			memory, err = resident(n.pid())
		}
		if err == nil {
			seen, err = c.end(ctx)
		}
		return err
	}
	err = measure()
	return seen, cpu, memory, errors.Join(err, c.stop())
}
