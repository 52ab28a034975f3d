package scenario

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// simulation is a node with one recording, whose ffmpeg can be held up so that a
// simulation stays in the middle of its work.
type simulation struct {
	*harness.Node
	t        *testing.T
	plugin   *patient
	owner    harness.User
	original string
	admin    *harness.Client
	hold     string // ffmpeg waits while there is this file
}

// run is a simulation as the API and the command show it.
type run struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Ending string `json:"ending"`
	Total  int    `json:"total"`
	Counts struct {
		Valid  int `json:"valid"`
		Failed int `json:"failed"`
	} `json:"counts"`
	Measures struct {
		Processing struct{ P50, P95 int64 } `json:"processing"`
		Lifecycle  struct{ Count int }      `json:"lifecycle"`
		PerMinute  float64                  `json:"perMinute"`
	} `json:"measures"`
	Skipped []string `json:"skipped"`
}

func startSimulation(t *testing.T) *simulation {
	t.Helper()
	n, plugin := startPatient(t)
	close(plugin.answer) // it is as quick as others here
	s := &simulation{Node: n, t: t, plugin: plugin}
	s.hold, _ = gatedFFmpeg(t, n)
	n.Start()
	s.owner = n.AddUser("simulated@example.com", "broadcaster")
	s.admin = n.SignIn(n.AddUser("root@example.com", "admin"))
	p := publish(t, n, s.owner, 12*time.Second)
	s.original = liveStream(t, n, s.owner)
	stop(t, p)
	n.SignIn(s.owner).WaitVideo(s.original, "valid")
	return s
}

// command is `simulate`, running.
type command struct {
	*exec.Cmd
	out, errOut bytes.Buffer
	done        chan struct{}
}

func (s *simulation) command(args ...string) *command {
	s.t.Helper()
	c := &command{done: make(chan struct{})}
	c.Cmd = exec.Command(harness.Binary(s.t), append([]string{"simulate", "--data-dir", s.Dir}, args...)...)
	c.Stdout, c.Stderr = &c.out, &c.errOut
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(c.done) }()
	s.t.Cleanup(func() { _ = c.Process.Kill(); <-c.done })
	return c
}

// exit waits for the end of the command and returns its exit code.
func (c *command) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(harness.Patience):
		t.Fatalf("the command does not end: %s%s", &c.out, &c.errOut)
	}
	return c.ProcessState.ExitCode()
}

func (s *simulation) setHold(on bool) {
	s.t.Helper()
	err := os.Remove(s.hold)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if on {
		err = os.WriteFile(s.hold, nil, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// inTheMiddle waits until the newest simulation has a video whose MP4 is made,
// and returns both ids.
func (s *simulation) inTheMiddle() (id, video string) {
	s.t.Helper()
	harness.Eventually(s.t, "a simulated video is in work", func() error {
		var runs harness.List[run]
		if err := s.admin.Get("/api/simulations", &runs); err != nil {
			return err
		}
		if runs.Count == 0 || runs.Data[0].State != "running" {
			return fmt.Errorf("%+v", runs)
		}
		id = runs.Data[0].ID
		var videos harness.List[struct{ ID, State, Step string }]
		if err := s.admin.Get("/api/simulations/"+id+"/videos", &videos); err != nil {
			return err
		}
		if videos.Count != 1 || videos.Data[0].Step != "storyboard" {
			return fmt.Errorf("%+v", videos)
		}
		video = videos.Data[0].ID
		return nil
	})
	return id, video
}

// removed waits until a run has been removed, and returns it.
func (s *simulation) removed(id string) run {
	s.t.Helper()
	var r run
	harness.Eventually(s.t, "the simulation is removed", func() error {
		err := s.admin.Get("/api/simulations/"+id, &r)
		if err == nil && r.State != "removed" {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	return r
}

// objects returns the node's objects with their sizes.
func (s *simulation) objects() map[string]int64 {
	s.t.Helper()
	all := map[string]int64{}
	root := filepath.Join(s.Dir, "objects")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			all[strings.TrimPrefix(path, root)] = info.Size()
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// nothingLeft holds that no row and no file tells of a simulated video.
func (s *simulation) nothingLeft() {
	s.t.Helper()
	for _, in := range []struct{ db, table, column string }{
		{"app.db", "videos", "id"}, {"app.db", "video_words", "video_id"}, {"app.db", "postprocess_jobs", "id"},
		{"app.db", "plugin_lifecycles", "video_id"}, {"app.db", "plugin_tasks", "video_id"}, {"app.db", "plugin_answers", "flow_id"},
		{"app.db", "history_videos", "id"}, {"app.db", "history_facts", "video_id"}, {"app.db", "history_tasks", "video_id"},
		{"flow.db", "workflow_status", "workflow_uuid"}, {"flow.db", "operation_outputs", "workflow_uuid"},
	} {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, in.db)+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			s.t.Fatal(err)
		}
		var total, left int
		err = db.QueryRow(fmt.Sprintf(`SELECT count(*), count(CASE WHEN %[1]s LIKE '%%sim-%%' THEN 1 END) FROM %[2]s`, in.column, in.table)).Scan(&total, &left)
		_ = db.Close()
		if err != nil || left > 0 || total == 0 && in.table != "history_tasks" {
			s.t.Errorf("%s: %d of %d rows are left of simulations, %v", in.table, left, total, err)
		}
	}
	for _, folder := range []string{"objects", "work"} {
		_ = filepath.WalkDir(filepath.Join(s.Dir, folder), func(path string, _ fs.DirEntry, _ error) error {
			if strings.Contains(filepath.Base(path), "sim-") {
				s.t.Errorf("%s is left", path)
			}
			return nil
		})
	}
}

// TestSimulation: a past recording is replayed; admins alone can see it, nothing
// comes of it, and afterwards it has never been.
func TestSimulation(t *testing.T) {
	t.Parallel()
	s := startSimulation(t)
	before, asked := s.objects(), s.plugin.runs.Load()
	owner, all := s.SignIn(s.owner), s.Anonymous()
	pages := listenAs(t, s.Node, owner.HTTP(), "serverlessVideo-global,serverlessVideo-user-"+s.owner.ID)

	s.setHold(true)
	c := s.command("--last", "5", "--json")
	id, video := s.inTheMiddle()
	if !strings.HasPrefix(id, "sim-") || !strings.HasPrefix(video, id) {
		t.Errorf("the ids are %s and %s", id, video)
	}
	for who, client := range map[string]*harness.Client{"a visitor": all, "the owner": owner} {
		for _, path := range []string{
			"/api/video/" + video, "/api/video/" + video + "/history", "/vod/" + video + "/master.m3u8", "/vod/" + video + "/video.mp4",
		} {
			if status, body := client.Do(http.MethodGet, path, nil); status != http.StatusNotFound {
				t.Errorf("%s for %s: %d %s, want 404", path, who, status, body)
			}
		}
		for path, want := range map[string]int{"/api/videos": 1, "/api/videos?q=" + s.username(): 1, "/api/channel/" + s.owner.ID + "/videos": 1} {
			var list harness.List[harness.Video]
			if err := client.Get(path, &list); err != nil || list.Count != want {
				t.Errorf("%s for %s: %+v, %v", path, who, list, err)
			}
		}
	}
	for _, path := range []string{"/api/channel/videos", "/api/channel/videos?q=" + s.username()} {
		var list harness.List[harness.Video]
		if err := owner.Get(path, &list); err != nil || list.Count != 1 || list.Data[0].ID != s.original {
			t.Errorf("%s: %+v, %v", path, list, err)
		}
	}
	for path, method := range map[string]string{"/api/video/" + video: http.MethodDelete, "/api/video/" + video + "/processing": http.MethodGet} {
		if status, _ := owner.Do(method, path, nil); status != http.StatusNotFound {
			t.Errorf("%s %s by the owner: %d, want 404", method, path, status)
		}
	}
	if status, _ := owner.Do(http.MethodGet, "/api/simulations", nil); status != http.StatusForbidden {
		t.Errorf("the simulations for the owner: %d, want 403", status)
	}
	if status, _ := all.Do(http.MethodGet, "/api/simulations", nil); status != http.StatusUnauthorized {
		t.Errorf("the simulations for a visitor: %d, want 401", status)
	}
	for _, path := range []string{"/api/video/" + video, "/api/video/" + video + "/history", "/vod/" + video + "/master.m3u8", "/vod/" + video + "/video.mp4"} {
		if status, body := s.admin.Do(http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("%s for the admin: %d %s", path, status, body)
		}
	}
	if status, _ := s.admin.Do(http.MethodPost, "/api/simulations", map[string]int{"last": 1}); status != http.StatusConflict {
		t.Errorf("a second one at a time: %d, want 409", status)
	}

	s.setHold(false)
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d: %s", code, &c.errOut)
	}
	var r run
	if err := json.Unmarshal(c.out.Bytes(), &r); err != nil || r.ID != id || r.State != "removed" || r.Ending != "finished" || r.Total != 1 ||
		r.Counts.Valid != 1 || r.Measures.Processing.P50 <= 0 || r.Measures.Lifecycle.Count != 1 || r.Measures.PerMinute <= 0 ||
		len(r.Skipped) != 1 || r.Skipped[0] != patientName {
		t.Errorf("the command says %s, %v", &c.out, err)
	}
	s.nothingLeft()
	if after := s.objects(); !maps.Equal(after, before) {
		t.Errorf("the objects were\n%v\nand are\n%v", before, after)
	}
	if s.plugin.runs.Load() != asked {
		t.Error("a plugin with effects was asked")
	}
	if status, _ := s.admin.Do(http.MethodGet, "/api/video/"+video, nil); status != http.StatusNotFound {
		t.Errorf("the simulated video is still there: %d", status)
	}
	plays(t, s.URL+"/vod/"+s.original+"/master.m3u8")
	plays(t, s.URL+"/vod/"+s.original+"/video.mp4")
	// The pages hear, but of the simulation they have heard nothing.
	if status, body := owner.Do(http.MethodPatch, "/api/video/"+s.original, map[string]string{"title": "Real"}); status != http.StatusOK {
		t.Errorf("changing the title: %d %s", status, body)
	}
	pages.wait(t, "SSE", "VideoStatusUpdated:valid")
	if n := pages.count(""); n != 1 {
		t.Errorf("the pages were told %v", pages.all)
	}

	// Again, for people: with progress and a summary.
	c = s.command()
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"of 1 recording, 4 at once", "#1 ", "valid in ", "removing"} {
		if !strings.Contains(c.errOut.String(), want) {
			t.Errorf("the progress does not tell %q:\n%s", want, &c.errOut)
		}
	}
	for _, want := range []string{"1 valid", "processing", "p95", "throughput", "plugins not asked", "removed"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("the summary does not tell %q:\n%s", want, &c.out)
		}
	}
	s.nothingLeft()
}

func (s *simulation) username() string {
	s.t.Helper()
	var v harness.Video
	if err := s.Anonymous().Get("/api/video/"+s.original, &v); err != nil {
		s.t.Fatal(err)
	}
	return v.Author.Username
}

// TestSimulationIsInterrupted: whoever dies in the middle, nothing of it stays.
func TestSimulationIsInterrupted(t *testing.T) {
	t.Parallel()
	s := startSimulation(t)
	before := s.objects()
	for _, tt := range []struct {
		name, ending string
		exit         int
		interrupt    func(c *command)
	}{
		{"the command by Ctrl-C", "stopped", 1, func(c *command) { _ = c.Process.Signal(syscall.SIGINT) }},
		{"the command by kill -9", "abandoned", -1, func(c *command) { _ = c.Process.Kill() }},
		{"the node by kill -9", "abandoned", 1, func(*command) { s.Kill() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.setHold(true)
			c := s.command("--last", "1")
			id, video := s.inTheMiddle()
			tt.interrupt(c)
			if code := c.exit(t); code != tt.exit {
				t.Errorf("exit code %d, want %d: %s%s", code, tt.exit, &c.out, &c.errOut)
			}
			if tt.name == "the node by kill -9" {
				s.Start()
			}
			if r := s.removed(id); r.Ending != tt.ending {
				t.Errorf("it ended as %q, want %q", r.Ending, tt.ending)
			}
			s.nothingLeft()
			if after := s.objects(); !maps.Equal(after, before) {
				t.Errorf("the objects were\n%v\nand are\n%v", before, after)
			}
			if status, _ := s.admin.Do(http.MethodGet, "/api/video/"+video, nil); status != http.StatusNotFound {
				t.Errorf("the simulated video is still there: %d", status)
			}
			s.setHold(false)
		})
	}
	plays(t, s.URL+"/vod/"+s.original+"/master.m3u8")
	plays(t, s.URL+"/vod/"+s.original+"/video.mp4")

	// On a node that does not run there is nothing to replay with.
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	c := s.command()
	if code := c.exit(t); code != 1 || !strings.Contains(c.errOut.String(), "no node runs") {
		t.Errorf("at rest: %d %s", code, &c.errOut)
	}
}
