package rtmptest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/chunk"
)

// Options says what is published.
type Options struct {
	// Clips are sent one after the other; then the last one again and again.
	Clips []*Clip
	// Duration of what is sent; 0: until Stop or Vanish.
	Duration time.Duration
	// Start is the first timestamp, in ms.
	Start uint32
	// TLS is for rtmps.
	TLS *tls.Config
}

// Publisher is a publisher that is sending in real time.
type Publisher struct {
	client   *Client
	stop     chan struct{}
	stopping sync.Once
	done     chan struct{} // nothing is sent any more
	sent     atomic.Int64  // ns of media
	err      error         // set before done
}

// Publish begins to publish at rtmp://host:port/live/key and returns when the
// server has taken the key. The caller ends it with Stop, Vanish or Close.
func Publish(ctx context.Context, address string, o Options) (*Publisher, error) {
	if len(o.Clips) == 0 {
		return nil, errors.New("there is no clip to publish")
	}
	client, err := Dial(ctx, address, o.TLS)
	if err != nil {
		return nil, err
	}
	if err := client.Publish(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	p := &Publisher{client: client, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = p.send(o)
	}()
	return p, nil
}

// Sent is how much media was sent so far.
func (p *Publisher) Sent() time.Duration { return time.Duration(p.sent.Load()) }

// Wait waits until Options.Duration has been sent, or sending failed.
func (p *Publisher) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refusal waits for the server to refuse and returns its words.
func (p *Publisher) Refusal() (*StatusError, error) {
	_, err := p.client.WaitStatus("")
	p.halt()
	var refused *StatusError
	if errors.As(err, &refused) {
		return refused, nil
	}
	return nil, err
}

// Stop ends the broadcast as a good client does.
func (p *Publisher) Stop() error {
	p.halt()
	return errors.Join(p.client.Unpublish(), p.client.Close())
}

// Vanish is a connection that is gone without a word.
func (p *Publisher) Vanish() error {
	if c, ok := p.client.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // a reset, not an end
	}
	return p.Close()
}

// Close closes the connection.
func (p *Publisher) Close() error {
	p.halt()
	return p.client.Close()
}

func (p *Publisher) halt() {
	p.stopping.Do(func() { close(p.stop) })
	<-p.done
}

// send sends the clips at their times.
func (p *Publisher) send(o Options) error {
	began := time.Now()
	var base time.Duration // where the clip begins
	for n := 0; ; n++ {
		clip := o.Clips[min(n, len(o.Clips)-1)]
		for _, t := range clip.Headers {
			if n > 0 && t.Type == chunk.DataAMF0 {
				continue
			}
			t.Timestamp = o.Start + uint32(base.Milliseconds())
			if err := p.client.Tag(t); err != nil {
				return err
			}
		}
		for _, t := range clip.Tags {
			at := base + time.Duration(t.Timestamp)*time.Millisecond
			if o.Duration > 0 && at >= o.Duration || !p.until(began.Add(at)) {
				return nil
			}
			t.Timestamp = o.Start + uint32(at.Milliseconds())
			if err := p.client.Tag(t); err != nil {
				return err
			}
			p.sent.Store(int64(at))
		}
		base += clip.Length
	}
}

// until sleeps to a time; false when it was stopped before.
func (p *Publisher) until(at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.stop:
		return false
	}
}
