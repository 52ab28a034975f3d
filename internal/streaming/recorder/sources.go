package recorder

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
)

// maxInit is far above the size of an init segment.
const maxInit = 64 << 10

// Sources returns what cmaf.Remux makes an MP4 of: the segments of the best
// rung, and those of the AAC rendition when it lacks none of them, since more
// players know AAC than Opus; else no audio beside.
func (r Recording) Sources(store blob.Store) (video, audio []cmaf.Source) {
	if len(r.Rungs) == 0 {
		return nil, nil
	}
	video = r.sources(store, r.Rungs[0])
	if aac := r.wholeAAC(); aac > 0 {
		audio = r.sources(store, r.Rungs[aac])
	}
	return video, audio
}

// sources returns the segments of a rung.
func (r Recording) sources(store blob.Store, rung RungRecording) []cmaf.Source {
	inits := &initCache{store: store}
	sources := make([]cmaf.Source, len(rung.Segments))
	for i, s := range rung.Segments {
		sources[i] = source{
			inits: inits, init: join(r.Prefix, rung.Name, InitName(s.Epoch, s.Init)),
			store: store, key: join(r.Prefix, rung.Name, s.Name()),
		}
	}
	return sources
}

// wholeAAC returns the place of the AAC rendition when it has sound for every
// segment of the best rung; else -1.
func (r Recording) wholeAAC() int {
	at := r.rung(AACRung)
	if at < 0 {
		return -1
	}
	for _, s := range r.timeline() {
		if s.has[0] >= 0 && s.has[at] < 0 {
			return -1
		}
	}
	return at
}

// source is a stored segment.
type source struct {
	inits *initCache
	init  string
	store blob.Store
	key   string
}

// Init returns the init segment.
func (s source) Init(ctx context.Context) ([]byte, error) { return s.inits.get(ctx, s.init) }

// Open opens the segment.
func (s source) Open(ctx context.Context) (io.ReadSeekCloser, error) { return s.store.Open(ctx, s.key) }

// initCache keeps the last init segment, which most segments share. It is for
// one goroutine.
type initCache struct {
	store blob.Store
	key   string
	data  []byte
}

func (c *initCache) get(ctx context.Context, key string) ([]byte, error) {
	if c.key == key {
		return c.data, nil
	}
	data, _, err := readAll(ctx, c.store, key)
	if err != nil {
		return nil, err
	}
	c.key, c.data = key, data
	return data, nil
}

func readInit(ctx context.Context, store blob.Store, key string) (cmaf.Init, error) {
	data, _, err := readAll(ctx, store, key)
	if err != nil {
		return cmaf.Init{}, err
	}
	init, err := cmaf.ParseInit(data)
	if err != nil {
		return cmaf.Init{}, fmt.Errorf("%s: %w", key, err)
	}
	return init, nil
}

// readAll reads an init segment.
func readAll(ctx context.Context, store blob.Store, key string) ([]byte, blob.Info, error) {
	o, err := store.Open(ctx, key)
	if err != nil {
		return nil, blob.Info{}, err
	}
	defer func() { _ = o.Close() }() // it was only read
	if o.Size > maxInit {
		return nil, o.Info, fmt.Errorf("%s has %d bytes, far too many for an init segment", key, o.Size)
	}
	var buf bytes.Buffer
	_, err = buf.ReadFrom(io.LimitReader(o, maxInit))
	return buf.Bytes(), o.Info, err
}
