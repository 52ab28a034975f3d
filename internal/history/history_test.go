package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// access lets everybody read all videos but those that it names.
type access struct {
	mu     sync.Mutex
	hidden []string
}

func (a *access) MayRead(_ context.Context, video string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.hidden, video) {
		return errs.Newf(errs.NotFound, "there is no video %q", video)
	}
	return nil
}

// fixture is a history and clients of its API.
type fixture struct {
	*history.Service
	t      *testing.T
	db     *store.DB
	access *access
	client *apitest.Client // nobody
	owner  *apitest.Client // alice
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, access: &access{}}
	f.Service = history.New(db, f.access, slog.New(slog.DiscardHandler))
	f.client = apitest.New(t, func(g *gateway.Gateway) { f.Register(g.API()) })
	f.owner = f.client.As(identity.Principal{ID: "alice", Roles: identity.Roles{identity.Broadcaster}})
	return f
}

// sqlite is for tests to which it makes no difference which database it is.
func sqlite(t *testing.T) *store.DB {
	t.Helper()
	return storetest.Open(t, store.Config{Path: filepath.Join(t.TempDir(), "app.db")})
}

// hear gives events to the consumers whose filters select them.
func (f *fixture) hear(events ...event.Envelope) {
	f.t.Helper()
	for _, e := range events {
		heard := 0
		for _, c := range f.Consumers() {
			if slices.ContainsFunc(c.Filters, func(x event.Filter) bool { return x.Match(e) }) {
				heard++
				if err := c.Handle(context.Background(), e); err != nil {
					f.t.Errorf("%s: %v", e.DetailType, err)
				}
			}
		}
		if heard != 1 {
			f.t.Errorf("%d consumers hear %s of %s, want one", heard, e.DetailType, e.Source)
		}
	}
}

// line is a step or a metric, as the API answers it.
type line struct {
	Type, CreatedAt, VideoID, Key, Parent, Icon, Title, Subtitle, Description, Label, Value string
}

func (l line) String() string {
	if l.Type == "metric" {
		return l.Key + ": " + l.Label + " = " + l.Value
	}
	text := l.Key + " [" + l.Icon + "] " + l.Title + " / " + l.Subtitle
	if l.Description != "" {
		text += " / " + l.Description
	}
	if l.Parent != "" {
		text = l.Parent + " > " + text
	}
	return text
}

// story reads the whole history through the API, three rows at a time.
func (f *fixture) story(c *apitest.Client, video string) []line {
	f.t.Helper()
	var all []line
	for next := ""; ; {
		var page store.List[line]
		c.Get("/api/video/" + video + "/history?limit=3&offset=" + next).Want(200).JSON(&page)
		if page.Count != len(page.Data) || page.Count > 3 {
			f.t.Fatalf("a page of %d says it has %d", len(page.Data), page.Count)
		}
		all = append(all, page.Data...)
		if next = page.NextPage; next == "" {
			return all
		}
	}
}

func (f *fixture) wantStory(c *apitest.Client, video, want string) {
	f.t.Helper()
	var got []string
	for _, l := range f.story(c, video) {
		got = append(got, l.String())
	}
	if g, w := strings.Join(got, "\n"), strings.TrimSpace(want); g != w {
		f.t.Errorf("the story is\n%s\n\nwant\n%s", g, w)
	}
}

// step returns the entry of a key.
func (f *fixture) step(video, key string) line {
	f.t.Helper()
	for _, l := range f.story(f.owner, video) {
		if l.Key == key {
			return l
		}
	}
	f.t.Errorf("the story of %s has no %s", video, key)
	return line{}
}

// script makes the events of a video, some ms after its beginning.
type script struct {
	video  string
	begin  time.Time
	events []event.Envelope
}

func newScript(video string) *script {
	return &script{video: video, begin: time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)}
}

func (s *script) at(ms int, d event.Detail) *script {
	e := event.New(d)
	e.Time = s.begin.Add(time.Duration(ms) * time.Millisecond)
	s.events = append(s.events, e)
	return s
}

func (s *script) state(ms int, name string) *script {
	return s.at(ms, event.StreamStateChange{EventName: name, ChannelName: "alice", StreamID: s.video})
}

func (s *script) recording(ms int, status string, duration int64) *script {
	return s.at(ms, event.RecordingStateChange{
		RecordingStatus: status, ChannelName: "alice", StreamID: s.video,
		RecordingS3KeyPrefix: "recordings/alice/" + s.video, RecordingDurationMS: duration,
	})
}

func (s *script) views(ms int, n int64) *script {
	return s.at(ms, event.ViewCountUpdated{StreamID: s.video, ChannelName: "alice", ViewCount: n})
}

func token(video, hook, plugin string) string { return "secret-" + video + hook + plugin }

func (s *script) ask(ms int, hook, plugin string) *script {
	return s.at(ms, event.PluginInvocation{
		Hook: hook, Plugin: plugin, TaskToken: token(s.video, hook, plugin),
		Video: event.PluginVideo{ID: s.video, Channel: "alice", Author: event.Author{Username: "brave-otter"}},
	})
}

func (s *script) answer(ms int, hook, plugin, message string) *script {
	return s.at(ms, event.PluginComplete{
		Plugin: plugin, TaskToken: token(s.video, hook, plugin), Message: json.RawMessage(message),
	})
}

func (s *script) fail(ms int, hook, plugin, message string) *script {
	return s.at(ms, event.PluginFailed{
		ID: s.video, ChannelName: "alice", Message: message, ExecutionID: "life-" + s.video, Plugin: plugin, Hook: hook,
	})
}

func (s *script) end(ms int, r event.LifeCycleResult) *script {
	return s.at(ms, event.LifeCycleComplete{Lifecycle: event.Lifecycle{ID: s.video, ChannelName: "alice", Plugins: r}})
}

func (s *script) status(ms int, status string, r event.LifeCycleResult) *script {
	return s.at(ms, event.VideoStatusUpdated{
		Lifecycle: event.Lifecycle{ID: s.video, ChannelName: "alice", Plugins: r}, Status: status,
	})
}

// broadcast is what happens to every video before its plugins.
func (s *script) broadcast() *script {
	s.state(0, event.StreamStart).recording(0, event.RecordingStart, 0)
	s.views(5_000, 3).views(10_000, 12).views(15_000, 12).views(20_000, 2)
	s.state(62_000, event.StreamEnd).recording(62_000, event.RecordingEnd, 61_500)
	s.at(62_010, event.MP4ProcessingStarted{ChannelName: "alice", ID: s.video})
	s.at(62_400, event.MP4ProcessingComplete{
		ChannelName: "alice", ID: s.video, Compute: "local", Width: 1280, Height: 720, DurationMillis: 61_400,
		Size: 23_456_789, Notes: []string{"No thumbnail: ffmpeg is not installed."},
	})
	s.at(62_400, event.RecordingReadyEvent{RecordingStatus: event.RecordingReady, ChannelName: "alice", ID: s.video, Author: "brave-otter"})
	return s.at(62_410, event.LifeCycleStarted{ID: s.video, ChannelName: "alice"})
}

func outputs(pairs ...string) []event.PluginOutput {
	var out []event.PluginOutput
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, event.PluginOutput{OutputKey: "plugin-" + pairs[i], OutputValue: json.RawMessage(pairs[i+1])})
	}
	return out
}

// whole is a video that becomes valid though plugins have trouble.
func whole(video string) *script {
	s := newScript(video).broadcast()
	s.ask(62_410, "preValidate", "duration_plugin").ask(62_410, "preValidate", "moderation")
	s.answer(62_413, "preValidate", "duration_plugin", `{"valid":true}`)
	s.answer(65_410, "preValidate", "moderation", `{"valid":true,"reason":"nothing seen"}`)
	s.ask(65_420, "postValidate", "taste")
	s.answer(65_430, "postValidate", "taste", `{"valid":false,"reason":"dull"}`)
	s.fail(65_431, "postValidate", "taste", "dull")
	s.ask(65_440, "preMetadata", "transcribe")
	s.fail(75_440, "preMetadata", "transcribe", "transcribe did not answer within 10s")
	s.ask(75_450, "postMetadata", "generateTags")
	s.answer(75_950, "postMetadata", "generateTags", `{"tags":["a"],"valid":false}`)
	passed := event.LifeCycleResult{Outputs: event.PluginOutputs{
		"preValidate":  outputs("duration_plugin", `{"valid":true}`, "moderation", `{"valid":true}`),
		"postValidate": outputs("taste", `{"valid":false,"reason":"dull"}`),
		"preMetadata":  {},
		"postMetadata": outputs("generateTags", `{"tags":["a"],"valid":false}`),
	}}
	return s.end(75_960, passed).status(75_960, event.StatusValid, passed)
}

const wholeForOwner = `
stream-start [live] Went live / 
recording-start [video] Recording started / 
peak-viewers: Most viewers at once = 12
stream-end [stop] Broadcast ended / After 1 min 2 s
recording-end [database] Recording saved / 1 min 2 s of video
processing-start [gear] Making the MP4 / 
processing-complete [film] MP4 ready / 1280 × 720 · 1 min 1 s · 23.5 MB / Made in 390 ms. No thumbnail: ffmpeg is not installed.
recording-ready [play] Ready for the plugins / They look at it before it is listed
duration: Duration = 1 min 1 s
size: Size = 23.5 MB
until-mp4: From the end to the MP4 = 400 ms
lifecycle-start [sparkles] Plugins started / 
hook-preValidate [shield] Checks / preValidate · 2 plugins
hook-preValidate > plugin-preValidate-duration_plugin [check] duration_plugin / Passed in 3 ms
hook-preValidate > plugin-preValidate-moderation [check] moderation / Passed in 3.0 s
hook-postValidate [shield] Further checks / postValidate · 1 plugin
hook-postValidate > plugin-postValidate-taste [x-circle] taste / Refused it after 10 ms / dull
hook-preMetadata [eye] Looking into the video / preMetadata · 1 plugin
hook-preMetadata > plugin-preMetadata-transcribe [alert] transcribe / Failed after 10 s / transcribe did not answer within 10s
hook-postMetadata [tag] Describing the video / postMetadata · 1 plugin
hook-postMetadata > plugin-postMetadata-generateTags [check] generateTags / Done in 500 ms
plugins: Plugins = 5
lifecycle-complete [check] Plugins finished / 2 plugins had a problem / After 14 s.
status-valid [check-circle] Published / Everybody can see it
until-published: From the end to published = 14 s
`

func TestStory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(whole("st-1").events...)
		f.wantStory(f.owner, "st-1", wholeForOwner)

		others := strings.NewReplacer(" No thumbnail: ffmpeg is not installed.", "", " / dull", "",
			" / transcribe did not answer within 10s", "").Replace(wholeForOwner)
		f.wantStory(f.client, "st-1", others)
	})
}

// However the events of a video arrive, its story is the same.
func TestStoryOfShuffledEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for round := range 6 {
			video := "st-" + id.New()
			seed := uint64(time.Now().UnixNano())
			shuffle := rand.New(rand.NewPCG(seed, uint64(round)))
			events := whole(video).events
			for range len(events) {
				events = append(events, events[shuffle.IntN(len(events))])
			}
			shuffle.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			if round%2 == 0 {
				f.hear(events...)
			} else { // as the bus does: several at a time
				var wg sync.WaitGroup
				for part := range slices.Chunk(events, 1+len(events)/4) {
					wg.Go(func() { f.hear(part...) })
				}
				wg.Wait()
			}
			f.wantStory(f.owner, video, wholeForOwner)
			if t.Failed() {
				t.Fatalf("with seed %d, round %d", seed, round)
			}
		}
	})
}

func TestInvalidVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		s := newScript("st-1").broadcast()
		s.ask(62_410, "preValidate", "duration_plugin").ask(62_410, "preValidate", "slow")
		s.answer(62_412, "preValidate", "duration_plugin", `{"valid":false,"reason":"too short"}`)
		f.hear(s.events...)
		if got := f.step("st-1", "plugin-preValidate-slow"); got.Subtitle != "Working" {
			t.Errorf("while it runs: %s", got)
		}
		refused := event.LifeCycleResult{
			Outputs: event.PluginOutputs{"preValidate": outputs("duration_plugin", `{"valid":false,"reason":"too short"}`)},
			Status:  event.StatusInvalid, Cause: "plugin-duration_plugin", Plugin: "duration_plugin", Hook: "preValidate", Reason: "too short",
		}
		end := newScript("st-1").end(62_420, refused).status(62_421, event.StatusInvalid, refused)
		end.answer(80_000, "preValidate", "slow", `{"valid":true}`) // its token is closed
		f.hear(end.events...)
		for key, want := range map[string]string{
			"plugin-preValidate-duration_plugin": "[x-circle] duration_plugin / Refused it after 2 ms / too short",
			"plugin-preValidate-slow":            "[clock] slow / Not waited for / It was decided without its answer.",
			"lifecycle-complete":                 "[x-circle] Plugins finished / Refused by duration_plugin / After 10 ms. too short",
			"status-invalid":                     "[x-circle] Not published / Refused by duration_plugin / too short",
		} {
			if got := f.step("st-1", key).String(); !strings.HasSuffix(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		}
		for _, l := range f.story(f.owner, "st-1") {
			if l.Key == "until-published" {
				t.Error("it says how long it took to publish what is not published")
			}
		}
	})
}

func TestFailedVideos(t *testing.T) {
	f := newFixture(t, sqlite(t))
	none := event.LifeCycleResult{Status: event.StatusFailed, Reason: "no key frame"}
	s := newScript("st-1").recording(0, event.RecordingEnd, 900)
	s.at(10, event.MP4ProcessingStarted{ChannelName: "alice", ID: "st-1"})
	s.at(20, event.MP4ProcessingFailed{ChannelName: "alice", ID: "st-1", Reason: "no key frame"})
	f.hear(s.status(21, event.StatusFailed, none).events...)
	f.wantStory(f.owner, "st-1", `
recording-end [database] Recording saved / 900 ms of video
duration: Duration = 900 ms
processing-start [gear] Making the MP4 / 
processing-failed [alert] The MP4 failed /  / no key frame
status-failed [alert] Not published / Failed / no key frame`)

	again := newScript("st-1")
	again.at(60_000, event.MP4ProcessingStarted{ChannelName: "alice", ID: "st-1", Attempt: 2})
	again.at(61_000, event.MP4ProcessingFailed{ChannelName: "alice", ID: "st-1", Reason: "still none", Attempt: 2})
	again.at(90_000, event.MP4ProcessingStarted{ChannelName: "alice", ID: "st-1", Attempt: 3})
	again.at(92_500, event.MP4ProcessingComplete{ChannelName: "alice", ID: "st-1", Compute: "worker", DurationMillis: 900, Size: 1000})
	f.hear(again.events...)
	f.wantStory(f.owner, "st-1", `
recording-end [database] Recording saved / 900 ms of video
processing-start [gear] Making the MP4 / 
status-failed [alert] Not published / Failed / no key frame
processing-failed [alert] The MP4 failed /  / still none
processing-retry [gear] Trying again / Attempt 3
processing-complete [film] MP4 ready / 900 ms · 1.0 kB / Made in 2.5 s on a worker.
duration: Duration = 900 ms
size: Size = 1.0 kB
until-mp4: From the end to the MP4 = 1 min 33 s`)

	late := event.LifeCycleResult{
		Outputs: event.PluginOutputs{"preValidate": {}}, Status: event.StatusFailed, Cause: "timedout",
		Plugin: "slow", Hook: "preValidate", Reason: "slow did not answer within 15m0s",
	}
	s = newScript("st-2").ask(0, "preValidate", "slow").fail(900_000, "preValidate", "slow", "slow did not answer within 15m0s")
	f.hear(s.end(900_001, late).status(900_002, event.StatusFailed, late).events...)
	f.wantStory(f.owner, "st-2", `
hook-preValidate [shield] Checks / preValidate · 1 plugin
hook-preValidate > plugin-preValidate-slow [alert] slow / Failed after 15 min / slow did not answer within 15m0s
plugins: Plugins = 1
lifecycle-complete [alert] Plugins finished / Failed by slow / slow did not answer within 15m0s
status-failed [alert] Not published / Failed by slow / slow did not answer within 15m0s`)
}

// What never became a video is forgotten with its owner's account.
func TestDeletedAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		live := func(channel, id string) event.Envelope {
			return event.New(event.StreamStateChange{EventName: event.StreamStart, ChannelName: channel, StreamID: id})
		}
		for i := range 250 { // more than are read at a time
			f.hear(live("alice", fmt.Sprintf("st-a%d", i)))
		}
		f.hear(live("bob", "st-b"))
		f.hear(event.New(event.UserDeleted{Sub: "alice"}))
		f.hear(live("alice", "st-a1")) // once more
		f.hear(live("alice", "st-late"))
		f.hear(event.New(event.StreamStateChange{EventName: event.StreamEnd, ChannelName: "alice", StreamID: "st-later"}))
		f.hear(event.New(event.UserDeleted{Sub: "alice"}))
		var known []string
		if err := f.Videos(context.Background(), func(id string) { known = append(known, id) }); err != nil {
			t.Fatal(err)
		}
		var facts int
		err := db.Read().QueryRow("SELECT count(*) FROM history_facts").Scan(&facts)
		if err != nil || facts != 1 || !slices.Equal(known, []string{"st-b"}) {
			t.Errorf("%d facts are left, of %v; %v", facts, known, err)
		}
	})
}

func TestDeletedVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		events := whole("st-1").events
		other := whole("st-2").events
		deleted := event.New(event.VideoDeleted{ChannelName: "alice", ID: "st-1"})
		f.hear(append(events[:len(events)-4:len(events)-4], other...)...)
		f.hear(deleted)
		if got := f.story(f.owner, "st-1"); len(got) != 0 {
			t.Errorf("a deleted video has the history %v", got)
		}
		f.hear(events...)
		f.hear(deleted)
		if got := f.story(f.owner, "st-1"); len(got) != 0 {
			t.Errorf("late news bring back %v", got)
		}
		f.wantStory(f.owner, "st-2", wholeForOwner)
		var left int
		err := db.Read().QueryRow("SELECT count(*) FROM history_facts WHERE video_id = $1", "st-1").Scan(&left)
		if err != nil || left != 0 {
			t.Errorf("%d facts of the deleted video are left, %v", left, err)
		}
	})
}
