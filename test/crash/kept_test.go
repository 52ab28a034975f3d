package crash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

type stream struct {
	ID, Channel, State, Prefix string
	Recorded                   bool
}

type video struct {
	ID, Channel, Status, Reason, Prefix, MP4, Thumbnail, Title string
	Recorded, Processed                                        bool
	Size, DeletedAt                                            int64
}

type delivery struct{ ID, Rule, Replay, Event, State string }

type rows struct {
	streams    map[string]stream
	videos     map[string]video
	deliveries []delivery
	tasks      map[string]int      // attempts by "video hook plugin"
	facts      map[string][]string // names by video
	jobs       map[string]string   // states
	users      map[string]int64    // since when they are suspended, in ms; 0: not

	archive     map[string]archived // by event id
	totals      archiveTotals
	replays     []replay
	simulations map[string]*simulation
}

func readRows(w *world, db *store.DB) rows {
	r := rows{
		streams: map[string]stream{}, videos: map[string]video{}, tasks: map[string]int{}, facts: map[string][]string{}, jobs: map[string]string{},
		users: map[string]int64{},
	}
	each(w, db, `SELECT id, channel, state, prefix, recorded FROM streams`, func(scan func(...any) error) error {
		var s stream
		err := scan(&s.ID, &s.Channel, &s.State, &s.Prefix, &s.Recorded)
		r.streams[s.ID] = s
		return err
	})
	each(w, db, `SELECT id, channel, status, reason, prefix, mp4_key, thumbnail_key, typed_title, recorded, processed, size, deleted_at FROM videos`,
		func(scan func(...any) error) error {
			var v video
			err := scan(&v.ID, &v.Channel, &v.Status, &v.Reason, &v.Prefix, &v.MP4, &v.Thumbnail, &v.Title, &v.Recorded, &v.Processed, &v.Size, &v.DeletedAt)
			r.videos[v.ID] = v
			return err
		})
	each(w, db, `SELECT id, rule_id, replay, event, state FROM rule_deliveries`, func(scan func(...any) error) error {
		var d delivery
		err := scan(&d.ID, &d.Rule, &d.Replay, &d.Event, &d.State)
		r.deliveries = append(r.deliveries, d)
		return err
	})
	each(w, db, `SELECT video_id, hook, plugin FROM plugin_tasks`, func(scan func(...any) error) error {
		var video, hook, plugin string
		err := scan(&video, &hook, &plugin)
		r.tasks[video+" "+hook+" "+plugin]++
		return err
	})
	each(w, db, `SELECT video_id, name FROM history_facts`, func(scan func(...any) error) error {
		var video, name string
		err := scan(&video, &name)
		r.facts[video] = append(r.facts[video], name)
		return err
	})
	each(w, db, `SELECT id, state FROM postprocess_jobs`, func(scan func(...any) error) error {
		var id, state string
		err := scan(&id, &state)
		r.jobs[id] = state
		return err
	})
	each(w, db, `SELECT id, suspended_at FROM users`, func(scan func(...any) error) error {
		var id string
		var since int64
		err := scan(&id, &since)
		r.users[id] = since
		return err
	})
	r.archive, r.replays = readArchive(w, db)
	each(w, db, `SELECT events, size FROM archive_totals`, func(scan func(...any) error) error { return scan(&r.totals.Events, &r.totals.Size) })
	r.simulations = readSimulations(w, db)
	return r
}

func each(w *world, db *store.DB, query string, row func(scan func(...any) error) error) {
	w.t.Helper()
	found, err := db.Read().QueryContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		if err := row(found.Scan); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := found.Err(); err != nil {
		w.t.Fatal(err)
	}
}

// readBus reads every event that the bus has, and says which are there twice and
// which nobody could handle. It returns, too, how many each consumer has not heard.
func (a *auditor) readBus() (all map[string]event.Envelope, unheard map[string]int64) {
	t := a.w.t
	b, err := bus.Open(t.Context(), bus.Config{Dir: filepath.Join(a.w.node.Dir, "bus")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	if unheard, err = b.Backlog(t.Context()); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(unheard, func(name string, n int64) bool { return n == 0 || strings.HasPrefix(name, "audit") })
	var mu sync.Mutex
	all = map[string]event.Envelope{}
	err = b.Consume(t.Context(), event.Consumer{
		Name: fmt.Sprintf("audit%d", time.Now().UnixNano()), Filters: []event.Filter{{}},
		Handle: func(_ context.Context, e event.Envelope) error {
			mu.Lock()
			defer mu.Unlock()
			if _, twice := all[e.ID]; twice {
				a.say("the bus has %s %s twice", e.DetailType, e.ID)
			}
			all[e.ID] = e
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		backlog, err := b.Backlog(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("reading the bus: %v %v", backlog, err)
		}
		left := int64(0)
		for name, n := range backlog {
			if strings.HasPrefix(name, "audit") {
				left += n
			}
		}
		if left == 0 {
			break
		}
	}
	if err := b.StopConsumers(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead, err := b.DeadLetters(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dead {
		a.say("a dead letter of %s: %s: %s", d.Consumer, d.Reason, d.Data)
	}
	a.figures.Events = len(all)
	return all, unheard
}

// readObjects lists the object store, and says what else lies about.
func (a *auditor) readObjects() map[string]int64 {
	all := map[string]int64{}
	root := filepath.Join(a.w.node.Dir, "objects")
	a.walk(root, func(path string, size int64) {
		key, err := filepath.Rel(root, path)
		if err != nil {
			a.w.t.Fatal(err)
		}
		all[filepath.ToSlash(key)] = size
		if strings.HasPrefix(filepath.Base(path), ".") {
			a.say("the object store has an unfinished file: %s", key)
		}
	})
	for _, folder := range []string{"spill", "work"} {
		a.walk(filepath.Join(a.w.node.Dir, folder), func(path string, _ int64) { a.say("left over: %s", path) })
	}
	a.figures.Objects = len(all)
	return all
}

func (a *auditor) walk(root string, file func(path string, size int64)) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file(path, info.Size())
		return nil
	})
	if err != nil {
		a.w.t.Fatal(err)
	}
}
