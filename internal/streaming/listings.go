package streaming

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

const (
	keptListings = 128 // recordings whose listings are remembered
	// How long the listing of a recording is good that is not stored as a whole yet.
	listingFor   = 2 * time.Second
	maxTextBytes = 16 << 20 // of media playlists that are remembered
)

// listings remembers the listings of recordings, which do not change any more
// once their stream has ended.
type listings struct {
	objects *recorder.Pending

	mu    sync.Mutex
	kept  map[string]keptRecording
	order []string // of first use

	texts     map[textKey]*live.Playlist // of kept recordings
	textOrder []textKey                  // of rendering
	textBytes int
}

// keptRecording is a listing with its multivariant playlists.
type keptRecording struct {
	recorder.Recording
	masters map[recorder.Set]*live.Playlist
	final   bool
	until   time.Time // when it is not final
}

func (k keptRecording) good() bool { return k.final || time.Now().Before(k.until) }

// textKey names a media playlist.
type textKey struct {
	video, rung string
	view        recorder.View
}

func newListings(objects *recorder.Pending) *listings {
	return &listings{objects: objects, kept: map[string]keptRecording{}, texts: map[textKey]*live.Playlist{}}
}

// get returns a recording. Errors: errs.NotFound when nothing is stored.
func (c *listings) get(ctx context.Context, v viewable) (keptRecording, error) {
	c.mu.Lock()
	rec, ok := c.kept[v.video]
	c.mu.Unlock()
	if ok && rec.good() {
		return rec, nil
	}
	prefix := strings.TrimSuffix(v.prefix, "/")
	waits := c.objects.Waits(prefix) // then it may change yet
	listed, err := recorder.List(ctx, c.objects, prefix)
	if err != nil {
		return rec, err
	}
	if len(listed.Rungs) == 0 {
		return rec, errs.Newf(errs.NotFound, "the video %q has no recording", v.video)
	}
	rec = keptRecording{Recording: listed, masters: map[recorder.Set]*live.Playlist{}, final: !waits, until: time.Now().Add(listingFor)}
	for _, set := range []recorder.Set{recorder.AllSets, recorder.AACSet} {
		m, err := listed.Multivariant(ctx, c.objects, set)
		if err != nil {
			return rec, err
		}
		rec.masters[set] = live.NewPlaylist(m.AppendTo(nil))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.kept[v.video]; !ok {
		c.order = append(c.order, v.video)
	}
	c.kept[v.video] = rec
	if len(c.order) > keptListings {
		delete(c.kept, c.order[0])
		c.order = c.order[1:]
	}
	return rec, nil
}

// forget drops a listing whose objects are deleted.
func (c *listings) forget(video string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, video)
	c.order = slices.DeleteFunc(c.order, func(v string) bool { return v == video })
	for _, k := range slices.Clone(c.textOrder) {
		if k.video == video {
			c.dropText(k)
		}
	}
}

// playlist returns a media playlist of a recording, rendered and compressed once
// while it is remembered. Errors: errs.NotFound.
func (c *listings) playlist(ctx context.Context, v viewable, rung string, view recorder.View) (*live.Playlist, error) {
	key := textKey{v.video, rung, view}
	c.mu.Lock()
	text := c.texts[key]
	c.mu.Unlock()
	if text != nil {
		return text, nil
	}
	rec, err := c.get(ctx, v)
	if err != nil {
		return nil, err
	}
	m, err := rec.Playlist(rung, view)
	if err != nil {
		return nil, err
	}
	text = live.NewPlaylist(m.AppendTo(nil))
	if rec.final {
		c.keepText(key, text)
	}
	return text, nil
}

// keepText remembers a playlist, instead of the oldest ones where it needs room.
func (c *listings) keepText(key textKey, text *live.Playlist) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, kept := c.kept[key.video]; !kept || c.texts[key] != nil || text.Size() > maxTextBytes {
		return // it was deleted meanwhile, or somebody else was faster
	}
	for c.textBytes+text.Size() > maxTextBytes {
		c.dropText(c.textOrder[0])
	}
	c.texts[key] = text
	c.textOrder = append(c.textOrder, key)
	c.textBytes += text.Size()
}

// dropText forgets a playlist. The caller holds mu.
func (c *listings) dropText(key textKey) {
	c.textBytes -= c.texts[key].Size()
	delete(c.texts, key)
	c.textOrder = slices.DeleteFunc(c.textOrder, func(k textKey) bool { return k == key })
}
