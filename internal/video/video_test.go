package video_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// channels knows alice's channel and nobody else's.
type channels struct{}

func (channels) Username(_ context.Context, channel string) (string, error) {
	if channel == "alice" {
		return "brave-otter", nil
	}
	return "", errs.New(errs.NotFound, "no such channel")
}

type urls struct{}

func (urls) VOD(v string) string       { return "https://x/vod/" + v + "/master.m3u8" }
func (urls) MP4(v string) string       { return "https://x/vod/" + v + "/video.mp4" }
func (urls) Thumbnail(v string) string { return "https://x/vod/" + v + "/thumbnail.jpg" }
func (urls) Storyboard(v string) string {
	return "https://x/vod/" + v + "/storyboard.vtt"
}

// fixture is a video manager with what it said.
type fixture struct {
	*video.Service
	t       *testing.T
	db      *store.DB
	objects *blob.Files
	api     *apitest.Client
	mu      sync.Mutex
	said    []event.Envelope
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	objects, err := blob.NewFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, db: db, objects: objects}
	f.Service = video.New(db, objects, channels{}, func(context.Context) video.URLs { return urls{} }, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	relay := &store.Relay{DB: db, Holder: "n", Logger: slog.New(slog.DiscardHandler), Publish: func(_ context.Context, e event.Envelope) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.said = append(f.said, e)
		return nil
	}}
	var wg sync.WaitGroup
	wg.Go(func() { relay.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return f
}

// hear gives an event to the consumers whose filters select it.
func (f *fixture) hear(e event.Envelope) {
	f.t.Helper()
	heard := false
	for _, c := range f.Consumers() {
		if slices.ContainsFunc(c.Filters, func(x event.Filter) bool { return x.Match(e) }) {
			heard = true
			if err := c.Handle(context.Background(), e); err != nil {
				f.t.Errorf("%s: %v", e.DetailType, err)
			}
		}
	}
	if !heard {
		f.t.Errorf("nobody hears %s of %s", e.DetailType, e.Source)
	}
}

// saying waits until everything said is out and returns the events of one type.
func (f *fixture) saying(detailType string) []event.Envelope {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n, err := f.db.Pending(context.Background())
		if err != nil {
			f.t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			f.t.Fatal("the outbox never emptied")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []event.Envelope
	for _, e := range f.said {
		if e.DetailType == detailType {
			out = append(out, e)
		}
	}
	return out
}

func (f *fixture) put(keys ...string) {
	f.t.Helper()
	for _, key := range keys {
		if err := f.objects.Put(context.Background(), key, strings.NewReader("x"), 1); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) objectsUnder(prefix string) int {
	f.t.Helper()
	found, err := f.objects.List(context.Background(), prefix)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(found)
}

func recordingEnd(id string) event.Envelope {
	return event.New(event.RecordingStateChange{
		RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: id,
		RecordingS3KeyPrefix: "recordings/alice/" + id, RecordingDurationMS: 11_900,
	})
}

func mp4Complete(id string) event.Envelope {
	return event.New(event.MP4ProcessingComplete{
		ChannelName: "alice", ID: id, Compute: "local", Thumbnail: "https://x/t.jpg",
		Width: 1280, Height: 720, DurationMillis: 12_000, Size: 4096,
	})
}

func mp4Failed(id string) event.Envelope {
	return event.New(event.MP4ProcessingFailed{ChannelName: "alice", ID: id, Reason: "no key frame"})
}

func lifecycleComplete(id string, result event.LifeCycleResult) event.Envelope {
	return event.New(event.LifeCycleComplete{Lifecycle: eventtest.Lifecycle(id, "alice", result)})
}

// exampleIDs are what stands in the examples of events for the ids of these tests.
func exampleIDs() []string {
	return []string{"st-1", "st-01jdmq8x4rv3k5w7y9a2c4e6gh", "alice", "01jdmq7b2p0s8t6v4x1z3a5c7e", "https://x/", "https://tv.example.com/"}
}

// publish takes a video to its end.
func (f *fixture) publish(id string, result event.LifeCycleResult) {
	f.t.Helper()
	f.hear(recordingEnd(id))
	f.hear(mp4Complete(id))
	f.hear(lifecycleComplete(id, result))
}

func as(id string, roles ...identity.Role) context.Context {
	return identity.With(context.Background(), identity.Principal{ID: id, Roles: roles})
}

func output(plugin, value string) event.PluginOutput {
	return event.PluginOutput{OutputKey: "plugin-" + plugin, OutputValue: json.RawMessage(value)}
}

func TestRecordingReady(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(recordingEnd("st-1"))
		if got := f.saying("recording-ready"); len(got) != 0 {
			t.Fatalf("ready before there is an MP4: %s", got[0].Detail)
		}
		if waiting, err := f.AwaitingLifecycle(context.Background()); err != nil || len(waiting) != 0 {
			t.Fatalf("awaiting a lifecycle: %v, %v", waiting, err)
		}
		f.hear(mp4Complete("st-1"))
		ready := f.saying("recording-ready")
		if len(ready) != 1 {
			t.Fatalf("recording-ready %d times, want once", len(ready))
		}
		var d event.RecordingReadyEvent
		if err := ready[0].Decode(&d); err != nil {
			t.Fatal(err)
		}
		if _, err := time.Parse(time.RFC3339, d.CreatedAt); err != nil {
			t.Error(err)
		}
		d.CreatedAt = ""
		want := event.RecordingReadyEvent{
			RecordingStatus: "Recording Ready", RecordingS3KeyPrefix: "recordings/alice/st-1",
			StreamURL: "https://x/vod/st-1/master.m3u8", PlaybackURL: "https://x/vod/st-1/video.mp4",
			Thumbnail: "https://x/vod/st-1/thumbnail.jpg", ChannelName: "alice", ID: "st-1",
			DurationMillis: 12_000, Author: "brave-otter", Height: 720, Width: 1280,
		}
		if d != want {
			t.Errorf("got %+v\nwant %+v", d, want)
		}
		waiting, err := f.AwaitingLifecycle(context.Background())
		if err != nil || len(waiting) != 1 {
			t.Fatalf("awaiting a lifecycle: %v, %v", waiting, err)
		}
		waiting[0].CreatedAt = ""
		if waiting[0] != want {
			t.Errorf("the reconciler is told %+v\nwant %+v", waiting[0], want)
		}
	})
}

// The facts come shuffled, repeated under their own and under new ids, and on
// PostgreSQL at once. Every way leads to the same row and events.
func TestAnyOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		rnd := rand.New(rand.NewPCG(1, 2))
		const videos = 40
		var wg sync.WaitGroup
		for i := range videos {
			end, done, old := recordingEnd(idOf(i)), mp4Complete(idOf(i)), mp4Failed(idOf(i))
			facts := []event.Envelope{end, end, recordingEnd(idOf(i)), done, done, mp4Complete(idOf(i)), old}
			rnd.Shuffle(len(facts), func(a, b int) { facts[a], facts[b] = facts[b], facts[a] })
			for _, e := range facts {
				if i%2 == 0 {
					f.hear(e)
				} else {
					wg.Go(func() { f.hear(e) })
				}
			}
		}
		wg.Wait()
		if got := f.saying("recording-ready"); len(got) != videos {
			t.Fatalf("recording-ready %d times, want %d", len(got), videos)
		}
		for i := range videos {
			e := lifecycleComplete(idOf(i), event.LifeCycleResult{})
			wg.Go(func() { f.hear(e) })
			wg.Go(func() { f.hear(e) })
			wg.Go(func() {
				f.hear(lifecycleComplete(idOf(i), event.LifeCycleResult{Outputs: event.PluginOutputs{"preValidate": {}}}))
			})
		}
		wg.Wait()
		valid := 0
		for _, e := range f.saying("VideoStatusUpdated") {
			var d event.VideoStatusUpdated
			if err := e.Decode(&d); err != nil {
				t.Fatal(err)
			}
			if d.Status == event.StatusValid {
				valid++
			}
		}
		if valid != videos {
			t.Errorf("%d videos became valid, want %d, each said once", valid, videos)
		}
		for i := range videos {
			v := f.get(as("alice"), idOf(i))
			if v.Status != "valid" || v.Reason != "" || v.Duration != 12_000 || v.Author.Username != "brave-otter" {
				t.Errorf("video %s: %+v", idOf(i), v)
			}
		}
	})
}

func idOf(i int) string { return "st-" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }

func TestProcessingFailed(t *testing.T) {
	for name, facts := range map[string][]event.Envelope{
		"after the recording's end":  {recordingEnd("st-1"), mp4Failed("st-1")},
		"before the recording's end": {mp4Failed("st-1"), recordingEnd("st-1")},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFixture(t, db)
				for _, e := range facts {
					f.hear(e)
					f.hear(e)
				}
				updates := f.saying("VideoStatusUpdated")
				if len(updates) != 1 {
					t.Fatalf("%d status updates, want 1", len(updates))
				}
				var d event.VideoStatusUpdated
				if err := updates[0].Decode(&d); err != nil {
					t.Fatal(err)
				}
				if d.Status != "failed" || d.Plugins.Reason != "no key frame" || d.Author.Username != "brave-otter" || d.PlaybackURL != "" {
					t.Errorf("update %+v", d)
				}
				eventtest.Example(t, "VideoStatusUpdated.failed", updates[0], exampleIDs()...)
				if v := f.get(as("alice"), "st-1"); v.Status != "failed" || v.Reason != "no key frame" {
					t.Errorf("video %+v", v)
				}
			})
		})
	}
}

func TestLifecycleOutcome(t *testing.T) {
	tests := []struct {
		name   string
		result event.LifeCycleResult
		status string
		reason string
		title  string
		tags   []string
	}{
		{name: "valid without outputs", status: "valid"},
		{
			name:   "invalid",
			result: event.LifeCycleResult{Status: "invalid", Reason: "too short", Plugin: "duration_plugin"},
			status: "invalid", reason: "too short",
		},
		{name: "failed", result: event.LifeCycleResult{Status: "failed", Reason: "no answer"}, status: "failed", reason: "no answer"},
		{
			name: "the last registration wins, top or nested",
			result: event.LifeCycleResult{Outputs: event.PluginOutputs{
				"postMetadata": {
					output("a", `{"title":"first","tags":["x"]}`),
					output("b", `{"pluginData":{"title":"  second\nline ","tags":["y","y",""," z "]}}`),
					output("c", `{"title":7,"tags":"no list","pluginData":[1]}`),
					output("d", `"a string"`),
				},
				"preMetadata": {output("e", `{"title":"earlier hook"}`)},
			}},
			status: "valid", title: "second line", tags: []string{"y", "z"},
		},
		{
			name:   "too long",
			result: event.LifeCycleResult{Outputs: event.PluginOutputs{"preMetadata": {output("a", `{"title":"`+strings.Repeat("ä", 500)+`"}`)}}},
			status: "valid", title: strings.Repeat("ä", 200),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				f := newFixture(t, db)
				f.publish("st-1", tt.result)
				v := f.get(as("alice"), "st-1")
				if v.Status != tt.status || v.Reason != tt.reason || v.Title != tt.title || !slices.Equal(v.Tags, tt.tags) {
					t.Errorf("video %+v", v)
				}
				updates := f.saying("VideoStatusUpdated")
				if len(updates) != 1 {
					t.Fatalf("%d updates, want 1", len(updates))
				}
				var d event.VideoStatusUpdated
				if err := updates[0].Decode(&d); err != nil {
					t.Fatal(err)
				}
				if d.Status != tt.status || d.Title != tt.title || !slices.Equal(d.Tags, tt.tags) {
					t.Errorf("update %+v", d)
				}
			})
		})
	}
}

func TestWhatIsNoRecordingIsIgnored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, prefix := range []string{"", "/", "..", "recordings", "recordings/alice/../bob/st-1", "recordings/alice"} {
			f.hear(event.New(event.RecordingStateChange{
				RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: "st-1", RecordingS3KeyPrefix: prefix,
			}))
		}
		f.hear(event.New(event.RecordingStateChange{RecordingStatus: event.RecordingStart, ChannelName: "alice", StreamID: "st-1"}))
		if err := f.MayRead(as("alice"), "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("there is a video: %v", err)
		}
	})
}

func TestAccess(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(recordingEnd("processing"))
		f.publish("valid", event.LifeCycleResult{})
		f.publish("invalid", event.LifeCycleResult{Status: "invalid", Reason: "r"})
		f.hear(recordingEnd("failed"))
		f.hear(mp4Failed("failed"))
		f.hear(mp4Complete("unrecorded"))
		f.publish("private", event.LifeCycleResult{})
		f.describe("private", `{"visibility":"private"}`)
		nobody, other := context.Background(), as("bob", identity.Broadcaster)
		owner, admin := as("alice"), as("root", identity.Admin)
		tests := []struct {
			id               string
			ctx              context.Context
			who              string
			read, play, priv bool
		}{
			{"valid", nobody, "nobody", true, true, false},
			{"valid", owner, "owner", true, true, false},
			{"processing", nobody, "nobody", false, true, false},
			{"processing", other, "other", false, true, false},
			{"processing", owner, "owner", true, true, false},
			{"processing", admin, "admin", true, true, false},
			{"invalid", nobody, "nobody", false, false, false},
			{"invalid", other, "other", false, false, false},
			{"invalid", owner, "owner", true, true, true},
			{"invalid", admin, "admin", true, true, true},
			{"failed", other, "other", false, false, false},
			{"failed", owner, "owner", true, true, true},
			{"private", other, "other", false, false, false},
			{"private", owner, "owner", true, true, true},
			{"unrecorded", owner, "owner", false, false, false},
			{"unknown", admin, "admin", false, false, false},
		}
		for _, tt := range tests {
			if err := f.MayRead(tt.ctx, tt.id); (err == nil) != tt.read || err != nil && errs.CodeOf(err) != errs.NotFound {
				t.Errorf("%s reads about %s: %v", tt.who, tt.id, err)
			}
			channel, prefix, privately, err := f.MediaAccess(tt.ctx, tt.id)
			if (err == nil) != tt.play || privately != tt.priv || err != nil && errs.CodeOf(err) != errs.NotFound {
				t.Errorf("%s plays %s: privately %v, %v", tt.who, tt.id, privately, err)
			}
			if tt.play && (channel != "alice" || prefix != "recordings/alice/"+tt.id) {
				t.Errorf("%s lies at %s, %s", tt.id, channel, prefix)
			}
		}
	})
}

func TestDelete(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		owner := as("alice")
		f.publish("st-1", event.LifeCycleResult{})
		f.publish("st-2", event.LifeCycleResult{})
		f.publish("st-3", event.LifeCycleResult{Status: "invalid"})
		f.put("recordings/alice/st-1/init.mp4", "recordings/alice/st-1/1.m4s", "videos/st-1/video.mp4",
			"recordings/alice/st-10/1.m4s", "recordings/alice/st-2/1.m4s", "videos/st-2/video.mp4")
		for _, tt := range []struct {
			ctx  context.Context
			id   string
			code errs.Code
		}{
			{context.Background(), "st-1", errs.Unauthenticated},
			{as("bob"), "st-1", errs.Forbidden},
			{as("bob"), "st-3", errs.NotFound},
			{owner, "st-9", errs.NotFound},
		} {
			if err := f.Delete(tt.ctx, tt.id); errs.CodeOf(err) != tt.code {
				t.Errorf("deleting %s: %v, want %s", tt.id, err, tt.code)
			}
		}
		if err := f.Delete(owner, "st-1"); err != nil {
			t.Fatal(err)
		}
		if err := f.Delete(as("root", identity.Admin), "st-2"); err != nil {
			t.Fatal(err)
		}
		// The process dies here: the row says deleted, the files are there.
		if err := f.Delete(owner, "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("deleting again: %v", err)
		}
		if _, _, _, err := f.MediaAccess(owner, "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("the owner still plays it: %v", err)
		}
		for id, want := range map[string]bool{"st-1": true, "st-3": true, "st-9": false} {
			if known, err := f.Known(context.Background(), id); err != nil || known != want {
				t.Errorf("%s is known: %v, %v; want %v", id, known, err, want)
			}
		}
		deleted := f.saying("VideoDeleted")
		if len(deleted) != 2 {
			t.Fatalf("VideoDeleted %d times, want 2", len(deleted))
		}
		f.hear(deleted[0])
		f.hear(deleted[0])
		if n := f.objectsUnder("recordings/alice/st-1/") + f.objectsUnder("videos/st-1/"); n != 0 {
			t.Errorf("%d objects of st-1 are left", n)
		}
		if err := f.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := f.objectsUnder("recordings/alice/st-2/") + f.objectsUnder("videos/st-2/"); n != 0 {
			t.Errorf("%d objects of st-2 are left", n)
		}
		if f.objectsUnder("recordings/alice/st-10/") != 1 {
			t.Error("another recording's objects are gone")
		}
	})
}

func TestLateNewsOfADeletedVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(recordingEnd("st-1"))
		if err := f.Delete(as("alice"), "st-1"); err != nil {
			t.Fatal(err)
		}
		if err := f.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		// Post-processing was at work meanwhile.
		f.put("videos/st-1/video.mp4")
		f.hear(mp4Complete("st-1"))
		f.hear(lifecycleComplete("st-1", event.LifeCycleResult{}))
		f.hear(recordingEnd("st-1"))
		if err := f.MayRead(as("alice"), "st-1"); errs.CodeOf(err) != errs.NotFound {
			t.Errorf("it came back: %v", err)
		}
		if got := f.saying("recording-ready"); len(got) != 0 {
			t.Error("plugins are asked about a deleted video")
		}
		if err := f.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := f.objectsUnder("videos/st-1/"); n != 0 {
			t.Error("what was made late is left")
		}
	})
}

// A node that was killed may have stored something in its last moment, when the
// video had been swept: the next start removes it.
func TestStoredBeforeAKill(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(recordingEnd("st-1"))
		if err := f.Delete(as("alice"), "st-1"); err != nil {
			t.Fatal(err)
		}
		f.hear(f.saying("VideoDeleted")[0])
		f.put("videos/st-1/storyboard.vtt")
		run := func() {
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { f.Run(ctx) })
			defer running.Wait()
			defer stop()
			for end := time.Now().Add(20 * time.Second); f.objectsUnder("videos/st-1/") > 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Error("what was stored in the last moment is left")
					return
				}
			}
		}
		run()
		f.put("videos/st-1/storyboard.vtt") // by another one
		run()
	})
}
