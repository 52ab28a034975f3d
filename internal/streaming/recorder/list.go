package recorder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
)

// maxInit is far above the size of an init segment.
const maxInit = 64 << 10

// Recording is a stored stream, as the listing of its objects says.
type Recording struct {
	Prefix string
	Rungs  []RungRecording
}

// RungRecording is one quality of a recording.
type RungRecording struct {
	Name     string
	Segments []Segment // in the order of playing
}

// List reads a recording. One without a segment has no rungs and is no error.
func List(ctx context.Context, store blob.Store, prefix string) (Recording, error) {
	infos, err := store.List(ctx, prefix+"/")
	if err != nil {
		return Recording{}, fmt.Errorf("reading a recording: %w", err)
	}
	rec := Recording{Prefix: prefix}
	names := newNames()
	for _, info := range infos {
		dir, name := path.Split(strings.TrimPrefix(info.Key, prefix+"/"))
		rung := strings.TrimSuffix(dir, "/")
		s, ok := names.parse(name)
		if !ok || rung == "" || strings.Contains(rung, "/") {
			continue // the MP4, the thumbnail, init segments
		}
		s.Size = info.Size
		i := slices.IndexFunc(rec.Rungs, func(r RungRecording) bool { return r.Name == rung })
		if i < 0 {
			i = len(rec.Rungs)
			rec.Rungs = append(rec.Rungs, RungRecording{Name: rung})
		}
		rec.Rungs[i].Segments = append(rec.Rungs[i].Segments, s)
	}
	return rec, nil
}

// Summary returns what the first rung came to.
func (r Recording) Summary() Summary {
	var sum Summary
	if len(r.Rungs) == 0 {
		return sum
	}
	for _, s := range r.Rungs[0].Segments {
		sum.Segments++
		sum.Ticks += s.Ticks
	}
	return sum
}

// EndMS returns the wall clock of the end of the last segment, ms since 1970.
func (r Recording) EndMS() int64 {
	var end int64
	for _, rung := range r.Rungs {
		for _, s := range rung.Segments {
			end = max(end, s.StartMS+s.Ticks/90)
		}
	}
	return end
}

// Key returns the key of one of the recording's media objects by rung and name.
// Errors: errs.NotFound when no media has such a name.
func Key(prefix, rung, name string) (string, error) {
	key := join(prefix, rung, name)
	if !IsMedia(name) || blob.CheckKey(rung) != nil || strings.Contains(rung, "/") {
		return "", errs.Newf(errs.NotFound, "the recording has no %q", rung+"/"+name)
	}
	return key, nil
}

// Playlist returns the media playlist of a rung; its URIs are relative to the
// rung. Errors: errs.NotFound.
func (r Recording) Playlist(rung string) (*hls.Media, error) {
	i := slices.IndexFunc(r.Rungs, func(rr RungRecording) bool { return rr.Name == rung })
	if i < 0 {
		return nil, errs.Newf(errs.NotFound, "the recording has no rung %q", rung)
	}
	segments := make([]hls.Segment, len(r.Rungs[i].Segments))
	for j, s := range r.Rungs[i].Segments {
		segments[j] = hls.Segment{
			URI: s.Name(), Duration: ticks(s.Ticks), Discontinuity: s.Discontinuity && j > 0,
			Init: InitName(s.Epoch, s.Init), ProgramDateTime: time.UnixMilli(s.StartMS).UTC(),
		}
	}
	return hls.NewVOD(segments), nil
}

// Multivariant returns the multivariant playlist of a recording; its URIs are
// relative to the prefix. Codecs and picture size come from the init segments.
func (r Recording) Multivariant(ctx context.Context, store blob.Store) (*hls.Multivariant, error) {
	m := &hls.Multivariant{}
	for _, rung := range r.Rungs {
		v := hls.Variant{URI: rung.Name + "/media.m3u8"}
		seen := map[string]bool{}
		var size, length, peak int64
		for _, s := range rung.Segments {
			size += s.Size
			length += s.Ticks
			peak = max(peak, bitrate(s.Size, s.Ticks))
			name := InitName(s.Epoch, s.Init)
			if seen[name] {
				continue
			}
			seen[name] = true
			init, err := readInit(ctx, store, join(r.Prefix, rung.Name, name))
			if err != nil {
				return nil, err
			}
			describe(&v, init)
		}
		rate, err := frameRate(ctx, store, join(r.Prefix, rung.Name, rung.Segments[len(rung.Segments)/2].Name()))
		if err != nil {
			return nil, err
		}
		v.FrameRate = rate
		v.Bandwidth, v.AverageBandwidth = int(max(peak, 1)), int(bitrate(size, length))
		m.Variants = append(m.Variants, v)
	}
	return m, nil
}

// describe adds what an init segment has: its codecs, and the largest picture.
func describe(v *hls.Variant, init cmaf.Init) {
	for _, c := range init.Codecs() {
		if !slices.Contains(v.Codecs, c) {
			v.Codecs = append(v.Codecs, c)
		}
	}
	if c := init.Video; c != nil && c.Width*c.Height > v.Width*v.Height {
		v.Width, v.Height = c.Width, c.Height
	}
}

// frameRate returns the frames per second of a stored segment, to a half.
func frameRate(ctx context.Context, store blob.Store, key string) (float64, error) {
	o, err := store.Open(ctx, key)
	if err != nil {
		return 0, err
	}
	defer func() { _ = o.Close() }() // it was only read
	fragments, err := cmaf.ReadSegment(o)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	var frames, length uint64
	for _, f := range fragments {
		if f.Video != nil {
			frames += uint64(len(f.Video.Samples))
			length += f.Video.Duration()
		}
	}
	if frames == 0 || length == 0 {
		return 0, nil
	}
	return math.Round(2*float64(frames)*cmaf.VideoTimescale/float64(length)) / 2, nil
}

// bitrate in bits per second.
func bitrate(size, length int64) int64 { return size * 8 * 90_000 / max(length, 9_000) }

func ticks(n int64) time.Duration { return time.Duration(n * 100_000 / 9) }

func readInit(ctx context.Context, store blob.Store, key string) (cmaf.Init, error) {
	data, err := readAll(ctx, store, key)
	if err != nil {
		return cmaf.Init{}, err
	}
	init, err := cmaf.ParseInit(data)
	if err != nil {
		return cmaf.Init{}, fmt.Errorf("%s: %w", key, err)
	}
	return init, nil
}

func readAll(ctx context.Context, store blob.Store, key string) ([]byte, error) {
	o, err := store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }() // it was only read
	if o.Size > maxInit {
		return nil, fmt.Errorf("%s has %d bytes, far too many for an init segment", key, o.Size)
	}
	var buf bytes.Buffer
	_, err = buf.ReadFrom(io.LimitReader(o, maxInit))
	return buf.Bytes(), err
}

// Sources returns the segments of the first rung, for cmaf.Remux.
func (r Recording) Sources(store blob.Store) []cmaf.Source {
	if len(r.Rungs) == 0 {
		return nil
	}
	rung := r.Rungs[0]
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
	data, err := readAll(ctx, c.store, key)
	if err != nil {
		return nil, err
	}
	c.key, c.data = key, data
	return data, nil
}
