package hlstest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	maxPlaylist = 8 << 20   // bytes
	maxMedia    = 256 << 20 // bytes
	// fetchTimeout is longer than a server may hold a request.
	fetchTimeout = 60 * time.Second
)

// fetched is an answer with its body, decompressed, and when it was asked for
// and there.
type fetched struct {
	Answer
	body        []byte
	asked, came time.Time
}

// fetcher loads over HTTP as a player does.
type fetcher struct {
	client *http.Client
}

// get loads a URL. An error means that there was no answer at all.
func (f fetcher) get(ctx context.Context, asked Asked, url string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	out := fetched{asked: time.Now()}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return out, fmt.Errorf("request %s: %w", url, err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Origin", "https://player.example")
	resp, err := f.client.Do(r)
	if err != nil {
		return out, fmt.Errorf("load %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	limit := int64(maxMedia)
	if asked == ForPlaylist || asked == ForBlocking {
		limit = maxPlaylist
	}
	if out.body, err = readBody(resp, limit); err != nil {
		return out, fmt.Errorf("load %s: %w", url, err)
	}
	out.came = time.Now()
	out.Answer = Answer{
		Asked: asked, URL: url, Status: resp.StatusCode, Header: resp.Header, Proto: resp.ProtoMajor,
		TLS: resp.TLS != nil, Redirected: resp.Request.URL.String() != r.URL.String(),
	}
	return out, nil
}

func readBody(resp *http.Response, limit int64) ([]byte, error) {
	var from io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		from = z
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(from, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return b.Bytes(), err
}
