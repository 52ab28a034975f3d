package crash

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// unfinished are counts that are all 0 when nothing is left to do.
func unfinished() map[string]string {
	return map[string]string{
		"events in the outbox":      `SELECT count(*) FROM outbox`,
		"streams that are not over": `SELECT count(*) FROM streams WHERE state IN ('live', 'storing')`,
		"channels that are live":    `SELECT count(*) FROM channels WHERE live = TRUE`,
		"videos in processing":      `SELECT count(*) FROM videos WHERE status = 'processing' AND deleted_at = 0`,
		"jobs of post-processing":   `SELECT count(*) FROM postprocess_jobs WHERE state IN ('waiting', 'processing')`,
		"lifecycles":                `SELECT count(*) FROM plugin_lifecycles WHERE ended_at = 0`,
		"deliveries":                `SELECT count(*) FROM rule_deliveries WHERE state = 'pending'`,
		"replays":                   `SELECT count(*) FROM archive_replays WHERE state = 'running'`,
		"simulations":               `SELECT count(*) FROM simulations WHERE state <> 'removed'`,
		"videos over their age":     overdue(),
	}
}

// unswept is what a node looks for when it starts, and every ten minutes: files
// that somebody stored who still worked on a video that was deleted, and what came
// late of a simulation.
func unswept() map[string]string {
	all := map[string]string{"deleted videos with files": `SELECT count(*) FROM videos WHERE deleted_at > 0 AND swept = FALSE`}
	for table, column := range map[string]string{
		"videos": "id", "postprocess_jobs": "id", "plugin_lifecycles": "video_id", "history_facts": "video_id",
	} {
		all["rows of simulations in "+table] = `SELECT count(*) FROM ` + table + ` WHERE ` + column + ` LIKE 'sim-%'`
	}
	return all
}

// rest waits until nothing is left to do, or says what never ends.
func (a *auditor) rest(unfinished map[string]string) bool {
	db, err := store.Open(a.w.t.Context(), a.w.db)
	if err != nil {
		a.w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	began := time.Now()
	deadline := began.Add(restTime)
	said := began
	for {
		if count(a.w, db.Read(), `SELECT count(*) FROM simulations WHERE state = 'kept'`) > 0 {
			a.w.endKept()
		}
		busy := a.busy(db.Read(), unfinished)
		if testing.Verbose() && time.Since(said) > 10*time.Second {
			said = time.Now()
			a.w.t.Logf("after %s: %s", time.Since(began).Round(time.Second), strings.Join(busy, ", "))
		}
		if len(busy) == 0 {
			return true
		}
		select {
		case <-a.w.node.Exited():
			a.say("the node ended by itself; its log ends\n%s", tail(a.w.node.Log(), 30))
			return false
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			a.say("the node does not come to rest: %s; its log ends\n%s", strings.Join(busy, ", "), tail(a.w.node.Log(), 30))
			return false
		}
	}
}

func (a *auditor) busy(db *sql.DB, unfinished map[string]string) []string {
	var busy []string
	for what, query := range unfinished {
		if n := count(a.w, db, query); n > 0 {
			busy = append(busy, fmt.Sprintf("%d %s", n, what))
		}
	}
	if n := a.w.flows(); n > 0 {
		busy = append(busy, fmt.Sprintf("%d flows", n))
	}
	busy = append(busy, a.w.backlog()...)
	slices.Sort(busy)
	return busy
}

func count(w *world, db *sql.DB, query string) int {
	w.t.Helper()
	var n int
	if err := db.QueryRowContext(w.t.Context(), query).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// flows counts those that are not final.
func (w *world) flows() int {
	w.t.Helper()
	driver, dsn, table := "sqlite", "file:"+filepath.Join(w.node.Dir, "flow.db")+"?_pragma=busy_timeout(10000)", "workflow_status"
	if w.db.URL != "" {
		driver, dsn, table = "pgx", w.db.URL, "flow.workflow_status"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return count(w, db, `SELECT count(*) FROM `+table+` WHERE status IN ('PENDING', 'ENQUEUED', 'DELAYED')`)
}

var backlogLine = regexp.MustCompile(`(?m)^serverlessvideo_bus_backlog_events\{consumer="([^"]+)"\} (\d+)$`)

// backlog says which consumers have events to hear.
func (w *world) backlog() []string {
	status, text, err := w.admin.Try(w.t.Context(), http.MethodGet, "/metrics", nil)
	found := backlogLine.FindAllStringSubmatch(string(text), -1)
	if err != nil || status != http.StatusOK || len(found) == 0 {
		return []string{fmt.Sprintf("no metrics of the bus (%d, %v)", status, err)}
	}
	var busy []string
	for _, m := range found {
		if m[2] != "0" {
			busy = append(busy, m[2]+" events for "+m[1])
		}
	}
	return busy
}
