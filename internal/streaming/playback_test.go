package streaming_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

// TestOrigin asks a live stream what players ask, and what they should not.
func TestOrigin(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{EndedFor: time.Second})
	if status, header, body := n.get("/live/" + channel + "/master.m3u8"); status != 404 || header.Get("Cache-Control") != "no-store" {
		t.Errorf("before it is live: %d %v %s", status, header, body)
	}
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}})
	id := n.liveID()
	base := "/live/" + channel + "/" + id + "/source/"

	// The first answer waits for the first segment.
	status, header, _ := n.get("/live/" + channel + "/master.m3u8")
	if status != 200 || header.Get("Cache-Control") != "public, max-age=1" || header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("master: %d %v", status, header)
	}

	playlist, err := hlstest.ParseMedia(n.mustGet(base + "media.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	next := playlist.NextMSN()
	// Several wait for the same part; all get it, the same, with it in.
	var wg sync.WaitGroup
	bodies := make([][]byte, 4)
	for i := range bodies {
		wg.Go(func() {
			_, _, bodies[i] = n.get(fmt.Sprintf("%smedia.m3u8?_HLS_msn=%d&_HLS_part=1", base, next))
		})
	}
	wg.Wait()
	for _, b := range bodies {
		if !bytes.Contains(b, []byte(fmt.Sprintf("1-%d.1.mp4\"", next))) && !bytes.Contains(b, []byte(fmt.Sprintf("1-%d.0.mp4\"", next+1))) {
			t.Errorf("a blocking reload lacks the part it waited for:\n%s", b)
		}
	}
	_, header, zipped := n.get(base+"media.m3u8", "Accept-Encoding", "br, gzip;q=0.8")
	if header.Get("Content-Encoding") != "gzip" || header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("with gzip: %v", header)
	}
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(r); err != nil || hlstest.CheckMedia(plain) != nil {
		t.Errorf("unzipped: %v\n%s", err, plain)
	}

	// The hinted part comes when it is complete.
	now, err := hlstest.ParseMedia(n.mustGet(base + "media.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	status, header, part := n.get(base + now.Hint)
	if status == 200 && (len(part) == 0 || !strings.Contains(header.Get("Cache-Control"), "immutable") || header.Get("Content-Encoding") != "") {
		t.Errorf("the hinted part: %v", header)
	}
	if status != 200 && status != 404 { // 404: a key frame ended the segment before it
		t.Errorf("the hinted part: %d", status)
	}

	for path, want := range map[string]int{
		base + "media.m3u8?_HLS_msn=999":                   400,
		base + "media.m3u8?_HLS_msn=x":                     400,
		base + "media.m3u8?_HLS_part=1":                    400,
		base + "media.m3u8?_HLS_skip=maybe":                400,
		base + "1-0.mp4":                                   200,
		base + "1-0.0.mp4":                                 200,
		base + "1-init-1.mp4":                              200,
		base + "1-init-2.mp4":                              404,
		base + "2-0.mp4":                                   404,
		base + "1-999.mp4":                                 404,
		base + "1-0.999.mp4":                               404,
		base + "nonsense":                                  404,
		"/live/" + channel + "/" + id + "/720p/media.m3u8": 404,
		"/live/" + channel + "/st-other/source/media.m3u8": 404,
		"/live/user-2/master.m3u8":                         404,
		"/live/user-2/" + id + "/source/media.m3u8":        404,
		base + "..%2f..%2f..%2f..%2fapp.db":                404,
		"/vod/" + id + "/master.m3u8":                      404, // not yet
	} {
		if status, _, body := n.get(path); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	n.stopPublisher(p)
	n.waitEnded(id)
	if ended := n.mustGet(base + "media.m3u8"); !bytes.Contains(ended, []byte("#EXT-X-ENDLIST")) {
		t.Errorf("ended:\n%s", ended)
	}
	eventually(t, "the ended stream is forgotten", func() bool {
		status, _, _ := n.get(base + "media.m3u8")
		return status == 404
	})
}

// TestVOD checks who may see a recording, and how it is served.
func TestVOD(t *testing.T) {
	t.Parallel()
	m := material(t)
	n := startNode(t, t.TempDir(), streaming.Config{})
	p := n.publish(streamtest.Options{Clips: []*streamtest.Clip{m.small}, Duration: 2 * time.Second})
	id := n.liveID()
	if err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.stopPublisher(p)
	n.waitEnded(id)

	// Before the catalogue knows it, the stream's row answers.
	n.checkVOD(id, 2*time.Second)
	playlist, err := hlstest.ParseMedia(n.mustGet("/vod/" + id + "/source/media.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	segment := "/vod/" + id + "/source/" + playlist.Segments[0].URI
	whole := n.mustGet(segment)
	status, header, part := n.get(segment, "Range", "bytes=4-11")
	if status != http.StatusPartialContent || string(part) != string(whole[4:12]) {
		t.Errorf("a range: %d %v", status, header)
	}
	if status, _, _ := n.get(segment, "If-None-Match", header.Get("ETag")); status != http.StatusNotModified {
		t.Errorf("with its ETag: %d", status)
	}
	if err := n.objects.Put(context.Background(), "videos/"+id+"/video.mp4", strings.NewReader("0123456789"), 10); err != nil {
		t.Fatal(err)
	}
	status, header, part = n.get("/vod/"+id+"/video.mp4", "Range", "bytes=-3")
	if status != 206 || string(part) != "789" || header.Get("Content-Type") != "video/mp4" {
		t.Errorf("the MP4's end: %d %v %s", status, header, part)
	}
	for name, kind := range map[string]string{"storyboard.vtt": "text/vtt; charset=utf-8", "storyboard-1.jpg": "image/jpeg",
		"plugins/transcribe/all.vtt": "text/vtt; charset=utf-8", "plugins/transcribe/all.txt": "text/plain; charset=utf-8"} {
		if err := n.objects.Put(context.Background(), "videos/"+id+"/"+name, strings.NewReader("previews"), 8); err != nil {
			t.Fatal(err)
		}
		if status, header, body := n.get("/vod/" + id + "/" + name); status != 200 || string(body) != "previews" || header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %v %s", name, status, header, body)
		}
	}
	// What lies with another video is not found by way of this one.
	for _, key := range []string{"videos/st-2/x.txt", "videos/" + id + "/x.txt"} {
		if err := n.objects.Put(context.Background(), key, strings.NewReader("secret"), 6); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{
		"/vod/" + id + "/plugins/..%2fx.txt":           404,
		"/vod/" + id + "/plugins/p/..%2f..%2fx.txt":    404,
		"/vod/" + id + "/thumbnail.jpg":                404,
		"/vod/" + id + "/storyboard-2.jpg":             404,
		"/vod/" + id + "/storyboard-01.jpg":            404,
		"/vod/" + id + "/storyboard-.jpg":              404,
		"/vod/" + id + "/other":                        404,
		"/vod/" + id + "/plugins/transcribe/x.txt":     404,
		"/vod/" + id + "/plugins/transcribe/x.html":    404,
		"/vod/" + id + "/plugins/..%2f..%2fst-2/x.txt": 404,
		"/vod/" + id + "/source/video.mp4":             404,
		"/vod/" + id + "/source/..%2f..%2fsecret":      404,
		"/vod/" + id + "/other/media.m3u8":             404,
		"/vod/st-nothing/master.m3u8":                  404,
	} {
		if status, _, body := n.get(path); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}

	// Then the catalogue decides.
	prefix := recorder.Prefix(channel, id)
	for _, tt := range []struct {
		access access
		status int
		cache  string
	}{
		{access{prefix: prefix}, 200, "public"},
		{access{prefix: prefix, private: true}, 200, "private"},
		{access{err: errs.New(errs.NotFound, "no such video")}, 404, "no-store"},
	} {
		n.library.mu.Lock()
		n.library.videos[id] = tt.access
		n.library.mu.Unlock()
		for _, path := range []string{"/vod/" + id + "/master.m3u8", "/vod/" + id + "/source/media.m3u8", segment, "/vod/" + id + "/video.mp4"} {
			status, header, body := n.get(path)
			if status != tt.status || !strings.Contains(header.Get("Cache-Control"), tt.cache) {
				t.Errorf("%s with %+v: %d %v %s", path, tt.access, status, header, body)
			}
			if tt.access.private && header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s is private, but pages of any origin may read it", path)
			}
		}
	}
}
