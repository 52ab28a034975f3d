package crash

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// restTime is how long a node may take to come to rest: an event that was being
// worked on at a kill is delivered again after 30 s, and what waited for it comes
// after that.
const restTime = 4 * time.Minute

// figures are what an audit has counted.
type figures struct {
	Streams, Recorded, Videos, Deleted int
	Events                             int // on the bus, by id
	Deliveries                         int // to the webhook, by event
	Repeated                           int // that it was given again
	Objects                            int
}

// audit lets the node come to rest and looks at everything that it keeps: its
// rows, its flows, its bus and its objects, and at what the webhook, the plugin
// and the owners know. It returns all that does not fit together. It is told
// nothing by the node but that it is at rest; it looks into files and tables.
func (w *world) audit() (figures, []string) {
	w.t.Helper()
	a := &auditor{w: w}
	if !w.node.Running() {
		w.start("")
	}
	if !a.rest(unfinished()) {
		return a.figures, a.wrong
	}
	db, err := store.Open(w.t.Context(), w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for what, query := range unswept() {
		if n := count(w, db.Read(), query); n > 0 {
			w.t.Logf("%d %s: the node starts again, and must find them", n, what)
			w.node.Kill()
			w.start("")
		}
	}
	if !a.rest(unswept()) {
		return a.figures, a.wrong
	}
	if code := w.node.Stop(); code != 0 {
		a.say("a clean stop ended with %d", code)
	}
	a.rows = readRows(w, db)
	a.events = a.readBus()
	a.objects = a.readObjects()

	a.streams()
	a.videos()
	a.said()
	a.deliveries()
	a.plugins()
	a.histories()
	a.orphans()
	return a.figures, a.wrong
}

// mustBeWell is audit, and whatever it finds fails the test.
func (w *world) mustBeWell() figures {
	w.t.Helper()
	began := time.Now()
	found, wrong := w.audit()
	w.t.Logf("%+v, at rest and looked at in %s", found, time.Since(began).Round(time.Second))
	for _, line := range wrong {
		w.t.Error(line)
	}
	return found
}

type auditor struct {
	w       *world
	rows    rows
	events  map[string]event.Envelope // by id
	objects map[string]int64          // sizes by key
	figures figures
	wrong   []string
}

func (a *auditor) say(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

// ---- rest ----

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
	}
}

// unswept is what a node looks for when it starts, and every ten minutes: files
// that somebody stored who still worked on a video that was deleted.
func unswept() map[string]string {
	return map[string]string{"deleted videos with files": `SELECT count(*) FROM videos WHERE deleted_at > 0 AND swept = FALSE`}
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

// ---- what there is ----

type stream struct {
	ID, Channel, State, Prefix string
	Recorded                   bool
}

type video struct {
	ID, Status, Reason, Prefix, MP4, Thumbnail, Title string
	Recorded, Processed                               bool
	Size, DeletedAt                                   int64
}

type delivery struct{ ID, Event, State string }

type rows struct {
	streams    map[string]stream
	videos     map[string]video
	deliveries []delivery
	tasks      map[string]int      // attempts by "video hook plugin"
	facts      map[string][]string // names by video
	jobs       map[string]string   // states
}

func readRows(w *world, db *store.DB) rows {
	r := rows{
		streams: map[string]stream{}, videos: map[string]video{}, tasks: map[string]int{}, facts: map[string][]string{}, jobs: map[string]string{},
	}
	each(w, db, `SELECT id, channel, state, prefix, recorded FROM streams`, func(scan func(...any) error) error {
		var s stream
		err := scan(&s.ID, &s.Channel, &s.State, &s.Prefix, &s.Recorded)
		r.streams[s.ID] = s
		return err
	})
	each(w, db, `SELECT id, status, reason, prefix, mp4_key, thumbnail_key, typed_title, recorded, processed, size, deleted_at FROM videos`,
		func(scan func(...any) error) error {
			var v video
			err := scan(&v.ID, &v.Status, &v.Reason, &v.Prefix, &v.MP4, &v.Thumbnail, &v.Title, &v.Recorded, &v.Processed, &v.Size, &v.DeletedAt)
			r.videos[v.ID] = v
			return err
		})
	each(w, db, `SELECT id, event_id, state FROM rule_deliveries`, func(scan func(...any) error) error {
		var d delivery
		err := scan(&d.ID, &d.Event, &d.State)
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
// which nobody could handle.
func (a *auditor) readBus() map[string]event.Envelope {
	t := a.w.t
	b, err := bus.Open(t.Context(), bus.Config{Dir: filepath.Join(a.w.node.Dir, "bus")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	var mu sync.Mutex
	all := map[string]event.Envelope{}
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
	return all
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

// ---- what must fit together ----

// streams: what is recorded is a video, and nothing else is.
func (a *auditor) streams() {
	a.figures.Streams = len(a.rows.streams)
	for _, s := range a.rows.streams {
		v, isVideo := a.rows.videos[s.ID]
		if s.Recorded {
			a.figures.Recorded++
		}
		switch {
		case s.Recorded && !isVideo:
			a.say("stream %s was recorded and is no video", s.ID)
		case s.Recorded != (isVideo && v.Recorded):
			a.say("stream %s: recorded is %t there and %t of its video", s.ID, s.Recorded, v.Recorded)
		}
	}
}

// videos: each is whole, or says why it is not. None that anybody was told of is
// gone, and what was acknowledged holds.
func (a *auditor) videos() {
	w := a.w
	a.figures.Videos = len(a.rows.videos)
	for _, id := range w.told() {
		if _, ok := a.rows.videos[id]; !ok {
			a.say("video %s was shown to its owner and is gone", id)
		}
	}
	for id := range w.deleted {
		if a.rows.videos[id].DeletedAt == 0 {
			a.say("video %s was deleted, as its owner was told, and is there", id)
		}
	}
	for id, title := range w.titles {
		if v := a.rows.videos[id]; v.Title != title && v.DeletedAt == 0 {
			a.say("video %s was given the title %q, as its owner was told, and has %q", id, title, v.Title)
		}
	}
	for _, v := range a.rows.videos {
		if v.DeletedAt > 0 {
			a.figures.Deleted++
			if !w.deletes[v.ID] {
				a.say("video %s is deleted, and nobody wanted it", v.ID)
			}
			continue
		}
		a.video(v)
	}
}

func (a *auditor) video(v video) {
	switch {
	case !v.Recorded || !v.Processed && v.Status != event.StatusFailed:
		a.say("video %s is half of one: %+v", v.ID, v)
	case v.Status != event.StatusValid && v.Reason == "":
		a.say("video %s is %s without a reason", v.ID, v.Status)
	case v.Status != event.StatusValid:
		a.say("video %s is %s, though nothing was wrong with it: %s", v.ID, v.Status, v.Reason)
	}
	if size, ok := a.objects[v.MP4]; !ok || size != v.Size {
		a.say("the MP4 of %s has %d bytes in its row and %d in the store", v.ID, v.Size, size)
	} else if err := wholeMP4(filepath.Join(a.w.node.Dir, "objects", filepath.FromSlash(v.MP4))); err != nil {
		a.say("the MP4 of %s: %v", v.ID, err)
	}
	if _, ok := a.objects[v.Thumbnail]; v.Thumbnail != "" && !ok {
		a.say("video %s has no thumbnail, though its row has one", v.ID)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(a.objects)), func(key string) bool { return strings.HasPrefix(key, v.Prefix+"/") }) {
		a.say("video %s has no segments", v.ID)
	}
}

// wholeMP4 walks the boxes of a file (ISO/IEC 14496-12 section 4.2): they fill it
// and there are both a description and media.
func wholeMP4(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var boxes []string
	for at := 0; at < len(data); {
		if len(data)-at < 16 {
			return errors.New("it ends in the middle of a box")
		}
		size := int(data[at])<<24 | int(data[at+1])<<16 | int(data[at+2])<<8 | int(data[at+3])
		if size == 1 {
			size = int(data[at+12])<<24 | int(data[at+13])<<16 | int(data[at+14])<<8 | int(data[at+15])
		}
		if size < 8 || at+size > len(data) {
			return fmt.Errorf("the box at %d has %d bytes, and the file %d", at, size, len(data))
		}
		boxes = append(boxes, string(data[at+4:at+8]))
		at += size
	}
	for _, needed := range []string{"ftyp", "moov", "mdat"} {
		if !slices.Contains(boxes, needed) {
			return fmt.Errorf("it has no %s: %v", needed, boxes)
		}
	}
	return nil
}

// said: the events of each stream and video are on the bus, once each.
func (a *auditor) said() {
	byTopic := map[string]map[string]int{} // kinds by stream or video
	for _, e := range a.events {
		id, kind := topic(e)
		if byTopic[id] == nil {
			byTopic[id] = map[string]int{}
		}
		byTopic[id][kind]++
	}
	for id, kinds := range byTopic {
		for kind, n := range kinds {
			most := 1
			if kind == "VideoStatusUpdated" {
				most += a.w.titled[id] // a new title is said by it, too
			}
			if n > most && slices.Contains(onceEach(), kind) {
				a.say("%s of %s was said %d times, under different ids", kind, id, n)
			}
		}
	}
	for _, s := range a.rows.streams {
		expected := []string{event.StreamStart, event.StreamEnd}
		if s.Recorded {
			expected = append(expected, event.RecordingStart, event.RecordingEnd)
		}
		if v := a.rows.videos[s.ID]; s.Recorded && v.DeletedAt == 0 {
			expected = onceEach()
		}
		for _, kind := range expected {
			if byTopic[s.ID][kind] == 0 {
				a.say("%s of %s was never said", kind, s.ID)
			}
		}
	}
	for id := range a.w.deleted {
		if byTopic[id]["VideoDeleted"] != 1 {
			a.say("VideoDeleted of %s was said %d times", id, byTopic[id]["VideoDeleted"])
		}
	}
}

// onceEach is what is said of every broadcast that becomes a valid video.
func onceEach() []string {
	return []string{
		event.StreamStart, event.StreamEnd, event.RecordingStart, event.RecordingEnd, "MP4ProcessingStarted", "MP4ProcessingComplete",
		"recording-ready", "LifeCycleStarted", "preValidate." + pluginName, "plugin-complete", "LifeCycleComplete", "VideoStatusUpdated",
	}
}

// topic returns what an event is about, and what it says of it.
func topic(e event.Envelope) (id, kind string) {
	var d struct {
		ID       string `json:"id"`
		StreamID string `json:"stream_id"`
		Name     string `json:"event_name"`
		Status   string `json:"recording_status"`
		Video    struct {
			ID string `json:"id"`
		} `json:"video"`
		TaskToken string
	}
	_ = json.Unmarshal(e.Detail, &d) // what has none of it is about nothing
	kind = e.DetailType
	switch {
	case d.Name != "":
		kind = d.Name
	case d.Status != "" && kind != "recording-ready":
		kind = d.Status
	}
	for _, found := range []string{d.StreamID, d.ID, d.Video.ID} {
		if found != "" {
			return found, kind
		}
	}
	return "", kind
}

// deliveries: the webhook heard every event, each under one id.
func (a *auditor) deliveries() {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	of := map[string]delivery{}
	for _, d := range a.rows.deliveries {
		if other, twice := of[d.Event]; twice {
			a.say("event %s has the deliveries %s and %s", d.Event, other.ID, d.ID)
		}
		of[d.Event] = d
		if d.State != "delivered" {
			a.say("delivery %s is %s", d.ID, d.State)
		}
		if _, ok := a.events[d.Event]; !ok {
			a.say("delivery %s is of an event that is not on the bus", d.ID)
		}
	}
	for id, e := range a.events {
		h, ok := w.heard[id]
		row, kept := of[id] // the node keeps the last ones
		withdrawn := a.rows.videos[e.About()].DeletedAt > 0 && e.DetailType != "VideoDeleted"
		switch {
		case !ok && !kept && (e.Source == event.SourceAuth || e.DetailType == "ChannelUpdated"): // before there was the rule
		case !ok && withdrawn && !kept: // what waits about a deleted video goes with it
		case !ok:
			a.say("the webhook never heard %s %s", e.DetailType, id)
		case len(h.messages) != 1 || kept && h.messages[row.ID] == 0:
			a.say("the webhook heard %s under the ids %v, its row has %s", id, h.messages, row.ID)
		default:
			a.figures.Deliveries++
			for _, times := range h.messages {
				a.figures.Repeated += times - 1
			}
		}
	}
}

// plugins: asked once about each video, and answered.
func (a *auditor) plugins() {
	for task, n := range a.rows.tasks {
		if n != 1 {
			a.say("the plugin has %d tasks: %s", n, task)
		}
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	for _, v := range a.rows.videos {
		asked := a.rows.tasks[v.ID+" preValidate "+pluginName] == 1
		if v.DeletedAt == 0 && (!asked || a.w.asked[v.ID] == 0) {
			a.say("the plugin was not asked about %s", v.ID)
		}
	}
}

// histories: the timeline of each video is whole, that of a deleted one is gone.
func (a *auditor) histories() {
	whole := []string{
		"stream-start", "stream-end", "recording-start", "recording-end", "processing-start", "processing-complete",
		"recording-ready", "lifecycle-start", "lifecycle-complete", "status-valid",
		"asked.preValidate." + pluginName, "answered.preValidate." + pluginName,
	}
	for _, v := range a.rows.videos {
		facts := a.rows.facts[v.ID]
		if v.DeletedAt > 0 {
			if len(facts) > 0 {
				a.say("deleted video %s has a history", v.ID)
			}
			continue
		}
		for _, name := range whole {
			if !slices.Contains(facts, name) {
				a.say("the history of %s does not tell %s", v.ID, name)
			}
		}
	}
}

// orphans: every object belongs to a video that is there.
func (a *auditor) orphans() {
	for key := range a.objects {
		parts := strings.Split(key, "/")
		var id string
		switch {
		case parts[0] == "videos" && len(parts) > 2:
			id = parts[1]
		case parts[0] == "recordings" && len(parts) > 3:
			id = parts[2]
		}
		if v, ok := a.rows.videos[id]; !ok || v.DeletedAt > 0 {
			a.say("an orphan: %s", key)
		}
	}
	for id, state := range a.rows.jobs {
		if v, ok := a.rows.videos[id]; ok && v.DeletedAt == 0 && state != "done" {
			a.say("the job of %s is %s", id, strconv.Quote(state))
		}
	}
}
