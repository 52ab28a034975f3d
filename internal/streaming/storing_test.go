package streaming

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/frame"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/hls/hlstest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
)

// outage is an object store that is down at times: it takes nothing then, or
// does nothing at all.
type outage struct {
	blob.Store
	noPuts, nothing atomic.Bool
}

var errDown = errors.New("the object store is down")

func newOutage(t *testing.T, dir string) *outage {
	t.Helper()
	files, err := blob.NewFiles(dir + "/objects")
	if err != nil {
		t.Fatal(err)
	}
	return &outage{Store: files}
}

func (o *outage) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if o.noPuts.Load() || o.nothing.Load() {
		return errDown
	}
	return o.Store.Put(ctx, key, r, size)
}

func (o *outage) Open(ctx context.Context, key string) (*blob.Object, error) {
	if o.nothing.Load() {
		return nil, errDown
	}
	return o.Store.Open(ctx, key)
}

func (o *outage) List(ctx context.Context, prefix string) ([]blob.Info, error) {
	if o.nothing.Load() {
		return nil, errDown
	}
	return o.Store.List(ctx, prefix)
}

// film sends pictures to a session, 30 a second with a key frame every 2 s, as
// fast as they are taken.
type film struct {
	t     *testing.T
	x     *session
	begin time.Time
	sent  int
}

func newFilm(t *testing.T, x *session) *film { return &film{t: t, x: x, begin: time.Now()} }

func (f *film) send(length time.Duration) {
	f.t.Helper()
	video := smallAVC(f.t)
	for range int(length / time.Second * 30) {
		v := frame.Video{
			Data: append([]byte{0, 0, 3, 0xe8, 0x41}, bytes.Repeat([]byte{byte(f.sent)}, 999)...), Timestamp: uint32(f.sent) * 3000,
			Arrival: f.begin.Add(time.Duration(f.sent) * time.Second / 30),
		}
		if f.sent%60 == 0 {
			v.Key, v.Config, v.Data[4] = true, &video, 0x65
		}
		f.x.Video(v)
		f.sent++
	}
	f.x.Received(1, time.Now())
}

// player asks a service for what it serves.
type player struct {
	t   *testing.T
	mux *http.ServeMux
}

func newPlayer(t *testing.T, s *Service) player {
	p := player{t, http.NewServeMux()}
	s.Routes(p.mux)
	return p
}

func (p player) get(path string) []byte {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		p.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// plays reads all that a playlist names, and returns its length in seconds.
func (p player) plays(path string) float64 {
	p.t.Helper()
	media, err := hlstest.ParseMedia(p.get(path))
	if err != nil {
		p.t.Fatal(err)
	}
	dir := path[:strings.LastIndexByte(path, '/')+1]
	length := time.Duration(0)
	for _, s := range media.Segments {
		if s.URI == "" || s.Init == "" {
			p.t.Fatalf("%s: %+v", path, s)
		}
		p.get(dir + s.Init)
		if body := p.get(dir + s.URI); bytes.Count(body, []byte("mdat")) == 0 {
			p.t.Errorf("%s is no segment", s.URI)
		}
		length += s.Duration
	}
	return length.Seconds()
}

// told lists what the outbox has of a stream, and the length of its recording.
func told(t *testing.T, s *Service, id string) (names []string, length int64) {
	t.Helper()
	rows, err := s.needs.DB.Read().QueryContext(context.Background(), "SELECT body FROM outbox ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			t.Fatal(err)
		}
		var e event.Envelope
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		var d struct {
			Name     string `json:"event_name"`
			Status   string `json:"recording_status"`
			StreamID string `json:"stream_id"`
			Duration int64  `json:"recording_duration_ms"`
		}
		if err := e.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if d.StreamID == id {
			names = append(names, d.Name+d.Status)
			length = max(length, d.Duration)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names, length
}

// figure reads a gauge without labels.
func figure(t *testing.T, s *Service, name string) float64 {
	t.Helper()
	families, err := s.needs.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "serverlessvideo_"+name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no figure %s", name)
	return 0
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// broadcastInOutage is a broadcast of 20 s that is over, of which the store has
// taken the first segments only.
func broadcastInOutage(t *testing.T, s *Service, down *atomic.Bool) (id string) {
	t.Helper()
	x := begin(t, s, &source{})
	id = x.broadcast.id
	f := newFilm(t, x)
	f.send(6 * time.Second)
	until(t, "the first segments are stored", func() bool { return figure(t, s, "segments_stored_total") >= 2 })
	down.Store(true)
	f.send(14 * time.Second)
	x.Leave(true, "over")
	return id
}

// TestStoreDownAtTheEnd: a broadcast whose end the store does not take is over
// for everybody at once, can be played from where it waits, and its recording ends
// with its right length when it is stored. Once with a restart in between.
func TestStoreDownAtTheEnd(t *testing.T) {
	over := []string{event.StreamStart, event.RecordingStart, event.StreamEnd}
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			dir := t.TempDir()
			objects := newOutage(t, dir)
			s, stop := openBroadcasts(t, dir, &held{}, objects)
			defer func() { stop() }()
			s.patience = 50 * time.Millisecond
			if err := s.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			id := broadcastInOutage(t, s, &objects.noPuts)
			if names, _ := told(t, s, id); !slices.Equal(names, over) {
				t.Fatalf("%v was said at the end of the broadcast", names)
			}
			if s.broadcastOf("c") != nil {
				t.Error("the channel is not free")
			}
			if row, err := s.row(context.Background(), id); err != nil || row.State != stateStoring || row.EndedAt == 0 {
				t.Errorf("%+v %v", row, err)
			}
			play := func(paths ...string) {
				t.Helper()
				for _, path := range paths {
					if got := newPlayer(t, s).plays(path); got < 19.9 || got > 20.1 {
						t.Errorf("%s has %.2f s", path, got)
					}
				}
			}
			play("/vod/"+id+"/source/media.m3u8", "/live/c/"+id+"/source/dvr.m3u8")
			until(t, "what waits is on disk", func() bool { return s.spill.Left() > 0 })
			play("/vod/"+id+"/source/media.m3u8", "/live/c/"+id+"/source/dvr.m3u8")
			s.forgetEnded(time.Now().Add(2 * s.cfg.EndedFor)) // the live playlists stay, from where the media waits
			play("/vod/"+id+"/source/media.m3u8", "/live/c/"+id+"/source/dvr.m3u8", "/live/c/"+id+"/source/media.m3u8")
			if restart {
				stop()
				s, stop = openBroadcasts(t, dir, &held{}, objects)
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(100*time.Millisecond, cancel)
				s.storeLeftFirst(ctx) // as Start does, without its patience
				if err := s.recover(context.Background(), true); err != nil {
					t.Fatal(err)
				}
				play("/vod/" + id + "/source/media.m3u8")
			}
			if n := figure(t, s, "recordings_storing"); n != 1 {
				t.Errorf("%v recordings wait", n)
			}
			if figure(t, s, "segments_waiting") == 0 || figure(t, s, "segments_spilled_bytes") == 0 {
				t.Error("the figures do not show what waits")
			}
			if names, _ := told(t, s, id); !slices.Equal(names, over) {
				t.Fatalf("%v was said while it waits", names)
			}

			objects.noPuts.Store(false)
			if row := waitEnded(t, s, id); row.DurationMs < 19_900 || row.DurationMs > 20_100 {
				t.Errorf("%+v", row)
			}
			names, length := told(t, s, id)
			if !slices.Equal(names, append(over[:3:3], event.RecordingEnd)) || length < 19_900 || length > 20_100 {
				t.Errorf("%v was said, %d ms", names, length)
			}
			until(t, "nothing waits", func() bool { return figure(t, s, "recordings_storing")+figure(t, s, "segments_waiting") == 0 })
			play("/vod/" + id + "/source/media.m3u8")
			s.forgetEnded(time.Now().Add(2 * s.cfg.EndedFor))
			if len(s.ended) != 0 {
				t.Error("the stream is kept for ever")
			}
		})
	}
}

// TestStoreDownFromTheStart: of a broadcast that the store has nothing of, all can
// be played while the store does nothing at all, and the recording begins and ends
// when it is back.
func TestStoreDownFromTheStart(t *testing.T) {
	dir := t.TempDir()
	objects := newOutage(t, dir)
	objects.nothing.Store(true)
	s, stop := openBroadcasts(t, dir, &held{}, objects)
	defer stop()
	s.patience = 50 * time.Millisecond
	x := begin(t, s, &source{})
	id := x.broadcast.id
	newFilm(t, x).send(100 * time.Second) // far more than stays in memory
	dvr := "/live/c/" + id + "/source/dvr.m3u8"
	if got := newPlayer(t, s).plays(dvr); got < 97 {
		t.Errorf("live, %.2f s can be played", got)
	}
	x.Leave(true, "over")
	for range 2 {
		if got := newPlayer(t, s).plays(dvr); got < 99.9 || got > 100.1 {
			t.Errorf("%.2f s can be played", got)
		}
		until(t, "what waits is on disk", func() bool { return s.spill.Left() > 0 })
		s.forgetEnded(time.Now().Add(2 * s.cfg.EndedFor))
	}
	if names, _ := told(t, s, id); !slices.Equal(names, []string{event.StreamStart, event.StreamEnd}) {
		t.Fatalf("%v was said", names)
	}
	next := begin(t, s, &source{}) // the channel is free
	objects.nothing.Store(false)
	if row := waitEnded(t, s, id); row.DurationMs < 99_900 || row.DurationMs > 100_100 {
		t.Errorf("%+v", row)
	}
	names, _ := told(t, s, id)
	if !slices.Equal(names, []string{event.StreamStart, event.StreamEnd, event.RecordingStart, event.RecordingEnd}) {
		t.Errorf("%v was said", names)
	}
	next.Leave(true, "over")
}

// TestGivenUpAtTheEnd: what finds no place to wait is lost, which is said, and the
// recording ends without it.
func TestGivenUpAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	objects := newOutage(t, dir)
	s, stop := openBroadcasts(t, dir, &held{}, objects)
	defer stop()
	s.patience = 50 * time.Millisecond
	if err := os.RemoveAll(dir + "/spill"); err != nil { // the disk is gone
		t.Fatal(err)
	}
	id := broadcastInOutage(t, s, &objects.noPuts)
	objects.noPuts.Store(false)
	row := waitEnded(t, s, id)
	lost := figure(t, s, "segments_lost_total")
	if row.DurationMs < 3900 || row.DurationMs > 19_000 || lost == 0 {
		t.Errorf("%d ms are recorded, %v segments lost", row.DurationMs, lost)
	}
	if got := newPlayer(t, s).plays("/vod/"+id+"/source/media.m3u8") - float64(row.DurationMs)/1000; got < -0.01 || got > 0.01 {
		t.Errorf("%.3f s more can be played than the %d ms that were said", got, row.DurationMs)
	}
	s.saying.close()
	said := 0
	for _, e := range s.needs.Bus.(*saidBus).said {
		if strings.Contains(string(e.Detail), event.RecordingSegmentLost) {
			eventtest.Example(t, "Recording-State-Change.recording-segment-lost", e,
				`"c"`, `"01jdmq7b2p0s8t6v4x1z3a5c7e"`, "recordings/c/", "recordings/01jdmq7b2p0s8t6v4x1z3a5c7e/")
			said++
		}
	}
	if float64(said) != lost {
		t.Errorf("%d of %v losses were said", said, lost)
	}
}

// TestGoOnWhileTheStoreIsDown restarts a node in mid-broadcast whose store takes
// nothing: the broadcast goes on behind what waits on disk, and its recording has
// the length of both.
func TestGoOnWhileTheStoreIsDown(t *testing.T) {
	dir := t.TempDir()
	objects := newOutage(t, dir)
	s, stop := openBroadcasts(t, dir, &held{}, objects)
	s.patience = 50 * time.Millisecond
	x := begin(t, s, &source{})
	id := x.broadcast.id
	f := newFilm(t, x)
	f.send(6 * time.Second)
	until(t, "the first segments are stored", func() bool { return figure(t, s, "segments_stored_total") >= 2 })
	objects.noPuts.Store(true)
	f.send(8 * time.Second)
	stop()

	epochs := &held{}
	epochs.epoch = 1 // as a database has it
	s, stop = openBroadcasts(t, dir, epochs, objects)
	defer func() { stop() }()
	s.patience = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	s.storeLeftFirst(ctx) // as Start does, without its patience
	if err := s.recover(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	x = begin(t, s, &source{})
	if x.broadcast.id != id {
		t.Fatal("another broadcast began")
	}
	newFilm(t, x).send(6 * time.Second)
	x.Leave(true, "over")
	if got := newPlayer(t, s).plays("/live/c/" + id + "/source/dvr.m3u8"); got < 19.9 || got > 20.5 {
		t.Errorf("%.2f s can be played", got)
	}
	if row, err := s.row(context.Background(), id); err != nil || row.State != stateStoring {
		t.Errorf("%+v %v", row, err)
	}
	objects.noPuts.Store(false)
	if row := waitEnded(t, s, id); row.DurationMs < 19_900 || row.DurationMs > 20_500 {
		t.Errorf("%+v", row)
	}
	if names, _ := told(t, s, id); !slices.Equal(names, []string{event.StreamStart, event.RecordingStart, event.StreamEnd, event.RecordingEnd}) {
		t.Errorf("%v was said", names)
	}
}

// TestRemainsOfNoRecordingAreRemoved: a server that was killed between the
// description of the first segment and that segment leaves nothing behind that no
// video owns.
func TestRemainsOfNoRecordingAreRemoved(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	storedRecording(t, s, "st-none", 0)
	storedRecording(t, s, "st-some", 1)
	for id, want := range map[string]int{"st-none": 0, "st-some": 2} {
		objects, err := s.needs.Objects.List(t.Context(), recorder.Prefix("c", id)+"/")
		if err != nil || len(objects) != want {
			t.Errorf("%s has %d objects, want %d (%v)", id, len(objects), want, err)
		}
		if row, err := s.row(t.Context(), id); err != nil || row.State != stateEnded || row.Recorded != (want > 0) {
			t.Errorf("%s: %+v, %v", id, row, err)
		}
	}
}
