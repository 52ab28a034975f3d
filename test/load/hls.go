package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// latency is what one viewer has who asks for each part before it is there.
func latency(ctx context.Context, b *bench) (figures, error) {
	var f figures
	err := b.withStream(ctx, func(n *node, who broadcaster) error {
		playlist, err := n.mediaPlaylist(ctx, who.channel)
		if err != nil {
			return err
		}
		seen, _, _, err := n.watch(ctx, order{Role: "part", Endpoints: []string{playlist.String()}, Viewers: 1})
		if err != nil {
			return err
		}
		if seen.Parts == 0 {
			return errors.New("the viewer got no part")
		}
		f.atMost("newest frame of a part, p50", "ms", percentile(seen.Newest, 50), 3)
		f.atMost("newest frame of a part, p95", "ms", percentile(seen.Newest, 95), 8)
		f.atMost("oldest frame of a part, p50", "ms", percentile(seen.Oldest, 50), 175)
		f.note("oldest frame of a part, p95", "ms", percentile(seen.Oldest, 95))
		f.note("frames in a part", "", float64(seen.Frames)/float64(seen.Parts))
		f.note("parts", "/s", float64(seen.Parts)/window.Seconds())
		return nil
	})
	return f, err
}

// hlsViewers is over plain HTTP/1.1.
func hlsViewers(ctx context.Context, b *bench) (figures, error) {
	return crowds(ctx, b, false, 0.11, 100, 300)
}

// h2Viewers is over HTTP/2 with TLS.
func h2Viewers(ctx context.Context, b *bench) (figures, error) {
	return crowds(ctx, b, true, 0.2, 100)
}

// crowds measures what a viewer costs beside one stream.
func crowds(ctx context.Context, b *bench, secure bool, bar float64, sizes ...int) (figures, error) {
	var f figures
	err := b.withStream(ctx, func(n *node, who broadcaster) error {
		playlist, err := n.mediaPlaylist(ctx, who.channel)
		if err != nil {
			return err
		}
		o := order{Role: "hls"}
		if secure {
			if o.Authority, err = getOK(ctx, http.DefaultClient, n.url("/ca.crt")); err != nil {
				return err
			}
			playlist.Scheme, playlist.Host = "https", n.https
		}
		o.Endpoints = []string{playlist.String()}
		idle, err := n.cpu(ctx, window)
		if err != nil {
			return err
		}
		f.note("CPU with 0 viewers", "%", idle)
		for _, o.Viewers = range sizes {
			if err := crowd(ctx, n, o, idle, bar, &f); err != nil {
				return err
			}
		}
		return nil
	})
	return f, err
}

func crowd(ctx context.Context, n *node, o order, idle, bar float64, f *figures) error {
	before, err := renderings(ctx, n)
	if err != nil {
		return err
	}
	seen, cpu, _, err := n.watch(ctx, o)
	if err != nil {
		return err
	}
	after, err := renderings(ctx, n)
	if err != nil {
		return err
	}
	viewers := float64(o.Viewers)
	f.atMost(fmt.Sprintf("CPU for each of %d viewers", o.Viewers), "%", (cpu-idle)/viewers, bar)
	f.note(fmt.Sprintf("parts for each of %d viewers", o.Viewers), "/s", float64(seen.Parts)/viewers/window.Seconds())
	f.note(fmt.Sprintf("playlists for each of %d viewers", o.Viewers), "/s", float64(seen.Playlists)/viewers/window.Seconds())
	// Every part makes a state, of which the full playlist and the delta update
	// may be rendered.
	f.atMost(fmt.Sprintf("renderings for each part with %d viewers", o.Viewers), "", (after.lists-before.lists)/(after.parts-before.parts), 2)
	return nil
}

type rendering struct{ lists, parts float64 }

func renderings(ctx context.Context, n *node) (rendering, error) {
	lists, err1 := n.counter(ctx, "serverlessvideo_playlists_rendered_total")
	parts, err2 := n.counter(ctx, "serverlessvideo_parts_total")
	return rendering{lists, parts}, errors.Join(err1, err2)
}
