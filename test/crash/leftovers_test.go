package crash

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// checks: the program itself finds nothing that is not as it should be.
func (a *auditor) checks() {
	out, err := a.w.node.Command("", "check", "--data-dir", a.w.node.Dir, "--grace", "1ms", "--json")
	var report struct {
		Objects, Videos, Left int
		Findings              []struct{ Kind, Video, Service, Prefix, What string }
	}
	if failed := json.Unmarshal([]byte(out), &report); failed != nil {
		a.say("check says %q: %v, %v", out, err, failed)
		return
	}
	for _, f := range report.Findings {
		a.say("check finds %+v", f)
	}
	if err != nil || report.Left != len(report.Findings) || report.Objects != len(a.objects) {
		a.say("check ends with %v, of %+v", err, report)
	}
}

// mostSearched is of how many deleted videos everything is searched for.
const mostSearched = 5

// leftovers: of simulations and of deleted videos no table tells but those that say
// what happened, and that it is deleted.
func (a *auditor) leftovers() {
	record := map[string]string{
		"archive_events": "TRUE", "simulations": "TRUE", "simulation_videos": "TRUE",
	}
	// News that was in work at a kill may come again when all else has been removed: that
	// it has been heard goes with the age of receipts. Those of steps are to be gone.
	record["receipts"] = "scope LIKE 'consumer:%'"
	a.search(event.SimulatedPrefix, record)
	delete(record, "receipts")
	record["videos"] = "deleted_at > 0 AND swept = TRUE AND username = '' AND title = ''"
	record["history_videos"] = "deleted_at > 0"
	record["channels"] = "TRUE" // the number of its last stream
	record["rule_deliveries"] = "detail_type = 'VideoDeleted'"
	var deleted []string
	for id, v := range a.rows.videos {
		if v.DeletedAt > 0 {
			deleted = append(deleted, id)
		}
	}
	// Those that went by their age first: others are looked for elsewhere, too.
	slices.SortFunc(deleted, func(x, y string) int {
		if a.w.due[x] != a.w.due[y] {
			if a.w.due[x] {
				return -1
			}
			return 1
		}
		return strings.Compare(y, x) // the newest
	})
	for _, id := range deleted[:min(len(deleted), mostSearched)] {
		a.search(id, record)
	}
}

// search looks for a text in every column of every table of the node, but in rows
// that a condition by table allows to have it.
func (a *auditor) search(text string, allowed map[string]string) {
	w := a.w
	if w.db.URL != "" {
		a.searchIn("pgx", w.db.URL, `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), table_name, column_name
			FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
			WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`, text, allowed)
		return
	}
	for _, name := range []string{"app.db", "flow.db"} {
		a.searchIn("sqlite", "file:"+filepath.Join(w.node.Dir, name)+"?_pragma=busy_timeout(10000)",
			`SELECT '"' || m.name || '"', m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
			WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'video_search%'`, text, allowed)
	}
}

func (a *auditor) searchIn(driver, dsn, columnsOf, text string, allowed map[string]string) {
	t := a.w.t
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tables, err := columns(db, columnsOf)
	if err != nil {
		t.Fatal(err)
	}
	for table, where := range tables {
		query := fmt.Sprintf(`SELECT count(*) FROM %s WHERE (%s)`, table.path, strings.Join(where, " OR "))
		if but, ok := allowed[table.name]; ok {
			query += " AND NOT (" + but + ")"
		}
		var found int
		if err := db.QueryRowContext(t.Context(), query, "%"+text+"%").Scan(&found); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if found > 0 {
			a.say("%d rows of %s tell of %s: %s", found, table.path, text, example(t, db, strings.Replace(query, "count(*)", "*", 1), "%"+text+"%"))
		}
	}
}

// relation is a table by its name, and as a statement names it.
type relation struct{ path, name string }

// columns returns for each table the conditions that find $1 in it.
func columns(db *sql.DB, query string) (map[relation][]string, error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[relation][]string{}
	for rows.Next() {
		var t relation
		var column string
		if err := rows.Scan(&t.path, &t.name, &column); err != nil {
			return nil, err
		}
		all[t] = append(all[t], `CAST("`+column+`" AS TEXT) LIKE $1`)
	}
	return all, rows.Err()
}

// example returns the first row of a query.
func example(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil || !rows.Next() {
		return fmt.Sprint("it is gone: ", err, rows.Err())
	}
	values := make([]any, len(names))
	for i := range values {
		values[i] = new(any)
	}
	if err := rows.Scan(values...); err != nil {
		return err.Error()
	}
	var out strings.Builder
	for i, v := range values {
		fmt.Fprintf(&out, "%s=%v ", names[i], *v.(*any))
	}
	return out.String()
}
