package check_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/check"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/flow/flowtest"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/postprocess"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/recorder"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type channels struct{}

func (channels) Username(context.Context, string) (string, error) { return "brave-otter", nil }

type urls struct{}

func (urls) VOD(v string) string        { return "https://x/vod/" + v }
func (urls) MP4(v string) string        { return "https://x/mp4/" + v }
func (urls) Thumbnail(v string) string  { return "https://x/jpg/" + v }
func (urls) Storyboard(v string) string { return "https://x/vtt/" + v }

// fixture is what a node at rest keeps: real services on real stores.
type fixture struct {
	t       *testing.T
	db      *store.DB
	dir     string // of the objects
	objects *blob.Files
	flows   *flow.Engine
	videos  *video.Service
	history *history.Service
	needs   check.Needs
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	f := &fixture{t: t, db: db, dir: filepath.Join(t.TempDir(), "objects")}
	var err error
	if f.objects, err = blob.NewFiles(f.dir); err != nil {
		t.Fatal(err)
	}
	// The flows are on SQLite in any case: how they are kept has its own tests.
	path := filepath.Join(t.TempDir(), "flow.db")
	flowtest.File(t, path)
	f.flows, err = flow.Open(context.Background(), flow.Config{Path: path, NodeID: "n1", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.flows.Shutdown(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	f.videos = video.New(db, f.objects, channels{}, func(context.Context) video.URLs { return urls{} }, log)
	f.history = history.New(db, nil, log)
	f.needs = check.Needs{
		Catalogue: f.videos, Streams: streaming.NewKept(db, f.objects), Objects: f.objects,
		Processing: postprocess.NewKept(db, f.flows),
		Plugins:    pluginmanager.NewKept(db, f.flows),
		Keepers:    map[string]check.Keeper{"history": f.history},
		Others:     map[string]check.Keeper{"rules": rules.NewKept(db)},
	}
	return f
}

// ago is how old things are by default: older than what is being made.
const ago = 2 * time.Hour

func (f *fixture) exec(query string, args ...any) {
	f.t.Helper()
	err := f.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// put stores objects, so long ago.
func (f *fixture) put(ago time.Duration, keys ...string) {
	f.t.Helper()
	for _, key := range keys {
		if err := f.objects.Put(context.Background(), key, strings.NewReader("12345"), 5); err != nil {
			f.t.Fatal(err)
		}
		at := time.Now().Add(-ago)
		if err := os.Chtimes(filepath.Join(f.dir, key), at, at); err != nil {
			f.t.Fatal(err)
		}
	}
}

// segment is the key of one segment of a recording.
func segment(stream string) string {
	s := recorder.Segment{Epoch: 1, MSN: 1, StartMS: 1_700_000_000_000, Ticks: 180_000, Init: 1}
	return recorder.Prefix("alice", stream) + "/source/" + s.Name()
}

func (f *fixture) hear(ago time.Duration, consumers []event.Consumer, details ...event.Detail) {
	f.t.Helper()
	for _, d := range details {
		e := event.New(d)
		e.Time = e.Time.Add(-ago)
		for _, c := range consumers {
			if !slices.ContainsFunc(c.Filters, func(x event.Filter) bool { return x.Match(e) }) {
				continue
			}
			if err := c.Handle(context.Background(), e); err != nil {
				f.t.Fatal(err)
			}
		}
	}
}

// stream makes the row of a broadcast.
func (f *fixture) stream(id, state string, recorded bool) {
	f.t.Helper()
	f.exec(`INSERT INTO streams (id, channel, node, epoch, state, prefix, recorded, started_at, ended_at, duration_ms, reason)
		VALUES ($1, 'alice', 'n1', 1, $2, $3, $4, 1, 2, 2000, '')`, id, state, recorder.Prefix("alice", id), recorded)
}

// video makes a whole video with all that is kept of it.
func (f *fixture) video(id string, ago time.Duration) {
	f.t.Helper()
	f.stream(id, "ended", true)
	f.put(ago, segment(id), "videos/"+id+"/video.mp4", "videos/"+id+"/thumbnail.jpg", "videos/"+id+"/storyboard.vtt",
		"videos/"+id+"/plugins/transcribe/text.vtt")
	f.job(id, "done")
	end := event.RecordingStateChange{
		RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: id,
		RecordingS3KeyPrefix: recorder.Prefix("alice", id), RecordingDurationMS: 2000,
	}
	mp4 := event.MP4ProcessingComplete{ChannelName: "alice", ID: id, Thumbnail: "t", Storyboard: "s", Width: 2, Height: 2, DurationMillis: 2000, Size: 5}
	f.hear(ago, f.videos.Consumers(), end, mp4, event.LifeCycleComplete{Lifecycle: eventtest.Lifecycle(id, "alice", event.LifeCycleResult{})})
	f.hear(ago, f.history.Consumers(), end, mp4)
	f.lifecycle(id)
}

func (f *fixture) job(id, state string) {
	f.t.Helper()
	f.exec(`INSERT INTO postprocess_jobs (id, channel, prefix, duration_ms, state, reason, created_at, updated_at)
		VALUES ($1, 'alice', $2, 2000, $3, '', 1, 1)`, id, recorder.Prefix("alice", id), state)
}

func (f *fixture) lifecycle(id string) {
	f.t.Helper()
	f.exec(`INSERT INTO plugin_lifecycles (flow_id, video_id, channel, started_at, ended_at, status, answer_bytes)
		VALUES ('life-' || $1, $1, 'alice', 1, 2, 'valid', 0)`, id)
}

func (f *fixture) run(repair bool) check.Report {
	f.t.Helper()
	report, err := check.Run(context.Background(), f.needs, check.Options{Repair: repair, Settle: time.Millisecond}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return report
}

// want checks, and wants the findings given as "kind video where repair", the last
// in short.
func (f *fixture) want(repair bool, want ...string) check.Report {
	f.t.Helper()
	report := f.run(repair)
	got := []string{}
	for _, x := range report.Findings {
		where := x.Prefix
		if where == "" {
			where = x.Service
		}
		how, _, _ := strings.Cut(x.Repair, " ")
		line := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", x.Kind, x.Video, where, how)), " ")
		if repair && x.Repair != "" && !x.Repaired {
			line += " failed: " + x.Failed
		}
		got = append(got, line)
	}
	slices.Sort(want)
	slices.Sort(got)
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		f.t.Errorf("found\n%s\n\nwant\n%s", g, w)
	}
	return report
}

func (f *fixture) keys() []string {
	f.t.Helper()
	var keys []string
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(f.dir, path)
			keys = append(keys, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return keys
}

func (f *fixture) remove(keys ...string) {
	f.t.Helper()
	if err := f.objects.Delete(context.Background(), keys...); err != nil {
		f.t.Fatal(err)
	}
}

// said counts events of a type in the outbox that are about a video.
func (f *fixture) said(detailType, about string) int {
	f.t.Helper()
	rows, err := f.db.Read().Query("SELECT body FROM outbox")
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			f.t.Fatal(err)
		}
		if e, err := event.Parse([]byte(body)); err == nil && e.DetailType == detailType && e.About() == about {
			n++
		}
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func TestAllIsWell(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.video("st-1", ago)
		f.video("st-2", 0)
		f.hear(ago, f.videos.Consumers(), event.SimulatedRecording{RecordingStateChange: event.RecordingStateChange{
			RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: "sim-1-1",
			RecordingS3KeyPrefix: recorder.Prefix("alice", "st-1"), RecordingDurationMS: 2000,
		}})
		f.stream("st-3", "live", true)
		f.put(ago, segment("st-3"), "recordings/alice/st-3/thumbnail.jpg")
		f.stream("st-4", "storing", true)
		f.put(ago, segment("st-4"))
		f.stream("st-5", "ended", false) // a broadcast without media
		f.hear(ago, f.history.Consumers(), event.StreamStateChange{EventName: event.StreamStart, ChannelName: "alice", StreamID: "st-5"})
		f.put(0, "videos/st-6/plugins/p/x", segment("st-7")) // being made
		report := f.want(true)
		if report.Objects != 15 || report.Videos != 3 || report.Bytes != 75 || report.Left() != 0 {
			t.Errorf("%+v", report)
		}
	})
}

func TestObjectsWithoutRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.video("st-1", ago)
		f.put(ago, "videos/st-8/video.mp4", "videos/st-8/plugins/p/x")
		f.put(ago, segment("st-9"), "recordings/alice/st-9/source/init-1-1.mp4")
		f.put(ago, "recordings/alice/st-10/source/init-1-1.mp4")
		f.stream("st-11", "ended", true) // its Recording End was lost
		f.put(ago, segment("st-11"))
		f.put(ago, "archive/2026/x.gz", "stray")
		found := []string{
			"orphan-objects st-8 videos/st-8/ delete",
			"orphan-recording st-9 recordings/alice/st-9/ recover",
			"orphan-objects st-10 recordings/alice/st-10/ delete",
			"orphan-recording st-11 recordings/alice/st-11/ recover",
			"unknown-objects archive/",
			"unknown-objects stray",
		}
		f.want(false, found...)
		before := len(f.keys())
		if f.want(true, found...).Left() != 2 {
			t.Error("what nobody knows is repaired")
		}
		if left := before - len(f.keys()); left != 3 {
			t.Errorf("%d objects are deleted, want the 3 that cannot be a recording", left)
		}
		for _, stream := range []string{"st-9", "st-11"} {
			if f.said("Recording State Change", stream) != 1 {
				t.Errorf("Recording End of %s is not said", stream)
			}
			var who string
			if err := db.Read().QueryRow(`SELECT visibility FROM videos WHERE id = $1`, stream).Scan(&who); err != nil || who != "private" {
				t.Errorf("%s comes back %q, want private: nobody knows who might see it (%v)", stream, who, err)
			}
		}
		// The next start hears it.
		for _, stream := range []string{"st-9", "st-11"} {
			f.hear(ago, f.videos.Consumers(), event.RecordingStateChange{
				RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: stream, RecordingS3KeyPrefix: recorder.Prefix("alice", stream),
			})
			f.job(stream, "waiting")
		}
		f.want(false, "unknown-objects archive/", "unknown-objects stray")
	})
}

func TestRowsWithoutObjects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, id := range []string{"st-1", "st-2", "st-3", "st-4", "st-5"} {
			f.video(id, ago)
		}
		f.remove("videos/st-1/video.mp4", "videos/st-1/thumbnail.jpg")
		f.remove("videos/st-2/storyboard.vtt")
		f.remove(segment("st-3"))
		f.remove(segment("st-4"), "videos/st-4/thumbnail.jpg")
		f.exec("DELETE FROM postprocess_jobs WHERE id = 'st-5'")
		f.exec("UPDATE videos SET status = 'processing', processed = FALSE, mp4_key = '', thumbnail_key = '', storyboard = FALSE WHERE id = 'st-5'")
		f.want(true,
			"missing-file st-1 videos/st-1/video.mp4 make",
			"missing-file st-2 videos/st-2/storyboard.vtt make",
			"missing-recording st-3 recordings/alice/st-3/",
			"missing-recording st-4 recordings/alice/st-4/",
			"missing-file st-4 videos/st-4/thumbnail.jpg",
			"missing-job st-5 process",
		)
		for id, want := range map[string]string{"st-1": "waiting 2", "st-2": "waiting 2", "st-3": "done 1", "st-4": "done 1"} {
			var state string
			var attempt int
			if err := db.Read().QueryRow("SELECT state, attempt FROM postprocess_jobs WHERE id = $1", id).Scan(&state, &attempt); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(state, " ", attempt); got != want {
				t.Errorf("the job of %s is %s, want %s", id, got, want)
			}
		}
		if f.said("Recording State Change", "st-5") != 1 {
			t.Error("nobody is told to process st-5")
		}
	})
}

func TestRowsWithoutVideos(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.video("st-1", ago)
		f.job("st-8", "waiting")
		f.lifecycle("st-9")
		f.hear(ago, f.history.Consumers(), event.StreamStateChange{EventName: event.StreamStart, ChannelName: "alice", StreamID: "st-10"})
		// Of a video that was deleted long ago something is left everywhere.
		f.video("st-11", ago)
		if err := f.videos.Delete(identity.With(context.Background(), identity.Principal{ID: "alice"}), "st-11"); err != nil {
			t.Fatal(err)
		}
		f.exec(`INSERT INTO rules (id, name, description, enabled, pattern, target, url, max_tries, secret_sealed, old_secret_sealed,
			old_secret_until, created_at, updated_at) VALUES ('ru-1', 'all', '', TRUE, '{}', 'log', '', 1, '', '', 0, 1, 1)`)
		for i, d := range []event.Detail{
			event.MP4ProcessingStarted{ID: "st-11"}, event.VideoDeleted{ID: "st-11"}, event.MP4ProcessingStarted{ID: "st-12"},
		} {
			e := event.New(d)
			f.exec(`INSERT INTO rule_deliveries (id, rule_id, event_id, source, detail_type, about, body, state, tries, due_at, lease,
				holder, leased_until, attempts, created_at, ended_at) VALUES ($1, 'ru-1', $2, $3, $4, $5, $6, 'dead', 0, 0, '', '', 0, '[]', 0, 0)`,
				fmt.Sprint("msg_", i), e.ID, e.Source, e.DetailType, e.About(), fmt.Sprintf(`{"version":"0","id":%q,"source":%q,"detail-type":%q,"detail":%s}`, e.ID, e.Source, e.DetailType, e.Detail))
		}
		f.want(false, // it may be being deleted
			"orphan-rows st-8 post-processing delete", "orphan-rows st-9 plugins delete", "orphan-rows st-10 history delete")
		f.exec("UPDATE videos SET deleted_at = deleted_at - $1 WHERE id = 'st-11'", ago.Milliseconds())
		f.want(true,
			"orphan-rows st-8 post-processing delete", "orphan-rows st-9 plugins delete", "orphan-rows st-10 history delete",
			"unfinished-deletion st-11 delete",
			"orphan-rows st-11 post-processing delete", "orphan-rows st-11 plugins delete", "orphan-rows st-11 history delete",
			"orphan-rows st-11 streaming delete", "orphan-rows st-11 rules delete")
		f.want(false)
		for _, key := range f.keys() {
			if !strings.Contains(key, "st-1/") {
				t.Errorf("%s is left", key)
			}
		}
		f.put(ago, "videos/st-11/late.jpg")
		f.want(true, "deleted-objects st-11 videos/st-11/ delete")
		f.want(false)
	})
}

// What comes while a check runs is no finding.
func TestOnItsWay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.put(ago, segment("st-1"))
		f.job("st-1", "waiting")
		first := true
		report, err := check.Run(context.Background(), f.needs, check.Options{Repair: true, Settle: 50 * time.Millisecond}, func(what string) {
			if what == "reading the catalogue" && first {
				first = false
				return
			}
			if what == "reading the catalogue" {
				f.hear(ago, f.videos.Consumers(), event.RecordingStateChange{
					RecordingStatus: event.RecordingEnd, ChannelName: "alice", StreamID: "st-1", RecordingS3KeyPrefix: recorder.Prefix("alice", "st-1"),
				})
			}
		})
		if err != nil || len(report.Findings) != 0 {
			t.Errorf("found %+v, %v", report.Findings, err)
		}
		if f.said("Recording State Change", "st-1") != 0 {
			t.Error("it was repaired all the same")
		}
	})
}
