package streaming

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/cmaf"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/ingest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/transcode"
)

// held makes the making of broadcasts wait, where hold is not nil.
type held struct {
	counting
	mu   sync.Mutex
	hold chan struct{}
}

func (h *held) RaiseEpoch(ctx context.Context, tx *store.Tx, channel string) (int64, error) {
	if h.hold != nil {
		<-h.hold
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counting.RaiseEpoch(ctx, tx, channel)
}

// saidBus keeps what was said.
type saidBus struct {
	mu   sync.Mutex
	said []event.Envelope
}

func (b *saidBus) Publish(_ context.Context, e event.Envelope) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, e)
	return nil
}

func (b *saidBus) SubscribeLive(string, func(string, []byte)) (func(), error) { return func() {}, nil }

// source is a publisher without a connection.
type source struct {
	mu     sync.Mutex
	closed string // why
}

func (p *source) RequestKeyFrame() {}
func (p *source) Close(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = cmp.Or(p.closed, reason)
}
func (p *source) Stats() ingest.Stats { return ingest.Stats{} }

func (p *source) reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

var offer = ingest.Offer{Channel: "c", Protocol: "WHIP", Video: []cmaf.VideoCodec{cmaf.H264}}

// newBroadcasts is a service without ffmpeg whose publishers have no
// connections. It is stopped by the test's end.
func newBroadcasts(t testing.TB, dir string, channels Channels) *Service {
	t.Helper()
	objects, err := blob.NewFiles(dir + "/objects")
	if err != nil {
		t.Fatal(err)
	}
	s, stop := openBroadcasts(t, dir, channels, objects)
	t.Cleanup(stop)
	return s
}

// openBroadcasts is such a service on an object store, for the test to stop.
func openBroadcasts(t testing.TB, dir string, channels Channels, objects blob.Store) (s *Service, stop func()) {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Path: dir + "/app.db"})
	if err != nil {
		t.Fatal(err)
	}
	s, err = New(Config{
		Node: "node-1", Network: rtc.Network{UDP: "127.0.0.1:0"}, ReconnectWindow: time.Minute, FFmpeg: dir + "/none", SpillDir: dir + "/spill",
	}, Needs{
		DB: db, Objects: objects, Channels: channels, Library: noLibrary{}, Bus: &saidBus{},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusNotFound)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// noLibrary is a catalogue without videos.
type noLibrary struct{}

func (noLibrary) Known(context.Context, string) (bool, error) { return false, nil }
func (noLibrary) MediaAccess(context.Context, string) (channel, prefix string, privately bool, err error) {
	return "", "", false, nil
}

func begin(t *testing.T, s *Service, p ingest.Publisher) *session {
	t.Helper()
	x, err := s.Begin(context.Background(), offer, p)
	if err != nil {
		t.Fatal(err)
	}
	return x.(*session)
}

// waitEnded waits until a stream's recording has ended, and returns its row.
func waitEnded(t *testing.T, s *Service, id string) sqlc.Stream {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		row, err := s.row(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if row.State == stateEnded {
			return row
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v never ends", row)
		}
	}
}

// TestTakeOverWhileEnding: whoever comes while the one before says goodbye is
// in a broadcast that goes on, the same or the next.
func TestTakeOverWhileEnding(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	for range 20 {
		first := begin(t, s, &source{})
		b := first.broadcast
		b.mu.Lock()
		first.since = first.since.Add(-time.Minute) // it has not sent for long
		b.heard = b.heard.Add(-30 * time.Second)
		b.mu.Unlock()
		var gone sync.WaitGroup
		gone.Go(func() { first.Leave(true, "over") })
		second := begin(t, s, &source{})
		gone.Wait()
		if b := s.broadcastOf("c"); b == nil || b.current() != second {
			t.Fatal("the second publisher sends to nobody")
		}
		second.Leave(true, "over")
	}
}

// TestClockWentBack: a broadcast comes after those of its channel by the order of
// ids, although their clock was ahead.
func TestClockWentBack(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	future := "st-7" + id.New()[1:]
	if _, err := s.insertStream(t.Context(), future, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.endStream(t.Context(), ending{id: future, channel: "c", at: 1}); err != nil {
		t.Fatal(err)
	}
	x := begin(t, s, &source{})
	got := x.broadcast.id
	if row, err := s.row(t.Context(), got); got <= future || err != nil || row.State != stateLive {
		t.Errorf("%s comes after %s: %+v, %v", got, future, row, err)
	}
}

// TestWindowCountsFromMedia: a publisher that comes back and sends nothing does
// not keep a broadcast, nor is it taken for one that sends.
func TestWindowCountsFromMedia(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	first := begin(t, s, &source{})
	b := first.broadcast
	first.Received(1000, time.Now())
	first.Leave(false, "lost")
	p := &source{}
	second := begin(t, s, p)
	if second.broadcast != b {
		t.Fatal("another broadcast began")
	}
	b.mu.Lock()
	b.heard = b.heard.Add(-61 * time.Second)
	b.starving = true
	b.mu.Unlock()
	b.watch(time.Now())
	if !b.reconnecting() || b.current() != second || p.reason() != "" {
		t.Error("who has just come is let go, or taken for one that sends")
	}
	b.watch(time.Now().Add(11 * time.Second))
	if !strings.Contains(p.reason(), "no media came") {
		t.Errorf("who sends nothing is told %q", p.reason())
	}
	second.Leave(false, p.reason())
	b.watch(time.Now())
	<-b.done
}

// TestShutdownWhileBeingMade stops a service while somebody is let in.
func TestShutdownWhileBeingMade(t *testing.T) {
	channels := &held{hold: make(chan struct{})}
	s := newBroadcasts(t, t.TempDir(), channels)
	var done sync.WaitGroup
	var x ingest.Session
	done.Go(func() { x, _ = s.Begin(context.Background(), offer, &source{}) })
	for len(s.reserved()) == 0 {
		time.Sleep(time.Millisecond)
	}
	b := s.reserved()[0]
	done.Go(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	<-s.running.Done()
	close(channels.hold)
	done.Wait()
	if x == nil {
		t.Fatal("nobody was let in")
	}
	select {
	case <-b.done:
	default:
		t.Error("the broadcast was left running")
	}
	if row, err := s.row(context.Background(), b.id); err != nil || row.State != stateLive {
		t.Errorf("%+v %v: the next process cannot go on", row, err)
	}
}

// smallAVC is the configuration of a picture of 320x180.
func smallAVC(t testing.TB) cmaf.VideoConfig {
	t.Helper()
	video, err := cmaf.ParseAVC([]byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9e, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0xa4, 0x80},
		[]byte{0x68, 0xcb, 0x83, 0xcb, 0x20})
	if err != nil {
		t.Fatal(err)
	}
	return video
}

// TestRestoredAndLeftAlone ends a broadcast of an earlier process whose publisher
// does not come back, by what was stored; and one that cannot go on.
func TestRestoredAndLeftAlone(t *testing.T) {
	ctx := context.Background()
	s := newBroadcasts(t, t.TempDir(), &held{})
	cutOff(t, s, "st-1", true)
	cutOff(t, s, "st-2", false)
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if row, err := s.row(ctx, "st-2"); err != nil || row.State != stateEnded || row.DurationMs != 6000 {
		t.Errorf("%+v %v", row, err)
	}
	b := s.broadcastOf("c")
	if b == nil || b.id != "st-1" || !b.reconnecting() {
		t.Fatalf("%+v does not go on", b)
	}
	b.watch(time.Now().Add(time.Minute))
	<-b.done
	if row := waitEnded(t, s, "st-1"); row.DurationMs != 6000 {
		t.Errorf("%+v", row)
	}
	rows, err := s.needs.DB.Read().QueryContext(ctx, "SELECT body FROM outbox")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	said := map[string]int{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"Stream Start", "Stream End", "Recording Start", "Recording End"} {
			said[what] += strings.Count(text, fmt.Sprintf("%q", what))
		}
	}
	if rows.Err() != nil || fmt.Sprint(said) != "map[Recording End:2 Recording Start:2 Stream End:2 Stream Start:2]" {
		t.Errorf("%v was said", said)
	}
}

// TestChoose decides about publishers that come to a broadcast which others
// began.
func TestChoose(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	opus := &cmaf.AudioConfig{Codec: cmaf.Opus, SampleRate: 48000, Channels: 2}
	aac := &cmaf.AudioConfig{Codec: cmaf.AAC, SampleRate: 44100, Channels: 2, ASC: []byte{0x12, 0x10}}
	began := func(first, is cmaf.VideoCodec, made *transcode.Plan) *sidecars {
		b := &broadcast{service: s, video: is, audio: opus}
		return newSidecars(b, &plan{offered: first, video: is, audio: opus, made: made})
	}
	top := transcode.NoPlan()
	top.Top = &transcode.Rung{Name: "H264"}
	for name, tt := range map[string]struct {
		sidecars *sidecars
		offer    ingest.Offer
		want     choice
		words    string // of the refusal
	}{
		"the same": {began(cmaf.H264, cmaf.H264, transcode.NoPlan()),
			ingest.Offer{Video: []cmaf.VideoCodec{cmaf.VP8, cmaf.H264}, Audio: opus}, choice{video: cmaf.H264}, ""},
		"VP8 comes back": {began(cmaf.VP8, cmaf.H264, top),
			ingest.Offer{Video: []cmaf.VideoCodec{cmaf.VP8}, Audio: opus}, choice{video: cmaf.VP8, convert: true}, ""},
		"without sound": {began(cmaf.H264, cmaf.H264, transcode.NoPlan()),
			ingest.Offer{Video: []cmaf.VideoCodec{cmaf.H264}}, choice{video: cmaf.H264}, ""},
		"another one, no ffmpeg": {began(cmaf.H264, cmaf.H264, transcode.NoPlan()),
			ingest.Offer{Video: []cmaf.VideoCodec{cmaf.VP9}}, choice{}, "began with H264"},
		"not into VP9": {began(cmaf.VP9, cmaf.VP9, transcode.NoPlan()),
			ingest.Offer{Video: []cmaf.VideoCodec{cmaf.H264}}, choice{}, "began with VP9"},
		"other sound, no ffmpeg": {began(cmaf.H264, cmaf.H264, transcode.NoPlan()),
			ingest.Offer{Video: []cmaf.VideoCodec{cmaf.H264}, Audio: aac}, choice{}, "began with Opus audio"},
	} {
		got, err := tt.sidecars.choose(tt.offer, nil)
		switch {
		case tt.words != "":
			if errs.CodeOf(err) != errs.Unsupported || !strings.Contains(errs.MessageOf(err), tt.words) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || got != tt.want:
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

// TestGauges reads the figures of a publisher and of the sidecars.
func TestGauges(t *testing.T) {
	s := newBroadcasts(t, t.TempDir(), &held{})
	x := begin(t, s, &source{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(newGauges(s))
	names := func() map[string]bool {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, f := range families {
			names[strings.TrimPrefix(f.GetName(), "serverlessvideo_")] = true
		}
		return names
	}
	if got := names(); !got["ingest_bitrate_bits"] || !got["transcode_cores"] || !got["transcode_refused_total"] {
		t.Error(got)
	}
	x.Received(1, time.Now())
	x.Leave(false, "lost")
	if got := names(); got["ingest_bitrate_bits"] || !got["transcode_cores"] {
		t.Errorf("without a publisher: %v", got)
	}
}
