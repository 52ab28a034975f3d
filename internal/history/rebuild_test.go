package history_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// archive keeps events as the real one does: encoded, with tokens masked.
type archive struct {
	t      *testing.T
	kept   [][]byte
	during func(n int) error // before the nth event is given, from 0
}

func newArchive(t *testing.T, scripts ...*script) *archive {
	t.Helper()
	a := &archive{t: t}
	for _, s := range scripts {
		a.add(s.events...)
	}
	return a
}

func (a *archive) add(events ...event.Envelope) {
	a.t.Helper()
	for _, e := range events {
		text, err := json.Marshal(e.Masked())
		if err != nil {
			a.t.Fatal(err)
		}
		a.kept = append(a.kept, text)
	}
}

func (a *archive) Each(_ context.Context, from, to time.Time, sources []string, fn func(event.Envelope) error) error {
	for n, text := range a.kept {
		e, err := event.Parse(text)
		if err != nil {
			return err
		}
		if a.during != nil {
			if err := a.during(n); err != nil {
				return err
			}
		}
		if e.Time.Before(from) || !e.Time.Before(to) || len(sources) > 0 && !slices.Contains(sources, e.Source) {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// named gives the answers of a script the id of their video, as the SDK does.
func named(s *script) *script {
	for i, e := range s.events {
		if !strings.HasPrefix(e.Source, event.SourcePluginPrefix) {
			continue
		}
		var d event.PluginComplete
		if e.Decode(&d) == nil {
			d.ID = s.video
			s.events[i].Detail, _ = json.Marshal(d)
		}
	}
	return s
}

// later moves a script in time.
func later(s *script, by time.Duration) *script {
	for i := range s.events {
		s.events[i].Time = s.events[i].Time.Add(by)
	}
	return s
}

func (f *fixture) rebuild(a history.Archive, what history.Rebuild) history.Rebuilt {
	f.t.Helper()
	done, err := f.Rebuild(context.Background(), a, what, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	var staged int
	if err := f.db.Read().QueryRow("SELECT count(*) FROM history_staged").Scan(&staged); err != nil || staged != 0 {
		f.t.Errorf("%d staged facts are left (%v)", staged, err)
	}
	return done
}

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

func (f *fixture) wipe() {
	f.t.Helper()
	f.exec("DELETE FROM history_facts")
	f.exec("DELETE FROM history_tasks")
	f.exec("DELETE FROM history_videos")
}

// All that the history has is lost.
func TestRebuildOfNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		a := newArchive(t, named(whole("st-1")), named(whole("st-2")))
		a.add(event.New(event.ChannelUpdated{ChannelName: "alice"})) // nothing that the story tells
		done := f.rebuild(a, history.Rebuild{})
		if done.Videos != 2 || done.Events < 40 {
			t.Errorf("rebuilt %+v", done)
		}
		f.wantStory(f.owner, "st-1", wholeForOwner)
		f.rebuild(a, history.Rebuild{})
		f.wantStory(f.owner, "st-2", wholeForOwner)
		if kept := f.dump(); strings.Contains(kept, "masked") || strings.Contains(kept, "secret-") {
			t.Errorf("tokens stand in %s", kept)
		}
	})
}

// Answers that do not name their video are told by what is still known of their
// tokens, and else by what the lifecycle says.
func TestRebuildOfAnswers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(whole("st-1").events...)
		a := newArchive(t, whole("st-1"))
		f.exec("DELETE FROM history_facts")
		f.rebuild(a, history.Rebuild{})
		f.wantStory(f.owner, "st-1", wholeForOwner)

		f.exec("DELETE FROM history_tasks")
		f.rebuild(a, history.Rebuild{})
		f.wantStory(f.owner, "st-1", wholeForOwner) // the facts were there

		f.wipe()
		// One that was never asked about the video says that it was.
		forged := event.New(event.PluginComplete{Plugin: "forger", ID: "st-1", Message: json.RawMessage(`{"valid":false}`)})
		a.add(forged, event.New(event.PluginComplete{Plugin: "forger", ID: "st-77", Message: json.RawMessage(`{}`)}))
		f.rebuild(a, history.Rebuild{})
		times := strings.NewReplacer("Passed in 3 ms", "Passed", "Passed in 3.0 s", "Passed", "Done in 500 ms", "Done", "it after 10 ms", "it after 11 ms")
		f.wantStory(f.owner, "st-1", times.Replace(wholeForOwner))
		if got := f.story(f.owner, "st-77"); len(got) != 0 {
			t.Errorf("a plugin has begun the story of a video: %v", got)
		}
	})
}

// span is an archive that begins hours before the videos of the tests and ends
// hours after them, so that it has all that there was then.
func span(t *testing.T, scripts ...*script) *archive {
	return newArchive(t, slices.Concat([]*script{later(named(whole("st-before")), -3*time.Hour)}, scripts,
		[]*script{later(named(whole("st-after")), 3*time.Hour)})...)
}

func TestRebuildOfWrongFacts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(whole("st-1").events...)
		at := newScript("").begin.Add(time.Minute).UnixMilli()
		f.exec("INSERT INTO history_facts (video_id, name, happened_at, weight, detail) VALUES ('st-1', 'status-failed', $1, 0, '{}')", at)
		f.exec("INSERT INTO history_facts (video_id, name, happened_at, weight, detail) VALUES ('st-1', 'asked.preValidate.ghost', $1, 0, '{\"hook\":\"preValidate\",\"plugin\":\"ghost\"}')", at)
		f.exec("UPDATE history_facts SET detail = '{\"durationMs\":1}', happened_at = happened_at - 1000 WHERE name = 'recording-end'")
		f.exec("UPDATE history_facts SET weight = 99, detail = '{\"viewers\":99}' WHERE name = 'viewers'")
		f.rebuild(span(t, whole("st-1")), history.Rebuild{})
		f.wantStory(f.owner, "st-1", wholeForOwner)
	})
}

// What the archive does not hold any more stays as it was.
func TestRebuildKeepsWhatIsOlder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(named(whole("st-old")).events...)
		f.hear(later(named(whole("st-gone")), -48*time.Hour).events...)
		f.hear(later(named(whole("st-new")), 48*time.Hour).events...)
		half := named(whole("st-old"))
		half.events = half.events[len(half.events)/2:]
		a := newArchive(t, half, later(named(whole("st-new")), 48*time.Hour))
		done := f.rebuild(a, history.Rebuild{})
		if !done.Oldest.Equal(half.events[0].Time) || done.Videos != 2 {
			t.Errorf("rebuilt %+v", done)
		}
		for _, video := range []string{"st-old", "st-gone", "st-new"} {
			f.wantStory(f.owner, video, wholeForOwner)
		}
		// The same when only a part of the archive is asked for.
		f.rebuild(span(t, named(whole("st-old"))), history.Rebuild{From: newScript("").begin.Add(62 * time.Second)})
		f.wantStory(f.owner, "st-old", wholeForOwner)
	})
}

func TestRebuildOfOneVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		a := span(t, named(whole("st-1")), named(whole("st-2")))
		if done := f.rebuild(a, history.Rebuild{Video: "st-2"}); done.Videos != 1 {
			t.Errorf("rebuilt %+v", done)
		}
		f.wantStory(f.owner, "st-2", wholeForOwner)
		if got := f.story(f.owner, "st-1"); len(got) != 0 {
			t.Errorf("another one was rebuilt: %v", got)
		}
		for _, nothing := range []struct {
			archive *archive
			video   string
		}{{a, "st-9"}, {newArchive(t), ""}} {
			if _, err := f.Rebuild(context.Background(), nothing.archive, history.Rebuild{Video: nothing.video}, nil); errs.CodeOf(err) != errs.NotFound {
				t.Errorf("rebuilding nothing: %v", err)
			}
		}
	})
}

// A deleted video stays deleted, whoever has heard of it first.
func TestRebuildOfADeletedVideo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		deleted := func(id string) event.Envelope { return event.New(event.VideoDeleted{ChannelName: "alice", ID: id}) }
		f.hear(whole("st-1").events...)
		f.hear(deleted("st-1"))
		a := span(t, named(whole("st-1")), named(whole("st-2")), named(whole("st-3")))
		a.add(deleted("st-2")) // which the history has lost
		f.rebuild(a, history.Rebuild{})
		for _, video := range []string{"st-1", "st-2"} {
			f.hear(whole(video).events...)
			if got := f.story(f.owner, video); len(got) != 0 {
				t.Errorf("the deleted %s has the history %v", video, got)
			}
		}
		f.wantStory(f.owner, "st-3", wholeForOwner)
	})
}

// News comes while the archive is read, which does not have it yet: nothing of it
// is lost, and pages see whole stories all the time.
func TestRebuildWhileNewsComes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ago := time.Since(newScript("").begin).Truncate(time.Millisecond) - 90*time.Second // as if it ended just now
		fresh := later(named(whole("st-fresh")), ago)
		a := newArchive(t, later(named(whole("st-1")), -3*time.Hour), named(whole("st-2")))
		f.hear(later(whole("st-1"), -3*time.Hour).events...)
		f.hear(whole("st-2").events...)
		pending := fresh.events
		a.during = func(n int) error {
			if n%2 == 0 && len(pending) > 0 {
				f.hear(pending[0])
				pending = pending[1:]
			}
			if n%20 == 0 {
				f.wantStory(f.owner, "st-1", wholeForOwner)
			}
			return nil
		}
		var wg sync.WaitGroup
		wg.Go(func() { // some more at the same time as the stories are put in place
			for range 5 {
				f.hear(whole("st-2").events...)
			}
		})
		f.rebuild(a, history.Rebuild{})
		wg.Wait()
		f.hear(pending...)
		for _, video := range []string{"st-1", "st-2", "st-fresh"} {
			f.wantStory(f.owner, video, wholeForOwner)
		}
		// The archive has half of the fresh one by now, and the history all.
		a.during = nil
		a.add(fresh.events[:len(fresh.events)/2]...)
		f.rebuild(a, history.Rebuild{})
		f.wantStory(f.owner, "st-fresh", wholeForOwner)
	})
}

// A rebuild that is ended halfway leaves whole stories, and the next one is right.
func TestRebuildEndsHalfway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		var scripts []*script
		for _, video := range []string{"st-1", "st-2", "st-3", "st-4"} {
			scripts = append(scripts, named(whole(video)))
			f.hear(whole(video).events...)
		}
		a := span(t, scripts...)
		broken := errors.New("the disk is gone")
		for _, at := range []int{0, 30, 90, len(a.kept) - 1} {
			a.during = func(n int) error {
				if n == at {
					return broken
				}
				return nil
			}
			if _, err := f.Rebuild(context.Background(), a, history.Rebuild{}, nil); !errors.Is(err, broken) {
				t.Errorf("ended with %v", err)
			}
		}
		a.during = nil
		for videos := range 5 { // while the stories are put in place
			ctx, cancel := context.WithCancel(context.Background())
			_, err := f.Rebuild(ctx, a, history.Rebuild{}, func(p history.Progress) {
				if p.Videos > videos {
					cancel()
				}
			})
			cancel()
			if err == nil {
				t.Error("it was not ended")
			}
			for _, s := range scripts {
				f.wantStory(f.owner, s.video, wholeForOwner)
			}
		}
		f.rebuild(a, history.Rebuild{})
		f.wantStory(f.owner, "st-after", wholeForOwner)
	})
}

func TestOneRebuildAtATime(t *testing.T) {
	f := newFixture(t, sqlite(t))
	a := newArchive(t, whole("st-1"))
	a.during = func(int) error {
		_, err := f.Rebuild(context.Background(), a, history.Rebuild{}, nil)
		if errs.CodeOf(err) != errs.Conflict {
			t.Errorf("a second rebuild: %v", err)
		}
		return nil
	}
	f.rebuild(a, history.Rebuild{})
}

// A gap in the video stands in its story.
func TestLostSegments(t *testing.T) {
	f := newFixture(t, sqlite(t))
	s := newScript("st-1").state(0, event.StreamStart).recording(0, event.RecordingStart, 0)
	s.recording(9_000, event.RecordingSegmentLost, 2_000).recording(5_000, event.RecordingSegmentLost, 2_000)
	f.hear(s.events...)
	f.wantStory(f.owner, "st-1", `
stream-start [live] Went live / 
recording-start [video] Recording started / 
recording-lost [alert] A part of the recording was lost / There is a gap in the video / The server's storage did not take it in time.`)
}
