package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// begin is live on a user's channel, and returns when the stream has an id.
func (w *world) begin(u harness.User, length time.Duration) (*rtmptest.Publisher, string) {
	w.t.Helper()
	p, err := rtmptest.Publish(w.t.Context(), "rtmp://"+w.rtmp+"/live/"+u.Channel.StreamKey, rtmptest.Options{
		Clips: []*rtmptest.Clip{w.clip}, Duration: length,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Close() })
	var ch struct {
		Live     bool   `json:"live"`
		StreamID string `json:"streamId"`
	}
	harness.Eventually(w.t, "the channel is live", func() error {
		if err := w.node.Anonymous().Get("/api/channel/"+u.ID, &ch); err != nil || !ch.Live {
			return fmt.Errorf("%+v %w", ch, err)
		}
		return nil
	})
	return p, ch.StreamID
}

// end sends the rest and says goodbye.
func (w *world) end(p *rtmptest.Publisher) {
	w.t.Helper()
	if err := p.Wait(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		w.t.Fatal(err)
	}
}

// broadcast is one from its beginning to its end.
func (w *world) broadcast(u harness.User, length time.Duration) (id string) {
	w.t.Helper()
	p, id := w.begin(u, length)
	w.end(p)
	return id
}

// duration of a video as its row has it, in time of media.
func (w *world) duration(id string) time.Duration {
	w.t.Helper()
	db, err := store.Open(w.t.Context(), w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return time.Duration(count(w, db.Read(), `SELECT coalesce(max(duration_ms), 0) FROM videos WHERE id = '`+id+`'`)) * time.Millisecond
}

func (w *world) mustLast(id string, least time.Duration) {
	w.t.Helper()
	if got := w.duration(id); got < least {
		w.t.Errorf("video %s has %s of at least %s", id, got, least)
	}
}

// mustLog waits until the node has logged a text.
func (w *world) mustLog(text string) {
	w.t.Helper()
	harness.Eventually(w.t, "the log says "+text, func() error {
		if !strings.Contains(w.node.Log(), text) {
			return fmt.Errorf("it ends\n%s", tail(w.node.Log(), 10))
		}
		return nil
	})
}

// mustRefuse asks for a change that needs the disk. The answer is a problem that
// people can read (RFC 9457), not a hang.
func (w *world) mustRefuse(id string) {
	w.t.Helper()
	harness.Eventually(w.t, "a change is refused", func() error {
		status, answer, err := w.owners[0].Try(w.t.Context(), http.MethodPatch, "/api/video/"+id, map[string]string{"title": "not now"})
		var problem struct{ Title, Detail string }
		if status == http.StatusOK { // the disk is not full yet
			w.titled[id]++
		}
		if err != nil || status != http.StatusServiceUnavailable || json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
			return fmt.Errorf("%d %s %w", status, answer, err)
		}
		w.t.Logf("a change is answered by %d: %s", status, problem.Detail)
		return nil
	})
}

// TestStoreRefusesForAWhile: the object store takes nothing, and deletes nothing,
// in the middle of broadcasts. Afterwards all is as if nothing had been.
func TestStoreRefusesForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{}, "", seed())
	before := w.broadcast(w.users[1], 2*time.Second)
	harness.Eventually(t, "there is a video to delete", func() error { return w.owners[1].Get("/api/video/"+before, &struct{}{}) })
	w.node.Kill()
	w.start("blob.put=error:read-only file system@3-12;blob.delete=error:read-only file system@1-3")
	id := w.broadcast(w.users[0], 4*time.Second)
	w.note(w.deletes, before)
	if status, answer := w.owners[1].Do(http.MethodDelete, "/api/video/"+before, nil); status != http.StatusNoContent {
		t.Fatalf("deleting: %d %s", status, answer)
	}
	w.note(w.deleted, before)
	w.mustLog("read-only file system")
	w.mustBeWell()
	w.mustLast(id, 3500*time.Millisecond)
}

// TestPoison: an event that a consumer can never handle is put away after its
// tries, with a reason, and stands in nobody's way.
func TestPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{}, "", seed())
	w.node.Kill()
	poisoned := w.users[0].Channel.ID
	w.start("bus.tries=value:4;consumer.handle(rules&StreamKeyRotated." + poisoned + ")=error:it is poison")
	for _, u := range w.users {
		if _, err := w.node.Command("", "channel", "rotate-key", "--data-dir", w.node.Dir, "--json", u.Channel.ID); err != nil {
			t.Fatal(err)
		}
	}
	rotated := func(channel string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, h := range w.heard {
			if h.DetailType == "StreamKeyRotated" && strings.Contains(string(h.Detail), channel) {
				return true
			}
		}
		return false
	}
	for _, u := range w.users[1:] {
		harness.Eventually(t, "the others' events pass", func() error {
			if !rotated(u.Channel.ID) {
				return fmt.Errorf("the webhook has not heard of %s", u.Channel.ID)
			}
			return nil
		})
	}
	w.mustLog("put away as a dead letter")
	_, wrong := w.audit()
	var dead int
	for _, line := range wrong {
		switch {
		case strings.HasPrefix(line, "a dead letter of rules: it is poison: ") && strings.Contains(line, poisoned):
			dead++
		case strings.HasPrefix(line, "the webhook never heard StreamKeyRotated "):
		default:
			t.Error(line)
		}
	}
	if dead != 1 || rotated(poisoned) {
		t.Errorf("there are %d dead letters of the poison, want 1; delivered: %t", dead, rotated(poisoned))
	}
	// What was wrong is mended: an admin gives it to the rules once more. A kill
	// right after they have handled it makes it no second time.
	for _, failpoint := range []string{"consumer.handle(rules)=error:it still is@1;letter.handled=kill", ""} {
		w.start(failpoint)
		w.redrivePoison(failpoint == "")
	}
	w.mustBeWell()
	if !rotated(poisoned) {
		t.Error("it is not delivered")
	}
}

// redrivePoison redrives the one dead letter that there is, on a node that lives or
// that is about to die.
func (w *world) redrivePoison(lives bool) {
	w.t.Helper()
	var list harness.List[struct{ ID, Consumer, Reason, DetailType string }]
	if err := w.admin.Get("/api/dead-letters", &list); err != nil || list.Count != 1 || list.Data[0].Consumer != "rules" || list.Data[0].DetailType != "StreamKeyRotated" {
		w.t.Fatalf("the dead letters are %+v, %v", list, err)
	}
	path := "/api/dead-letters/" + list.Data[0].ID + "/redrive"
	if lives {
		if status, answer := w.admin.Do(http.MethodPost, path, nil); status != http.StatusNoContent {
			w.t.Errorf("redriving: %d %s", status, answer)
		}
		return
	}
	if status, answer := w.admin.Do(http.MethodPost, path, nil); status != http.StatusConflict || !strings.Contains(string(answer), "it still is") {
		w.t.Errorf("redriving what is poison still: %d %s", status, answer)
	}
	if status, answer, err := w.admin.Try(w.t.Context(), http.MethodPost, path, nil); err == nil {
		w.t.Errorf("the node does not die: %d %s", status, answer)
	}
	<-w.node.Exited()
}

// TestBusRestarts: the bus dies in the running node, several times, and comes
// back on its folder. Publishers, consumers and the plugin go on by themselves.
func TestBusRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.Config{}, "", seed())
	w.node.Kill()
	w.start("bus.restart=error@4;bus.restart=error@15;bus.restart=error@30")
	var all sync.WaitGroup
	for _, u := range w.users {
		all.Go(func() {
			for range 2 {
				w.publishRTMP(t.Context(), u)
			}
		})
	}
	all.Wait()
	found := w.mustBeWell()
	if n := strings.Count(w.node.Log(), "it is restarted: a failpoint says so"); n != 3 || found.Videos < broadcasters {
		t.Errorf("the bus was restarted %d times, and there are %d videos", n, found.Videos)
	}
}

// TestDatabaseGoesAway: PostgreSQL ends all connections and lets nobody in for a
// while. Whoever was live stays so, and what could not be written is later.
func TestDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	w := newWorld(t, store.Config{URL: url}, "", seed())
	p, id := w.begin(w.users[0], 6*time.Second)
	time.Sleep(time.Second)
	storetest.CutOff(t, url, 3*time.Second)
	w.end(p)
	other := w.broadcast(w.users[1], time.Second)
	w.mustBeWell()
	w.mustLast(id, 5500*time.Millisecond)
	w.mustLast(other, 500*time.Millisecond)
}

// TestAllEndAtOnce: many broadcasts end at the same moment.
func TestAllEndAtOnce(t *testing.T) {
	t.Parallel()
	many := 10
	if whole() {
		many = 100
	}
	w := newWorld(t, store.Config{}, "", seed())
	w.addUsers(many - len(w.users))
	publishers := make([]*rtmptest.Publisher, many)
	for i, u := range w.users {
		publishers[i], _ = w.begin(u, 0)
	}
	time.Sleep(2 * time.Second)
	var all sync.WaitGroup
	for _, p := range publishers {
		all.Go(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if found := w.mustBeWell(); found.Videos != many || found.Recorded != many {
		t.Errorf("%d broadcasts ended, %d were recorded, %d are videos", many, found.Recorded, found.Videos)
	}
}

// TestDiskFull: the disk is full in the middle of a broadcast, and after its end.
// The node lives, says what is wrong, and makes up for it when there is room.
func TestDiskFull(t *testing.T) {
	onlyWhole(t)
	d := newDisk(t, 96)
	w := newWorld(t, store.Config{}, filepath.Join(d.mount, "data"), seed())
	first := w.broadcast(w.users[0], 2*time.Second)
	harness.Eventually(t, "the first video is valid", func() error { return w.isValid(0, first) })

	p, id := w.begin(w.users[1], 8*time.Second)
	time.Sleep(2 * time.Second)
	d.fill()
	w.end(p)
	w.mustRefuse(first)
	w.mustLog("no space left on device")
	time.Sleep(5 * time.Second) // everything has run into it by now
	if !w.node.Running() {
		t.Fatalf("the node ended:\n%s", tail(w.node.Log(), 30))
	}
	d.free()
	w.mustBeWell()
	w.mustLast(id, 7500*time.Millisecond)
	if last := w.broadcastAfter(2); w.duration(last) == 0 {
		t.Error("there is no video of a broadcast after it")
	}
}

// TestDataFolderTurnsReadOnly: the file system goes read-only under the node, as
// it does after an error of its device. The node lives and says so. Repaired and
// started again, it has lost nothing but what came after.
func TestDataFolderTurnsReadOnly(t *testing.T) {
	onlyWhole(t)
	d := newDisk(t, 96)
	w := newWorld(t, store.Config{}, filepath.Join(d.mount, "data"), seed())
	first := w.broadcast(w.users[0], 2*time.Second)
	harness.Eventually(t, "the first video is valid", func() error { return w.isValid(0, first) })

	p, id := w.begin(w.users[1], 8*time.Second)
	time.Sleep(5 * time.Second)
	d.abort()
	w.end(p)
	w.mustRefuse(first)
	w.mustLog("read-only file system")
	if !w.node.Running() {
		t.Fatalf("the node ended:\n%s", tail(w.node.Log(), 30))
	}
	if code := w.node.Stop(); code == 0 {
		t.Log("it stopped as if nothing was wrong") // it has nothing to write then
	}
	d.repair()
	w.start("")
	w.mustBeWell()
	w.mustLast(id, 2*time.Second)
}

// TestClockJumps: the clock of the wall goes an hour forward in the middle of a
// broadcast, and back again in the middle of the next.
func TestClockJumps(t *testing.T) {
	onlyWhole(t)
	w := newWorld(t, store.Config{}, "", seed())
	w.node.Kill()
	w.node.Use(harness.Build(t, "-overlay", jumpingClock(t), "-tags", "failpoints,clockjump"))
	// The second passing of the first broadcast, and of a later one.
	w.start("relay.published=jump:1h@3;relay.published=jump:-1h@40")
	var ids []string
	for i := range 6 {
		ids = append(ids, w.broadcast(w.users[i%len(w.users)], 3*time.Second))
	}
	w.mustBeWell()
	for _, id := range ids {
		w.mustLast(id, 2500*time.Millisecond)
	}
	if n := strings.Count(w.node.Log(), "the clock jumps by"); n != 2 {
		t.Errorf("the clock has jumped %d times", n)
	}
}

func (w *world) isValid(owner int, id string) error {
	var v harness.Video
	if err := w.owners[owner].Get("/api/video/"+id, &v); err != nil || v.Status != "valid" {
		return fmt.Errorf("%+v %w", v, err)
	}
	return nil
}

// broadcastAfter is one more broadcast on a node that has been looked at.
func (w *world) broadcastAfter(user int) string {
	w.t.Helper()
	w.start("")
	id := w.broadcast(w.users[user], time.Second)
	harness.Eventually(w.t, "the video is valid", func() error { return w.isValid(user, id) })
	return id
}

func onlyWhole(t *testing.T) {
	t.Helper()
	if !whole() {
		t.Skip("it takes long; `make crash` runs it")
	}
}

// jumpingClock writes what `go build -overlay` needs for a package time whose
// clock of the wall can jump, for one process alone. The clock that only goes
// forward does not, as when somebody sets the machine's clock.
func jumpingClock(t *testing.T) (overlay string) {
	t.Helper()
	source, err := goRoot()
	if err != nil {
		t.Fatal(err)
	}
	source = filepath.Join(source, "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for _, c := range []struct{ old, now string }{
		{"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec += jumped.Load()\n"},
		{"import (\n", "import (\n\t\"sync/atomic\"\n"},
	} {
		if strings.Count(changed, c.old) != 1 {
			t.Fatalf("%s is not as this test knows it: it should have once %q", source, c.old)
		}
		changed = strings.Replace(changed, c.old, c.now, 1)
	}
	changed += "\nvar jumped atomic.Int64 // s\n\n// Jump sets the clock of the wall.\nfunc Jump(d Duration) { jumped.Add(int64(d / Second)) }\n"
	replaced := filepath.Join(t.TempDir(), "time.go")
	overlay = filepath.Join(t.TempDir(), "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: replaced}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{replaced: changed, overlay: string(list)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
