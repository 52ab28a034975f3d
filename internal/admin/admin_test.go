package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeOps remembers users in memory, so that the wire can be tested alone.
type fakeOps struct {
	users          []NewUser
	simulation     Simulation
	closed         bool
	checking, gone chan struct{}
}

func (f *fakeOps) AddUser(_ context.Context, u NewUser) (User, error) {
	for _, have := range f.users {
		if have.Email == u.Email {
			return User{}, errs.New(errs.Conflict, "there is a user "+u.Email)
		}
	}
	f.users = append(f.users, u)
	return User{ID: "u1", Email: u.Email, Roles: u.Roles, Channel: &ChannelKey{ID: "u1", StreamKey: "k"}}, nil
}

func (f *fakeOps) ListChannels(context.Context) ([]Channel, error) {
	return []Channel{{ID: "u1", Username: "brave-fox", Live: true}}, nil
}

func (f *fakeOps) RotateKey(_ context.Context, id string) (ChannelKey, error) {
	if id != "u1" {
		return ChannelKey{}, errs.Newf(errs.NotFound, "there is no channel %q", id)
	}
	return ChannelKey{ID: id, StreamKey: "new"}, nil
}

func (f *fakeOps) StartSimulation(_ context.Context, n NewSimulation) (Simulation, error) {
	f.simulation = Simulation{ID: "sim-1", State: "running", Asked: n.Last, AtOnce: n.AtOnce, Keep: n.Keep, Skipped: []string{"p"}, Videos: []SimulationVideo{{ID: "sim-1-1", Step: "mp4"}}}
	return f.simulation, nil
}

func (f *fakeOps) FollowSimulation(_ context.Context, id string) (Simulation, error) {
	if id != f.simulation.ID {
		return Simulation{}, errs.Newf(errs.NotFound, "there is no simulation %q", id)
	}
	return f.simulation, nil
}

func (f *fakeOps) StopSimulation(ctx context.Context, id string) (Simulation, error) {
	f.simulation.State = "removing"
	return f.FollowSimulation(ctx, id)
}

func (f *fakeOps) Check(ctx context.Context, r CheckRequest, progress func(string)) (CheckReport, error) {
	progress("looking")
	if r.Grace == time.Hour { // of TestLongWorkEndsWithItsCommand and TestLongWorkEndsWithTheNode
		close(f.checking)
		<-ctx.Done()
		close(f.gone)
		return CheckReport{}, ctx.Err()
	}
	return CheckReport{Objects: 3, Findings: []Finding{{Kind: "orphan-rows", Video: "st-1", Repaired: r.Repair}}, Left: 1}, nil
}

func (f *fakeOps) RebuildHistory(_ context.Context, r RebuildRequest, _ func(string)) (RebuildReport, error) {
	if r.Video == "st-9" {
		return RebuildReport{}, errs.New(errs.NotFound, "the archive knows nothing of st-9")
	}
	return RebuildReport{Events: 7, Videos: 1, Oldest: r.From}, nil
}

func (f *fakeOps) Close() error { f.closed = true; return nil }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// running starts a node's side on dir: lock and server.
func running(t *testing.T, dir string, ops Operations) {
	t.Helper()
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Serve(dir, ops, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	})
}

func noOffline(t *testing.T) func(context.Context) (Offline, error) {
	return func(context.Context) (Offline, error) {
		t.Error("worked on the folder though a node runs on it")
		return nil, errors.New("not here")
	}
}

func exercise(t *testing.T, ops Operations) {
	t.Helper()
	ctx := context.Background()
	u := NewUser{Email: "a@example.com", Password: "pw12345678", Roles: identity.Roles{identity.Broadcaster}}
	got, err := ops.AddUser(ctx, u)
	if err != nil || got.ID != "u1" || got.Channel == nil || got.Channel.StreamKey != "k" || !got.Roles.Has(identity.Broadcaster) {
		t.Errorf("AddUser: %+v, %v", got, err)
	}
	if _, err := ops.AddUser(ctx, u); errs.CodeOf(err) != errs.Conflict || !strings.Contains(err.Error(), "there is a user a@example.com") {
		t.Errorf("AddUser twice: %v", err)
	}
	list, err := ops.ListChannels(ctx)
	if err != nil || len(list) != 1 || list[0] != (Channel{ID: "u1", Username: "brave-fox", Live: true}) {
		t.Errorf("ListChannels: %+v, %v", list, err)
	}
	if key, err := ops.RotateKey(ctx, "u1"); err != nil || key.StreamKey != "new" {
		t.Errorf("RotateKey: %+v, %v", key, err)
	}
	exerciseLong(t, ops)
	if _, err := ops.RotateKey(ctx, "u2"); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("RotateKey of a stranger: %v", err)
	}
	run, err := ops.StartSimulation(ctx, NewSimulation{Last: 3, AtOnce: 2, Keep: true})
	if err != nil || run.Asked != 3 || run.AtOnce != 2 || !run.Keep || len(run.Videos) != 1 || run.Videos[0].Step != "mp4" {
		t.Errorf("StartSimulation: %+v, %v", run, err)
	}
	if got, err := ops.StopSimulation(ctx, run.ID); err != nil || got.State != "removing" {
		t.Errorf("StopSimulation: %+v, %v", got, err)
	}
	if _, err := ops.FollowSimulation(ctx, "sim-2"); errs.CodeOf(err) != errs.NotFound {
		t.Errorf("FollowSimulation of none: %v", err)
	}
}

// What only a running node can do makes nothing where none runs.
func TestOnRunning(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	never := func(Operations) error { t.Error("ran without a node"); return nil }
	if err := OnRunning(t.Context(), missing, never); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	dir := t.TempDir()
	if err := OnRunning(t.Context(), dir, never); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a folder at rest: %v", err)
	}
	running(t, dir, &fakeOps{})
	ran := false
	err := OnRunning(t.Context(), dir, func(ops Operations) error {
		ran = true
		exercise(t, ops)
		return nil
	})
	if err != nil || !ran {
		t.Errorf("a running node: %v, %v", ran, err)
	}
}

func TestRunningNode(t *testing.T) {
	dir, node := t.TempDir(), &fakeOps{}
	running(t, dir, node)
	err := With(context.Background(), dir, noOffline(t), func(ops Operations) error {
		exercise(t, ops)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(node.users) != 1 || node.users[0].Password != "pw12345678" {
		t.Errorf("the node has %+v", node.users)
	}
	info, err := os.Stat(filepath.Join(dir, "admin.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin.json: %v, %v", info, err)
	}
}

func TestFolderAtRest(t *testing.T) {
	dir, rest := filepath.Join(t.TempDir(), "new", "folder"), &fakeOps{}
	err := With(context.Background(), dir, func(context.Context) (Offline, error) {
		if _, err := Acquire(dir); !errors.Is(err, ErrLocked) {
			t.Errorf("the folder is not locked meanwhile: %v", err)
		}
		return rest, nil
	}, func(ops Operations) error {
		exercise(t, ops)
		return nil
	})
	if err != nil || !rest.closed {
		t.Errorf("error %v, closed %v", err, rest.closed)
	}
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal("the lock was not given back:", err)
	}
	_ = lock.Release()
}

func TestErrorsOfTheWorkComeBack(t *testing.T) {
	want := errors.New("no")
	rest := &fakeOps{}
	err := With(context.Background(), t.TempDir(), func(context.Context) (Offline, error) { return rest, nil },
		func(Operations) error { return want })
	if !errors.Is(err, want) || !rest.closed {
		t.Errorf("error %v, closed %v", err, rest.closed)
	}
	err = With(context.Background(), t.TempDir(), func(context.Context) (Offline, error) { return nil, want },
		func(Operations) error { t.Error("ran"); return nil })
	if !errors.Is(err, want) {
		t.Errorf("error of open: %v", err)
	}
}

// A node was killed and left admin.json: the free lock decides.
func TestStaleAddressAtRest(t *testing.T) {
	dir := t.TempDir()
	if err := (address{Address: "127.0.0.1:1", Token: "old"}).write(dir); err != nil {
		t.Fatal(err)
	}
	rest := &fakeOps{}
	err := With(context.Background(), dir, func(context.Context) (Offline, error) { return rest, nil },
		func(ops Operations) error { exercise(t, ops); return nil })
	if err != nil || len(rest.users) != 1 {
		t.Errorf("error %v, users %v", err, rest.users)
	}
	if _, err := os.Stat(addressPath(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale admin.json is still there: %v", err)
	}
}

// A node has the lock but does not listen yet.
func TestWaitsForAStartingNode(t *testing.T) {
	dir := t.TempDir()
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}()
	node, asked := &fakeOps{}, make(chan error, 1)
	go func() {
		asked <- With(context.Background(), dir, noOffline(t), func(ops Operations) error {
			exercise(t, ops)
			return nil
		})
	}()
	select {
	case err := <-asked:
		t.Fatal("did not wait:", err)
	case <-time.After(4 * retry):
	}
	s, err := Serve(dir, node, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A node is stopping: it does not listen any more, then gives the lock back.
func TestWaitsForAStoppingNode(t *testing.T) {
	dir := t.TempDir()
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	rest, asked := &fakeOps{}, make(chan error, 1)
	go func() {
		asked <- With(context.Background(), dir, func(context.Context) (Offline, error) { return rest, nil },
			func(ops Operations) error { exercise(t, ops); return nil })
	}()
	time.Sleep(2 * retry)
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-asked; err != nil || len(rest.users) != 1 {
		t.Errorf("error %v, users %v", err, rest.users)
	}
}

func TestGivesUp(t *testing.T) {
	dir := t.TempDir()
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}()
	// Somebody else listens at the address that a killed node left.
	other := t.TempDir()
	running(t, other, &fakeOps{})
	at, err := readAddress(other)
	if err != nil {
		t.Fatal(err)
	}
	at.Token = "old"
	if err := at.write(dir); err != nil {
		t.Fatal(err)
	}
	err = with(context.Background(), dir, 3*retry, noOffline(t), func(Operations) error { t.Error("ran"); return nil })
	if errs.CodeOf(err) != errs.Unavailable || !strings.Contains(err.Error(), "does not know the token") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := With(ctx, dir, noOffline(t), func(Operations) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUnusableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := Acquire(dir)
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data-dir") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestServerRefuses(t *testing.T) {
	dir := t.TempDir()
	running(t, dir, &fakeOps{})
	at, err := readAddress(dir)
	if err != nil {
		t.Fatal(err)
	}
	right := "Bearer " + at.Token
	big, _ := json.Marshal(NewUser{Email: strings.Repeat("a", maxRequest)})
	tests := []struct {
		name, method, path, auth string
		body                     []byte
		want                     int
	}{
		{"no token", "POST", "/channel/list", "", []byte("{}"), http.StatusUnauthorized},
		{"wrong token", "POST", "/channel/list", right + "x", []byte("{}"), http.StatusUnauthorized},
		{"no token, unknown path", "GET", "/", "", nil, http.StatusUnauthorized},
		{"unknown path", "POST", "/user/delete", right, []byte("{}"), http.StatusNotFound},
		{"wrong method", "GET", "/user/add", right, nil, http.StatusMethodNotAllowed},
		{"not JSON", "POST", "/user/add", right, []byte("email=a"), http.StatusBadRequest},
		{"unknown field", "POST", "/user/add", right, []byte(`{"mail":"a"}`), http.StatusBadRequest},
		{"too large", "POST", "/user/add", right, big, http.StatusBadRequest},
		{"profile without the token", "GET", "/debug/pprof/heap", "", nil, http.StatusUnauthorized},
		{"no such profile", "GET", "/debug/pprof/money", right, nil, http.StatusNotFound},
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+at.Address+tt.path, bytes.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", tt.auth)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.want {
				t.Errorf("got %d %s, want %d", resp.StatusCode, body, tt.want)
			}
		})
	}
}

// Who runs the node can see where its time and memory go.
func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	running(t, dir, &fakeOps{})
	c, err := connect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for path, begins := range map[string]string{
		"/debug/pprof/heap":              "\x1f\x8b", // gzip
		"/debug/pprof/profile?seconds=1": "\x1f\x8b",
		"/debug/pprof/trace?seconds=0.1": "go 1.",
		"/debug/pprof/goroutine?debug=1": "goroutine profile:",
		"/debug/pprof/symbol":            "num_symbols:",
	} {
		resp, err := c.send(t.Context(), c.http, http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(begins)) {
			t.Errorf("%s: %d, %v, %d bytes: %.40q", path, resp.StatusCode, err, len(body), body)
		}
	}
}

func TestTokenIsFreshPerStart(t *testing.T) {
	dir, seen := t.TempDir(), map[string]bool{}
	for range 2 {
		s, err := Serve(dir, &fakeOps{}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		at, err := readAddress(dir)
		if err != nil {
			t.Fatal(err)
		}
		seen[at.Token] = true
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(addressPath(dir)); !errors.Is(err, os.ErrNotExist) {
			t.Error("admin.json outlives the server")
		}
	}
	if len(seen) != 2 {
		t.Error("two starts had the same token")
	}
}
