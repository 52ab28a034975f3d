package streaming

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// Caching of recordings. A video may be deleted or turn private, so nothing is
// kept for long; and never by a shared cache when it is private.
const (
	cachePlaylist = "public, max-age=5"
	cacheMedia    = "public, max-age=3600"
	cachePrivate  = "private, no-cache"
)

// keptRecordings is how many listings are remembered.
const keptRecordings = 128

// viewable is a recording that who asks may play.
type viewable struct {
	video, prefix string
	private       bool
}

// access finds a recording and whether who asks may play it. The catalogue
// decides; until it knows the video, the stream's own row does.
func (s *Service) access(ctx context.Context, video string) (viewable, error) {
	v := viewable{video: video}
	known, err := s.needs.Library.Known(ctx, video)
	if err != nil {
		return v, err
	}
	if known {
		_, v.prefix, v.private, err = s.needs.Library.MediaAccess(ctx, video)
		return v, err
	}
	row, err := s.row(ctx, video)
	switch {
	case err != nil && errs.CodeOf(err) != errs.NotFound:
		return v, err
	case err != nil, row.State == stateDeleted, row.State == stateEnded && !row.Recorded:
		return v, errs.Newf(errs.NotFound, "there is no video %q", video)
	case row.State == stateLive:
		return v, errs.Newf(errs.NotFound, "the video %q is not there yet: it is live at /live/%s/master.m3u8", video, row.Channel)
	}
	v.prefix = row.Prefix
	return v, nil
}

func (v viewable) cache(public string) string {
	if v.private {
		return cachePrivate
	}
	return public
}

// open begins the answer to a request for a recording.
func (s *Service) open(w http.ResponseWriter, r *http.Request) (viewable, bool) {
	v, err := s.access(r.Context(), r.PathValue("video"))
	if err != nil {
		live.AllowAnyOrigin(w)
		s.fail(w, r, err)
		return v, false
	}
	if !v.private {
		live.AllowAnyOrigin(w)
	}
	return v, true
}

// vodFile serves what lies directly under a video: its master playlist, its MP4
// and its thumbnail.
func (s *Service) vodFile(w http.ResponseWriter, r *http.Request) {
	v, ok := s.open(w, r)
	if !ok {
		return
	}
	var err error
	switch name := r.PathValue("name"); name {
	case "master.m3u8":
		err = s.vodMaster(w, r, v)
	case "video.mp4":
		err = s.serveObject(w, r, mp4Key(v.video), object{cache: v.cache(cacheMedia), contentType: "video/mp4"})
	case "thumbnail.jpg":
		err = s.serveObject(w, r, thumbnailKey(v.video), object{cache: v.cache(cacheMedia), contentType: "image/jpeg"})
	default:
		err = errs.Newf(errs.NotFound, "a video has no %q", name)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// Where post-processing puts its files.
func mp4Key(video string) string       { return path.Join("videos", video, "video.mp4") }
func thumbnailKey(video string) string { return path.Join("videos", video, "thumbnail.jpg") }

func (s *Service) vodMaster(w http.ResponseWriter, r *http.Request, v viewable) error {
	rec, err := s.vods.get(r.Context(), v)
	if err != nil {
		return err
	}
	live.SendPlaylist(w, r, rec.master, v.cache(cachePlaylist))
	return nil
}

// vodMedia serves what lies in a rung of a recording.
func (s *Service) vodMedia(w http.ResponseWriter, r *http.Request) {
	v, ok := s.open(w, r)
	if !ok {
		return
	}
	if err := s.vodRung(w, r, v, r.PathValue("rung"), r.PathValue("name")); err != nil {
		s.fail(w, r, err)
	}
}

func (s *Service) vodRung(w http.ResponseWriter, r *http.Request, v viewable, rung, name string) error {
	if name == "media.m3u8" {
		rec, err := s.vods.get(r.Context(), v)
		if err != nil {
			return err
		}
		var m *hls.Media
		if m, err = rec.Playlist(rung); err != nil {
			return err
		}
		live.SendPlaylist(w, r, m.AppendTo(nil), v.cache(cachePlaylist))
		return nil
	}
	key, err := recorder.Key(v.prefix, rung, name)
	if err != nil {
		return err
	}
	return s.serveObject(w, r, key, object{cache: v.cache(cacheMedia), contentType: live.SegmentType})
}

// object says how a stored object is served.
type object struct{ cache, contentType string }

// serveObject serves an object, ranges of it too. The files of the object store
// go out by sendfile, so nothing may stand between.
func (s *Service) serveObject(w http.ResponseWriter, r *http.Request, key string, o object) error {
	file, err := s.needs.Objects.Open(r.Context(), key)
	if errs.CodeOf(err) == errs.NotFound {
		return errs.Newf(errs.NotFound, "%s is not there, or not yet", r.URL.Path)
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	h := w.Header()
	h.Set("Content-Type", o.contentType)
	h.Set("Cache-Control", o.cache)
	h.Set("ETag", etag(file.Info))
	http.ServeContent(w, r, "", file.ModTime, file.ReadSeekCloser)
	return nil
}

func etag(info blob.Info) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d", info.Key, info.Size, info.ModTime.UnixNano())
	return fmt.Sprintf(`"%x"`, h.Sum64())
}

// recordings remembers the listings of recordings, which do not change any more
// once their stream has ended.
type recordings struct {
	objects blob.Store

	mu    sync.Mutex
	kept  map[string]keptRecording
	order []string // of first use
}

// keptRecording is a listing with its multivariant playlist.
type keptRecording struct {
	recorder.Recording
	master []byte
}

func newRecordings(objects blob.Store) *recordings {
	return &recordings{objects: objects, kept: map[string]keptRecording{}}
}

// get returns a recording. Errors: errs.NotFound when nothing is stored.
func (c *recordings) get(ctx context.Context, v viewable) (keptRecording, error) {
	c.mu.Lock()
	rec, ok := c.kept[v.video]
	c.mu.Unlock()
	if ok {
		return rec, nil
	}
	listed, err := recorder.List(ctx, c.objects, strings.TrimSuffix(v.prefix, "/"))
	if err != nil {
		return rec, err
	}
	if len(listed.Rungs) == 0 {
		return rec, errs.Newf(errs.NotFound, "the video %q has no recording", v.video)
	}
	m, err := listed.Multivariant(ctx, c.objects)
	if err != nil {
		return rec, err
	}
	rec = keptRecording{Recording: listed, master: m.AppendTo(nil)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.kept[v.video]; !ok {
		c.kept[v.video] = rec
		c.order = append(c.order, v.video)
	}
	if len(c.order) > keptRecordings {
		delete(c.kept, c.order[0])
		c.order = c.order[1:]
	}
	return rec, nil
}

// forget drops a listing whose objects are deleted.
func (c *recordings) forget(video string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, video)
}
