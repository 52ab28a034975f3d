package scenario

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the database of a node, looked into from outside

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/history"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// pluginFiles is how many objects each video gets, so that removing them takes
// long enough to be killed in the middle of it.
const pluginFiles = 1500

// TestDeletedAndKilled deletes videos and kills the program at random moments
// after that. When it has come back, nothing of them is left: no row, no object, no
// flow, in no service.
func TestDeletedAndKilled(t *testing.T) {
	t.Parallel()
	n := harness.Start(t)
	var owners []harness.User
	for i := range 4 {
		owners = append(owners, n.AddUser(fmt.Sprintf("owner%d@example.com", i), "broadcaster", "admin"))
	}
	everythingIntoTheLog(t, n.SignIn(owners[0]))
	ids := make([]string, len(owners))
	var lives sync.WaitGroup
	for i, u := range owners {
		lives.Go(func() {
			p := publish(t, n, u, 3*time.Second)
			ids[i] = liveStream(t, n, u)
			stop(t, p)
		})
	}
	lives.Wait()
	for i, u := range owners {
		n.SignIn(u).WaitVideo(ids[i], "invalid")
		fillWithFiles(t, n, ids[i])
	}
	// The first stays: it is to be whole in the end.
	killAfterDeleting := func(u harness.User, id string) {
		t.Helper()
		if status, body := n.SignIn(u).Do(http.MethodDelete, "/api/video/"+id, nil); status != http.StatusNoContent {
			t.Fatalf("deleting: %d %s", status, body)
		}
		time.Sleep(rand.N(80 * time.Millisecond))
		n.Kill()
		t.Logf("of %s there are %d objects when the program is killed", id, objectsOf(t, n, id))
		n.Start()
		if rand.N(2) == 0 { // and again while it goes on with it
			time.Sleep(rand.N(100 * time.Millisecond))
			n.Kill()
			n.Start()
		}
	}
	for i := 1; i < len(owners); i++ {
		killAfterDeleting(owners[i], ids[i])
	}
	// One that is still processed.
	busy := owners[1]
	p := publish(t, n, busy, 3*time.Second)
	id := liveStream(t, n, busy)
	stop(t, p)
	owner := n.SignIn(busy)
	harness.Eventually(t, "it is a video", func() error { return owner.Get("/api/video/"+id, &harness.Video{}) })
	killAfterDeleting(busy, id)

	for _, id := range append(ids[1:], id) {
		harness.Eventually(t, "nothing is left of "+id, func() error { return leftOf(t, n, id) })
	}
	if leftOf(t, n, ids[0]) == nil {
		t.Error("the test does not see what is there")
	}
	n.SignIn(owners[0]).WaitVideo(ids[0], "invalid")
	for range 2 { // running, and stopped
		harness.Eventually(t, "a check finds nothing", func() error {
			_, err := n.Command("", "check", "--data-dir", n.Dir, "--grace", "1ms", "--json")
			return err
		})
		n.Kill()
	}
	rebuildOfALife(t, n, ids[0])
}

// TestCheckBringsBack loses a video's row and another one's files, and lets the
// check command bring back both.
func TestCheckBringsBack(t *testing.T) {
	t.Parallel()
	n := harness.Start(t)
	var ids [2]string
	var owners [2]harness.User
	var lives sync.WaitGroup
	for i := range ids {
		owners[i] = n.AddUser(fmt.Sprintf("owner%d@example.com", i), "broadcaster")
		lives.Go(func() {
			p := publish(t, n, owners[i], 3*time.Second)
			ids[i] = liveStream(t, n, owners[i])
			stop(t, p)
		})
	}
	lives.Wait()
	for i, u := range owners {
		n.SignIn(u).WaitVideo(ids[i], "invalid")
	}
	if code := n.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	loseRows(t, n, ids[0])
	// As if minutes had gone by: the bus forgets which events it has had just now.
	if err := os.RemoveAll(filepath.Join(n.Dir, "bus")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"video.mp4", "storyboard.vtt"} {
		if err := os.Remove(filepath.Join(n.Dir, "objects", "videos", ids[1], name)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"orphan-recording": ids[0], "orphan-objects": "", "missing-file": ids[1]}
	checkFinds(t, n, want, 1)             // it only looks
	checkFinds(t, n, want, 0, "--repair") // on a stopped node: the next start does it
	n.Start()
	n.SignIn(owners[0]).WaitVideo(ids[0], "invalid")
	harness.Eventually(t, "all files are there", func() error {
		_, err := n.Command("", "check", "--data-dir", n.Dir, "--grace", "1ms")
		return err
	})
	plays(t, filepath.Join(n.Dir, "objects", "videos", ids[1], "video.mp4"))
	n.SignIn(owners[1]).WaitVideo(ids[1], "invalid")
}

// loseRows takes away what the catalogue and post-processing know of a video.
func loseRows(t *testing.T, n *harness.Node, id string) {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(n.Dir, "app.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, table := range []string{"videos", "postprocess_jobs", "streams"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE id = $1", id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkFinds runs the command and wants findings of these kinds, and so many left; of
// rows nothing is said here.
func checkFinds(t *testing.T, n *harness.Node, want map[string]string, exit int, flags ...string) {
	t.Helper()
	out, err := n.Command("", append([]string{"check", "--data-dir", n.Dir, "--grace", "1ms", "--json"}, flags...)...)
	if (err != nil) != (exit != 0) {
		t.Errorf("check %v ends with %v", flags, err)
	}
	var report struct {
		Findings []struct {
			Kind, Video, Failed string
			Repaired            bool
		}
		Left int
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := map[string]bool{}
	for _, f := range report.Findings {
		found[f.Kind] = true
		if id := want[f.Kind]; id != "" && f.Video != id || f.Failed != "" {
			t.Errorf("found %+v", f)
		}
	}
	for kind := range want {
		if !found[kind] {
			t.Errorf("no %s is found: %s", kind, out)
		}
	}
	if (report.Left > 0) != (exit != 0) {
		t.Errorf("%d are left", report.Left)
	}
}

// everythingIntoTheLog makes a rule that keeps deliveries about all videos.
func everythingIntoTheLog(t *testing.T, admin *harness.Client) {
	t.Helper()
	status, body := admin.Do(http.MethodPost, "/api/rules", map[string]any{
		"name": "all", "enabled": true, "pattern": `{"source":[{"prefix":"serverlessVideo."}]}`, "target": map[string]string{"type": "log"},
	})
	if status != http.StatusCreated && status != http.StatusOK {
		t.Fatalf("making a rule: %d %s", status, body)
	}
}

// fillWithFiles stores files as plugins do.
func fillWithFiles(t *testing.T, n *harness.Node, id string) {
	t.Helper()
	dir := filepath.Join(n.Dir, "objects", "videos", id, "plugins", "transcribe")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for i := range pluginFiles {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", i)), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// objectsOf counts what lies in the data folder under a video's id, but for the bus.
func objectsOf(t *testing.T, n *harness.Node, id string) int {
	t.Helper()
	found := 0
	for _, dir := range []string{"objects", "spill", "work"} {
		err := filepath.WalkDir(filepath.Join(n.Dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.Contains(path, id) {
				found++
			}
			return nil // it may be deleted just now
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// leftOf says what is left of a video on disk and in the databases, but for the
// tombstones of the catalogue and of the history, the news that it is deleted, and
// the number of the channel's last stream.
func leftOf(t *testing.T, n *harness.Node, id string) error {
	t.Helper()
	if found := objectsOf(t, n, id); found > 0 {
		return fmt.Errorf("%d objects", found)
	}
	tombstones := map[string]string{
		"videos":          "deleted_at > 0 AND swept AND username = '' AND title = ''",
		"history_videos":  "deleted_at > 0",
		"channels":        "TRUE",
		"rule_deliveries": "detail_type = 'VideoDeleted'",
		"archive_events":  "TRUE", // what happened stays on record, with its age
	}
	for _, name := range []string{"app.db", "flow.db"} {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(n.Dir, name)+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		err = rowsOf(db, id, tombstones)
		_ = db.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// rowsOf looks for a text in every column of every table.
func rowsOf(db *sql.DB, text string, allowed map[string]string) error {
	rows, err := db.Query(`SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'video_search%'`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return err
		}
		columns[table] = append(columns[table], `instr(CAST("`+column+`" AS TEXT), $1) > 0`)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for table, tests := range columns {
		query := `SELECT count(*) FROM "` + table + `" WHERE (` + strings.Join(tests, " OR ") + ")"
		if but, ok := allowed[table]; ok {
			query += " AND NOT (" + but + ")"
		}
		var found int
		if err := db.QueryRow(query, text).Scan(&found); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		if found > 0 {
			return fmt.Errorf("%d rows of %s", found, table)
		}
	}
	return nil
}

// collected is an archive of what the bus of a stopped node still holds.
type collected struct{ events [][]byte }

func (c *collected) Each(_ context.Context, from, to time.Time, _ []string, fn func(event.Envelope) error) error {
	for _, text := range c.events {
		e, err := event.Parse(text)
		if err != nil {
			return err
		}
		if !e.Time.Before(from) && e.Time.Before(to) {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// rebuildOfALife makes the history anew of the events of a real life.
func rebuildOfALife(t *testing.T, n *harness.Node, id string) {
	t.Helper()
	ctx := context.Background()
	archive := collect(t, n, id)
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(n.Dir, "app.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	before := factsOf(t, db, id)
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, table := range []string{"history_facts", "history_tasks", "history_videos"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done, err := history.New(db, nil, quiet()).Rebuild(ctx, archive, history.Rebuild{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after := factsOf(t, db, id); len(before) < 10 || strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("rebuilt of %d events:\n%s\n\nwant\n%s", done.Events, strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	for video, facts := range countFacts(t, db) {
		if video != id && facts > 0 {
			t.Errorf("%d facts of the deleted %s are back", facts, video)
		}
	}
}

// collect reads all events off the bus, as an archive keeps them, until it has the
// end of a video's life and nothing more comes.
func collect(t *testing.T, n *harness.Node, id string) *collected {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{Dir: filepath.Join(n.Dir, "bus"), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	c, last := &collected{}, time.Now()
	ended := false
	err = b.Consume(t.Context(), event.Consumer{Name: "collector", Filters: []event.Filter{{}}, Handle: func(_ context.Context, e event.Envelope) error {
		text, err := json.Marshal(e.Masked())
		mu.Lock()
		defer mu.Unlock()
		c.events, last = append(c.events, text), time.Now()
		ended = ended || e.DetailType == "VideoStatusUpdated" && e.About() == id
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "all events are read", func() error {
		mu.Lock()
		defer mu.Unlock()
		if !ended || time.Since(last) < time.Second {
			return fmt.Errorf("%d events", len(c.events))
		}
		return nil
	})
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

func factsOf(t *testing.T, db *store.DB, id string) []string {
	t.Helper()
	rows, err := db.Read().Query("SELECT name, happened_at, weight, detail FROM history_facts WHERE video_id = $1 ORDER BY name", id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var facts []string
	for rows.Next() {
		var name, detail string
		var at, weight int64
		if err := rows.Scan(&name, &at, &weight, &detail); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, fmt.Sprint(name, " ", at, " ", weight, " ", detail))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return facts
}

func countFacts(t *testing.T, db *store.DB) map[string]int {
	t.Helper()
	rows, err := db.Read().Query("SELECT video_id, count(*) FROM history_facts GROUP BY video_id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	counts := map[string]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		counts[id] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return counts
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
