package streaming

import (
	"bytes"
	"context"
	"path"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

const (
	pictureWidth   = 640              // pixels
	pictureTimeout = 20 * time.Second // waiting for its turn included
	cachePicture   = "public, max-age=15"
)

// pictures makes a picture of a live broadcast now and then: of the first key
// frame of a segment, in the background.
type pictures struct {
	broadcast *broadcast
	making    sync.WaitGroup
	ctx       context.Context
	cancel    context.CancelFunc

	mu      sync.Mutex
	init    []byte // of the source rung, the latest
	next    time.Time
	busy    bool
	made    bool
	failing int
}

func newPictures(b *broadcast) *pictures {
	p := &pictures{broadcast: b}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// setInit takes the init segment of the segments to come.
func (p *pictures) setInit(data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.init = data
}

// segment takes a complete segment of the source rung. It does not block. Of one
// that begins without a key frame nothing can be shown.
func (p *pictures) segment(seg *live.Segment) {
	s := p.broadcast.service
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.cfg.PictureEvery <= 0 || p.busy || now.Before(p.next) || p.init == nil || seg.Dependent || p.ctx.Err() != nil || s.tools.Path() == "" {
		return
	}
	p.busy = true
	init, data := p.init, seg.Data()
	p.making.Go(func() { p.make(init, bytes.Join(data, nil)) })
}

func (p *pictures) make(init, data []byte) {
	b := p.broadcast
	ctx, cancel := context.WithTimeout(p.ctx, pictureTimeout)
	defer cancel()
	jpeg, err := b.service.stills.Still(ctx, init, data, pictureWidth)
	if err == nil {
		err = b.service.needs.Objects.Put(ctx, pictureKey(b.channel, b.id), bytes.NewReader(jpeg), int64(len(jpeg)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	p.next = time.Now().Add(b.service.cfg.PictureEvery)
	switch {
	case err == nil:
		p.made, p.failing = true, 0
	case p.ctx.Err() == nil:
		if p.failing++; p.failing == 1 {
			b.service.log.Warn("taking a picture of a live stream", "stream", b.id, "error", err)
		}
	}
}

// there says whether a picture was made.
func (p *pictures) there() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// close waits until none is being made.
func (p *pictures) close() {
	p.cancel()
	p.making.Wait()
}

// pictureKey is where the picture of a live broadcast lies: with its recording,
// so that it is deleted with it.
func pictureKey(channel, stream string) string {
	return path.Join(recorder.Prefix(channel, stream), "live.jpg")
}

// pictureOf says whether there is a picture of a live stream.
func (s *Service) pictureOf(channel, stream string) error {
	if b := s.broadcastOf(channel); b != nil && b.id == stream && b.pictures.there() {
		return nil
	}
	return errs.New(errs.NotFound, "there is no picture of this live stream, or not yet")
}
