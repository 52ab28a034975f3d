package streaming

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/live"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// Caching of recordings. A video may be deleted or turn private, so shared caches
// ask again after a minute, which costs a 304; whoever has watched it may keep it
// longer. What is private no shared cache keeps.
const (
	cachePlaylist = "public, max-age=5"
	cacheMedia    = "public, max-age=3600, s-maxage=60"
	cachePrivate  = "private, no-cache"
)

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
	case row.State == stateLive: // while it is stored, what waits can be played too
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

// vodFile serves what lies directly under a video: its master playlist, its MP4,
// its thumbnail and its storyboard.
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
	case "storyboard.vtt":
		err = s.serveObject(w, r, path.Join("videos", v.video, name), object{cache: v.cache(cacheMedia), contentType: "text/vtt; charset=utf-8"})
	default:
		if !isSheet(name) {
			err = errs.Newf(errs.NotFound, "a video has no %q", name)
			break
		}
		err = s.serveObject(w, r, path.Join("videos", v.video, name), object{cache: v.cache(cacheMedia), contentType: "image/jpeg"})
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// vodPluginText serves a text that a plugin put beside a video's files: a
// transcript, captions.
func (s *Service) vodPluginText(w http.ResponseWriter, r *http.Request) {
	v, ok := s.open(w, r)
	if !ok {
		return
	}
	plugin, name := r.PathValue("plugin"), r.PathValue("name")
	// Not path.Join, which would follow "..": a value of the path may have been
	// written with %2f, and lead to another video.
	key := strings.Join([]string{"videos", v.video, "plugins", plugin, name}, "/")
	kind, known := map[string]string{".txt": "text/plain; charset=utf-8", ".vtt": "text/vtt; charset=utf-8"}[path.Ext(name)]
	err := blob.CheckKey(key)
	if !known || err != nil || strings.Contains(plugin+name, "/") {
		err = errs.Newf(errs.NotFound, "plugins have no %q; their texts end in .txt or .vtt", name)
	} else {
		err = s.serveObject(w, r, key, object{cache: v.cache(cacheMedia), contentType: kind})
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// isSheet says whether a name is that of pictures that storyboard.vtt names:
// storyboard-1.jpg and so on.
func isSheet(name string) bool {
	number, ok := strings.CutPrefix(strings.TrimSuffix(name, ".jpg"), "storyboard-")
	n, err := strconv.ParseUint(number, 10, 16)
	return ok && err == nil && name == fmt.Sprintf("storyboard-%d.jpg", n)
}

// Where post-processing puts its files.
func mp4Key(video string) string       { return path.Join("videos", video, "video.mp4") }
func thumbnailKey(video string) string { return path.Join("videos", video, "thumbnail.jpg") }

func (s *Service) vodMaster(w http.ResponseWriter, r *http.Request, v viewable) error {
	rec, err := s.vods.get(r.Context(), v)
	if err != nil {
		return err
	}
	set := recorder.AllSets
	if aacOnly(r) {
		set = recorder.AACSet
	}
	rec.masters[set].Send(w, r, v.cache(cachePlaylist))
	return nil
}

// vodMedia serves what lies in a rung of a recording.
func (s *Service) vodMedia(w http.ResponseWriter, r *http.Request) {
	v, ok := s.open(w, r)
	if !ok {
		return
	}
	var err error
	switch rung, name := r.PathValue("rung"), r.PathValue("name"); name {
	case "media.m3u8":
		err = s.vodPlaylist(w, r, v, rung, recorder.Whole)
	case "video.m3u8":
		err = s.vodPlaylist(w, r, v, rung, recorder.VideoOnly)
	default:
		stored, view := recorder.ViewOf(name)
		o := object{cache: v.cache(cacheMedia), contentType: live.SegmentType}
		err = s.serveStored(w, r, storedMedia{v.prefix, rung, stored, view}, o)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

func (s *Service) vodPlaylist(w http.ResponseWriter, r *http.Request, v viewable, rung string, view recorder.View) error {
	text, err := s.vods.playlist(r.Context(), v, rung, view)
	if err != nil {
		return err
	}
	text.Send(w, r, v.cache(cachePlaylist))
	return nil
}

// storedMedia names a segment or init segment of a recording.
type storedMedia struct {
	prefix, rung, name string
	view               recorder.View
}

// serveStored serves media of a recording, whole or without its sound.
func (s *Service) serveStored(w http.ResponseWriter, r *http.Request, m storedMedia, o object) error {
	key, err := recorder.Key(m.prefix, m.rung, m.name)
	if err != nil {
		return err
	}
	if m.view == recorder.Whole {
		return s.serveObject(w, r, key, o)
	}
	data, info, err := recorder.ReadVideoOnly(r.Context(), s.stored, key)
	if err != nil {
		return missing(r, err)
	}
	s.serve(w, r, info, o, bytes.NewReader(data))
	return nil
}

// object says how a stored object is served.
type object struct{ cache, contentType string }

// serveObject serves an object, ranges of it too. The files of the object store
// go out by sendfile, so nothing may stand between.
func (s *Service) serveObject(w http.ResponseWriter, r *http.Request, key string, o object) error {
	file, err := s.stored.Open(r.Context(), key)
	if err != nil {
		return missing(r, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	s.serve(w, r, file.Info, o, file.ReadSeekCloser)
	return nil
}

// serve answers with an object's content. A client that does not take it is cut; it
// may ask again for the rest.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, info blob.Info, o object, content io.ReadSeeker) {
	paced := newPacedWriter(w, s.slowest)
	defer paced.done()
	o.head(paced, info)
	http.ServeContent(paced, r, "", info.ModTime, content)
}

func (o object) head(w http.ResponseWriter, info blob.Info) {
	h := w.Header()
	h.Set("Content-Type", o.contentType)
	h.Set("Cache-Control", o.cache)
	h.Set("ETag", etag(info))
}

// missing says of an object that is not there by what it was asked for.
func missing(r *http.Request, err error) error {
	if errs.CodeOf(err) == errs.NotFound {
		return errs.Newf(errs.NotFound, "%s is not there, or not yet", r.URL.Path)
	}
	return err
}

func etag(info blob.Info) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d", info.Key, info.Size, info.ModTime.UnixNano())
	return fmt.Sprintf(`"%x"`, h.Sum64())
}
