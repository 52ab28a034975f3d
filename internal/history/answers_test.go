package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// dump returns all that the history has in the database.
func (f *fixture) dump() string {
	f.t.Helper()
	var all strings.Builder
	for _, columns := range []string{
		"id, channel FROM history_videos", "name, detail FROM history_facts",
		"token_hash, video_id || ' ' || hook || ' ' || plugin || ' ' || answer FROM history_tasks",
	} {
		rows, err := f.db.Read().Query("SELECT " + columns)
		if err != nil {
			f.t.Fatal(err)
		}
		for rows.Next() {
			var a, b string
			if err := rows.Scan(&a, &b); err != nil {
				f.t.Fatal(err)
			}
			fmt.Fprintln(&all, a, b)
		}
		if err := rows.Err(); err != nil {
			f.t.Fatal(err)
		}
	}
	return all.String()
}

func TestNoTokenIsKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(whole("st-1").events...)
		f.hear(newScript("st-2").answer(0, "preValidate", "early", `{"valid":true}`).events...)
		kept := f.dump()
		for _, secret := range []string{"secret-", "brave-otter"} {
			if strings.Contains(kept, secret) {
				t.Errorf("%q is kept: %s", secret, kept)
			}
		}
		if !strings.Contains(kept, "duration_plugin") {
			t.Fatalf("this is not what is kept: %s", kept)
		}
	})
}

// A plugin outside may say what it likes: only its token counts, and its words
// have bounds.
func TestAnswersFromOutside(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(newScript("st-1").ask(1000, "preValidate", "p").events...)
		before := f.dump()
		forged := event.PluginComplete{Plugin: "p", ID: "st-1", TaskToken: "made up", Message: json.RawMessage(`{"valid":false}`)}
		f.hear(event.New(forged))
		if got := f.step("st-1", "plugin-preValidate-p"); got.Subtitle != "Working" {
			t.Errorf("a made-up token counted: %s", got)
		}
		for _, detail := range []string{
			`{"TaskToken":7,"Message":{}}`, `{"Message":{"valid":true}}`, `{}`, `{"TaskToken":"","id":"st-1"}`,
		} {
			e := event.New(forged)
			e.Detail = json.RawMessage(detail)
			f.hear(e)
		}
		if stray := strings.TrimPrefix(f.dump(), before); strings.Count(f.dump(), "\n") != strings.Count(before, "\n")+1 {
			t.Errorf("kept of nonsense: %s", stray)
		}

		long := strings.Repeat("é\x00\n", 10_000)
		message, err := json.Marshal(map[string]any{"valid": false, "reason": long})
		if err != nil {
			t.Fatal(err)
		}
		answer := newScript("st-1").answer(0, "preValidate", "p", string(message)).events[0]
		answer.Time = time.Time{} // as it pleases the sender
		answer.Source = "serverlessVideo.plugin.anotherName"
		f.hear(answer)
		got := f.step("st-1", "plugin-preValidate-p")
		if n := len([]rune(got.Description)); n == 0 || n > 500 || strings.ContainsAny(got.Description, "\x00\n") {
			t.Errorf("a reason of %d characters: %.100q", n, got.Description)
		}
		if got.Subtitle != "Refused it after 0 ms" {
			t.Errorf("it took %q", got.Subtitle)
		}
	})
}

// The answer of the wrong shape is the plugin manager's to judge.
func TestAnswerWithoutVerdict(t *testing.T) {
	f := newFixture(t, sqlite(t))
	for _, message := range []string{`{"valid":"yes"}`, `[]`, `null`, `{"valid":null,"reason":7}`} {
		s := newScript("st-" + fmt.Sprint(len(message)))
		f.hear(s.ask(0, "preValidate", "p").answer(5, "preValidate", "p", message).events...)
		if got := f.step(s.video, "plugin-preValidate-p"); got.Subtitle != "Working" {
			t.Errorf("%s: %s", message, got)
		}
		f.hear(newScript(s.video).fail(6, "preValidate", "p", `the answer has no "valid"`).events...)
		if got := f.step(s.video, "plugin-preValidate-p"); got.Subtitle != "Failed after 6 ms" || got.Icon != "alert" {
			t.Errorf("%s: %s", message, got)
		}
	}
}

// Made-up tokens fill neither the database nor stand in the way of real ones.
func TestMadeUpTokensAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
				INSERT INTO history_tasks (token_hash, video_id, hook, plugin, answered_at, answer, noted_at)
				SELECT 'h' || i, '', '', '', 1, '{}', 5 FROM n`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.hear(event.New(event.PluginComplete{Plugin: "p", TaskToken: "one more", Message: json.RawMessage(`{}`)}))
		f.hear(newScript("st-1").ask(0, "preMetadata", "p").answer(7, "preMetadata", "p", `1`).events...)
		if got := f.step("st-1", "plugin-preMetadata-p"); got.Subtitle != "Done in 7 ms" {
			t.Errorf("the real answer: %s", got)
		}
		if n := f.tasks(); n != 10_001 {
			t.Errorf("%d tasks are kept, want 10,001", n)
		}

		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); f.Run(ctx) }()
		for deadline := time.Now().Add(20 * time.Second); f.tasks() > 1 && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		<-done
		if n := f.tasks(); n != 1 {
			t.Errorf("%d tasks are left after the old ones were forgotten, want the new one", n)
		}
	})
}

func (f *fixture) tasks() (n int) {
	f.t.Helper()
	if err := f.db.Read().QueryRow("SELECT count(*) FROM history_tasks").Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// What can never be understood is dropped: an error would bring it back.
func TestNonsenseIsDropped(t *testing.T) {
	f := newFixture(t, sqlite(t))
	s := newScript("no/id")
	s.state(0, event.StreamStart).recording(0, event.RecordingEnd, 1).views(0, 1).ask(0, "preValidate", "p")
	s.end(0, event.LifeCycleResult{}).status(0, event.StatusValid, event.LifeCycleResult{})
	s.at(0, event.VideoDeleted{ID: "no/id", ChannelName: "alice"})
	s.video = "st-1"
	s.ask(0, "noHook", "p").ask(0, "preValidate", "no name").fail(0, "noHook", "p", "x")
	s.status(0, "processing", event.LifeCycleResult{}).state(0, "Ingest Configuration")
	odd := event.New(event.ViewCountUpdated{})
	odd.Detail = json.RawMessage(`{"view_count":"many"}`)
	f.hear(append(s.events, odd)...)
	if kept := f.dump(); strings.Contains(kept, "\"hook\"") || strings.Contains(kept, "no/id") {
		t.Errorf("kept %s", kept)
	}
	if got := f.story(f.owner, "st-1"); len(got) != 0 {
		t.Errorf("the story of nothing: %v", got)
	}
}

func FuzzHear(f *testing.F) {
	for _, e := range whole("st-1").events {
		f.Add(e.Source, e.DetailType, []byte(e.Detail))
	}
	db := storetest.Open(f, store.Config{Path: f.TempDir() + "/app.db"})
	s := history.New(db, &access{}, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, source, detailType string, detail []byte) {
		if !json.Valid(detail) {
			return // the bus lets no such envelope in
		}
		e := event.Envelope{ID: "e", Source: source, DetailType: detailType, Detail: detail, Time: time.UnixMilli(1)}
		for _, c := range s.Consumers() {
			for _, filter := range c.Filters {
				if filter.Match(e) {
					if err := c.Handle(t.Context(), e); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}

// What rules ask plugins is no part of a video's story, and leaves nothing waiting.
func TestEventsForPluginsAreLeftOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.hear(
			event.New(event.PluginEvent{Plugin: "listener", Delivery: "msg_1", TaskToken: "secret-1", Event: json.RawMessage(`{}`)}),
			event.New(event.PluginComplete{Plugin: "listener", ID: "msg_1", TaskToken: "secret-1", Message: json.RawMessage(`{}`)}),
		)
		if kept := f.dump(); kept != "" {
			t.Errorf("kept: %s", kept)
		}
	})
}
