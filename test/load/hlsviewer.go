package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// hlsCrowd is LL-HLS viewers, each with a connection of its own. A viewer asks
// for the delta update that has the next part, waits for it, and gets the part.
type hlsCrowd struct {
	cancel  context.CancelFunc
	viewers sync.WaitGroup

	mu     sync.Mutex
	counts tally
	err    error
}

// connectEvery is the time between two viewers that come.
const connectEvery = 10 * time.Millisecond

func watchHLS(ctx context.Context, o order) (worker, error) {
	return watchAll(ctx, o, (*hlsViewer).follow)
}

// watchParts watches as watchHLS does, but asks for a part before it is there.
func watchParts(ctx context.Context, o order) (worker, error) {
	return watchAll(ctx, o, (*hlsViewer).expect)
}

func watchAll(ctx context.Context, o order, watch func(*hlsViewer, context.Context) error) (worker, error) {
	base, err := url.Parse(o.Endpoints[0])
	if err != nil {
		return nil, err
	}
	c := &hlsCrowd{}
	ctx, c.cancel = context.WithCancel(ctx)
	for range o.Viewers {
		transport := &http.Transport{ForceAttemptHTTP2: len(o.Authority) > 0, MaxConnsPerHost: 1}
		if len(o.Authority) > 0 {
			trusted := x509.NewCertPool()
			trusted.AppendCertsFromPEM(o.Authority)
			transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
		}
		v := &hlsViewer{crowd: c, base: base, client: &http.Client{Transport: transport}}
		c.viewers.Go(func() {
			defer transport.CloseIdleConnections()
			if err := watch(v, ctx); err != nil && ctx.Err() == nil {
				c.fail(err)
			}
		})
		if err := pause(ctx, connectEvery); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *hlsCrowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, err)
}

func (c *hlsCrowd) add(change func(*tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.counts)
}

func (c *hlsCrowd) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = tally{}
}

func (c *hlsCrowd) end() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return tally{Failed: c.err.Error()}
	}
	return c.counts
}

func (c *hlsCrowd) close() error {
	c.cancel()
	c.viewers.Wait()
	return nil
}

// hlsViewer is one of them.
type hlsViewer struct {
	crowd  *hlsCrowd
	base   *url.URL // of the media playlist
	client *http.Client
}

// follow gets every part as soon as a playlist has it.
func (v *hlsViewer) follow(ctx context.Context) error {
	m, err := v.playlist(ctx, "")
	for err == nil {
		msn, part := m.Next()
		if m, err = v.playlist(ctx, reloadQuery(msn, part)); err != nil {
			break
		}
		for _, uri := range partsFrom(m, msn, part) {
			if _, err := v.get(ctx, uri); err != nil {
				return err
			}
			v.crowd.add(func(t *tally) { t.Parts++ })
		}
	}
	return err
}

// expect gets every part by the hint that it will come.
func (v *hlsViewer) expect(ctx context.Context) error {
	m, err := v.playlist(ctx, "")
	for err == nil {
		if m.Hint == "" {
			return errors.New("the playlist has no hint")
		}
		msn, part := m.Next()
		// A hint for a part that does not come, as the segment ended before, is
		// answered with 404 (the draft, 6.2.6).
		status, data, failed := v.ask(ctx, m.Hint)
		if failed == nil && status != http.StatusOK && status != http.StatusNotFound {
			failed = fmt.Errorf("the hinted part %s was answered %d: %s", m.Hint, status, data)
		}
		if failed != nil {
			return failed
		}
		v.received(data, time.Now())
		m, err = v.playlist(ctx, reloadQuery(msn, part))
	}
	return err
}

// received keeps the delays of the frames in a part.
func (v *hlsViewer) received(part []byte, now time.Time) {
	stamps := streamtest.StampsOf(part)
	if len(stamps) == 0 {
		return
	}
	since := func(t time.Time) float64 { return float64(now.Sub(t)) / 1e6 }
	v.crowd.add(func(t *tally) {
		t.Parts++
		t.Frames += len(stamps)
		t.Oldest = append(t.Oldest, since(stamps[0]))
		t.Newest = append(t.Newest, since(stamps[len(stamps)-1]))
	})
}

func reloadQuery(msn uint64, part int) string {
	return fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d&_HLS_skip=YES", msn, part)
}

// partsFrom returns the URIs of the parts from one on.
func partsFrom(m *hlstest.Media, msn uint64, part int) []string {
	var uris []string
	for i, s := range m.Segments {
		n := m.MediaSequence + uint64(m.Skipped+i)
		for j, p := range s.Parts {
			if n > msn || n == msn && j >= part {
				uris = append(uris, p.URI)
			}
		}
	}
	return uris
}

func (v *hlsViewer) playlist(ctx context.Context, query string) (*hlstest.Media, error) {
	data, err := v.get(ctx, v.base.Path+query)
	if err != nil {
		return nil, err
	}
	v.crowd.add(func(t *tally) { t.Playlists++ })
	return hlstest.ParseMedia(data)
}

func (v *hlsViewer) get(ctx context.Context, ref string) ([]byte, error) {
	status, data, err := v.ask(ctx, ref)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", ref, status, data)
	}
	return data, err
}

func (v *hlsViewer) ask(ctx context.Context, ref string) (int, []byte, error) {
	u, err := v.base.Parse(ref)
	if err != nil {
		return 0, nil, err
	}
	return get(ctx, v.client, u.String())
}
