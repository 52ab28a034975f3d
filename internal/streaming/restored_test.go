package streaming

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// TestRestoredWithoutEncoder: what players know of a broadcast is there after a
// restart, also where nothing can make it any more.
func TestRestoredWithoutEncoder(t *testing.T) {
	ctx := context.Background()
	s := newBroadcasts(t, t.TempDir(), &held{})
	video, err := cmaf.ParseAVC([]byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9e, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0xa4, 0x80},
		[]byte{0x68, 0xcb, 0x83, 0xcb, 0x20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.insertStream(ctx, "st-1", "c"); err != nil {
		t.Fatal(err)
	}
	opus := &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2}
	aac := &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 48000, Channels: 2, ASC: []byte{0x11, 0x90}}
	now := time.Now().UnixMilli()
	for rung, init := range map[string]cmaf.Init{
		"source": {Video: &video, Audio: opus}, "480p": {Video: &video, Audio: opus}, "aac": {Audio: aac},
	} {
		put := func(name, data string) {
			key := recorder.Prefix("c", "st-1") + "/" + rung + "/" + name
			if err := s.needs.Objects.Put(ctx, key, strings.NewReader(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
		}
		put(recorder.InitName(1, 1), string(init.Marshal()))
		for i := range 3 {
			put(recorder.Segment{Epoch: 1, MSN: uint64(i), StartMS: now - 9000 + int64(i)*2000, Ticks: 180_000, Init: 1}.Name(), "media")
		}
	}
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	for _, rung := range []string{"source", "480p", "source-video", "480p-video", "aac"} {
		for _, name := range []string{"media.m3u8", "dvr.m3u8"} {
			if status, body := get("/live/c/st-1/" + rung + "/" + name); status != http.StatusOK || !strings.Contains(body, "1-2.mp4") {
				t.Errorf("%s/%s: %d %s", rung, name, status, body)
			}
		}
	}
	if status, body := get("/live/c/master.m3u8"); status != http.StatusOK || strings.Contains(body, "480p") || strings.Contains(body, "aac") {
		t.Errorf("%d %s", status, body)
	}
	b := s.broadcastOf("c")
	b.watch(time.Now().Add(time.Minute))
	<-b.done
}
