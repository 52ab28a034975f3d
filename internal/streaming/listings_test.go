package streaming

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// storedRecording stores a recording of segments of 2 s and ends its stream.
func storedRecording(t testing.TB, s *Service, id string, segments int) {
	t.Helper()
	ctx := context.Background()
	video := smallAVC(t)
	put := func(name string, data []byte) {
		key := recorder.Prefix("c", id) + "/source/" + name
		if err := s.needs.Objects.Put(ctx, key, bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
	fragment := cmaf.Fragment{Sequence: 1, Video: &cmaf.Run{Samples: []cmaf.Sample{{Duration: 180_000, Key: true, Data: []byte{0, 0, 0, 1, 0x65}}}}}
	media := cmaf.AppendSamples(fragment.AppendHead(cmaf.AppendSegmentType(nil)), fragment.Video)
	put(recorder.InitName(1, 1), cmaf.Init{Video: &video}.Marshal())
	for i := range segments {
		put(recorder.Segment{Epoch: 1, MSN: uint64(i), StartMS: 1000 + int64(i)*2000, Ticks: 180_000, Init: 1}.Name(), media)
	}
	if _, err := s.insertStream(ctx, id, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.endStream(ctx, ending{id: id, channel: "c", at: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.settle(ctx, "c", id); err != nil {
		t.Fatal(err)
	}
}

// TestPlaylistsAreKept: a playlist of a recording is rendered once, within
// limits, and is gone when the video is.
func TestPlaylistsAreKept(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	for i := range 3 {
		storedRecording(t, s, fmt.Sprintf("st-%d", i), 3)
	}
	p := newPlayer(t, s)
	first := p.get("/vod/st-0/source/media.m3u8")
	key := textKey{"st-0", "source", recorder.Whole}
	text := s.vods.texts[key]
	if text == nil || !bytes.Equal(p.get("/vod/st-0/source/media.m3u8"), first) || s.vods.texts[key] != text || s.vods.textBytes != text.Size() {
		t.Error("it is rendered again")
	}
	if got := p.plays("/vod/st-0/source/media.m3u8"); got != 6 {
		t.Errorf("%v s can be played", got)
	}
	s.vods.mu.Lock()
	s.vods.textBytes = maxTextBytes - text.Size() // as if there were many
	s.vods.mu.Unlock()
	p.get("/vod/st-1/source/media.m3u8")
	p.get("/vod/st-2/source/media.m3u8") // does not fit
	if s.vods.texts[key] != nil || len(s.vods.texts) != 2 || len(s.vods.textOrder) != 2 || s.vods.textBytes > maxTextBytes {
		t.Errorf("%d playlists are kept, %d bytes", len(s.vods.texts), s.vods.textBytes)
	}
	deleted := event.New(event.VideoDeleted{ChannelName: "c", ID: "st-1"})
	if err := s.onVideoDeleted(context.Background(), deleted); err != nil {
		t.Fatal(err)
	}
	if len(s.vods.texts) != 1 || len(s.vods.textOrder) != 1 {
		t.Errorf("%d playlists are kept", len(s.vods.texts))
	}
	w := httptest.NewRecorder()
	p.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/vod/st-1/source/media.m3u8", nil))
	if w.Code == http.StatusOK {
		t.Error("a deleted video is served")
	}
}

// BenchmarkVODPlaylist asks for the media playlist of a recording of an hour,
// compressed: as it is kept, and as it would be rendered each time.
func BenchmarkVODPlaylist(b *testing.B) {
	s := newBroadcasts(b, b.TempDir(), &held{})
	storedRecording(b, s, "st-1", 1800)
	mux := http.NewServeMux()
	s.Routes(mux)
	for name, keep := range map[string]bool{"kept": true, "rendered": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if !keep {
					s.vods.mu.Lock()
					for _, k := range s.vods.textOrder {
						s.vods.dropText(k)
					}
					s.vods.mu.Unlock()
				}
				r := httptest.NewRequest(http.MethodGet, "/vod/st-1/source/media.m3u8", nil)
				r.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Encoding"), "gzip") {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
