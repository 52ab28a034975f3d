package main

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/whep/wheptest"
)

// whepCrowd is WHEP viewers.
type whepCrowd struct {
	viewers []*wheptest.Viewer
	before  tally

	mu        sync.Mutex
	measuring bool
	delays    []float64
}

// watchWHEP connects the viewers and waits until each has seen a key frame.
func watchWHEP(ctx context.Context, o order) (worker, error) {
	c := &whepCrowd{}
	client := &http.Client{Timeout: childPatience}
	for range o.Viewers {
		v, err := wheptest.Watch(ctx, o.Endpoints[0], wheptest.Options{Unit: c.unit, Client: client})
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.viewers = append(c.viewers, v)
	}
	ctx, cancel := context.WithTimeout(ctx, childPatience)
	defer cancel()
	for _, v := range c.viewers {
		if err := v.Wait(ctx, func(s wheptest.Stats) bool { return s.KeyFrames > 0 }); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// unit keeps the delay of a frame.
func (c *whepCrowd) unit(u wheptest.Unit) {
	if !u.Video {
		return
	}
	stamps := streamtest.StampsOf(u.Data)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.measuring && len(stamps) > 0 {
		c.delays = append(c.delays, float64(u.Complete.Sub(stamps[0]))/1e6)
	}
}

func (c *whepCrowd) begin() {
	c.before = c.sum()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measuring, c.delays = true, nil
}

func (c *whepCrowd) end() tally {
	t := c.sum()
	t.Frames -= c.before.Frames
	t.Lost -= c.before.Lost
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measuring = false
	t.Newest = c.delays
	return t
}

func (c *whepCrowd) sum() tally {
	var t tally
	for _, v := range c.viewers {
		s := v.Stats()
		t.Frames += s.Frames
		t.Lost += s.Lost
	}
	return t
}

func (c *whepCrowd) close() error {
	var err error
	for _, v := range c.viewers {
		err = errors.Join(err, v.Close())
	}
	return err
}
