package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// broadcastFor is how long the broadcast is whose end is measured.
const broadcastFor = 6 * time.Second

// startAndEnd publishes from this process: what counts is time, not work.
func startAndEnd(ctx context.Context, b *bench) (figures, error) {
	var f figures
	err := b.withNode(ctx, 2, func(n *node, who []broadcaster) error {
		path, err := b.clip(ctx, "whip")
		if err != nil {
			return err
		}
		var clip streamtest.Clip
		if err := loadClip(path, &clip); err != nil {
			return err
		}
		clips := []*streamtest.Clip{&clip}
		first, ended, err := n.broadcast(ctx, who[0], streamtest.Options{Clips: clips, AnswerPLI: true})
		if err != nil {
			return err
		}
		deaf, _, err := n.broadcast(ctx, who[1], streamtest.Options{Clips: clips})
		f.atMost("WHIP POST to first part", "ms", first, 700)
		f.note("the same, no key frame for 2 s and none on request", "ms", deaf)
		f.atMost("end to on-demand playlist", "ms", ended, 200)
		return err
	})
	return f, err
}

// broadcast returns the ms from the POST to the first part that a waiting viewer
// has, and from the DELETE to the playlist of the recording.
func (n *node) broadcast(ctx context.Context, who broadcaster, o streamtest.Options) (first, ended float64, err error) {
	owner, err := n.signIn(ctx, who)
	if err != nil {
		return 0, 0, err
	}
	news, err := n.events(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = news.Body.Close() }()
	published := make(chan error, 1)
	began := time.Now()
	var p *streamtest.Publisher
	go func() {
		var err error
		p, err = streamtest.Publish(ctx, n.url("/whip/"+who.channel), who.key, o)
		published <- err
	}()
	stream, err := started(news)
	if err == nil {
		err = n.firstPart(ctx, who.channel, stream)
	}
	first = milliseconds(began)
	if err = errors.Join(<-published, err); err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, broadcastFor); err != nil {
		return 0, 0, errors.Join(err, p.Close())
	}
	stopped := make(chan error, 1)
	began = time.Now()
	go func() { stopped <- p.Stop(ctx) }()
	err = n.recorded(ctx, owner, stream)
	return first, milliseconds(began), errors.Join(err, <-stopped)
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since)) / 1e6 }

// signIn returns a client that is signed in: a video is its owner's until it is
// valid.
func (n *node) signIn(ctx context.Context, who broadcaster) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{"email": who.email, "password": password})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url("/api/auth/signin"), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Jar: jar, Timeout: childPatience}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the sign-in was answered %s", resp.Status)
	}
	return client, nil
}

// events subscribes to what every page is told.
func (n *node) events(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url("/events?topics=serverlessVideo-global"), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.Join(fmt.Errorf("the events were answered %s", resp.Status), resp.Body.Close())
	}
	return resp, err
}

// started waits for the event that a stream has started and returns its id.
func started(news *http.Response) (string, error) {
	lines := bufio.NewScanner(news.Body)
	for lines.Scan() {
		_, id, ok := strings.Cut(lines.Text(), `"stream_id":"`)
		if id, _, end := strings.Cut(id, `"`); ok && end {
			return id, nil
		}
	}
	return "", errors.Join(errors.New("no event tells of the stream"), lines.Err())
}

// firstPart gets the first part of a stream, waiting for it.
func (n *node) firstPart(ctx context.Context, channel, stream string) error {
	base, err := url.Parse(n.url("/live/" + channel + "/" + stream + "/source/media.m3u8"))
	if err != nil {
		return err
	}
	text, err := getOK(ctx, http.DefaultClient, base.String())
	if err != nil {
		return err
	}
	m, err := hlstest.ParseMedia(text)
	if err != nil {
		return err
	}
	if len(m.Segments) == 0 || len(m.Segments[0].Parts) == 0 {
		return fmt.Errorf("the first playlist has no part:\n%s", text)
	}
	part, err := base.Parse(m.Segments[0].Parts[0].URI)
	if err == nil {
		_, err = getOK(ctx, http.DefaultClient, part.String())
	}
	return err
}

// recorded asks for the playlist of a recording until it is there.
func (n *node) recorded(ctx context.Context, owner *http.Client, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, childPatience)
	defer cancel()
	for {
		status, body, err := get(ctx, owner, n.url("/vod/"+stream+"/master.m3u8"))
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			return nil
		case status != http.StatusNotFound:
			return fmt.Errorf("the recording's playlist was answered %d: %s", status, body)
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}
