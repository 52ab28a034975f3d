// Package cli_test runs the real program as an operator does and looks at what
// it prints and how it ends.
package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// result is how a run of the program ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program to its end with the given environment variables added.
func run(t *testing.T, env []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = t.TempDir() // a forgotten --data-dir must not leave ./data here
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v did not end:\n%s", args, stderr.String())
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongUsage(t *testing.T) {
	add := func(more ...string) []string { return append([]string{"user", "add"}, more...) }
	tests := []struct {
		name  string
		env   []string
		args  []string
		stdin string
		says  []string
	}{
		{name: "no command", says: []string{"serve"}},
		{name: "unknown command", args: []string{"server"}, says: []string{"server", "serve"}},
		{name: "unknown flag", args: []string{"serve", "--htp", ":1"}, says: []string{"--htp", "--http"}},
		{name: "unknown variable", env: []string{"SERVERLESSVIDEO_HTPP=:1"}, args: []string{"serve"}, says: []string{"SERVERLESSVIDEO_HTPP", "SERVERLESSVIDEO_HTTP?"}},
		{name: "unknown variable for a command", env: []string{"SERVERLESSVIDEO_X_Y_Z=1"}, args: []string{"channel", "list"}, says: []string{"SERVERLESSVIDEO_X_Y_Z"}},
		{name: "unknown key", args: []string{"serve", "--config", file(t, "http: :1\nauth:\n  signup: open\n")}, says: []string{"node.yaml:3", "auth.signup", "auth.sign_up"}},
		{name: "no such file", args: []string{"serve", "--config", "/nowhere.yaml"}, says: []string{"/nowhere.yaml"}},
		{name: "wrong value", args: []string{"serve", "--http", "8080"}, says: []string{"http", "host:port"}},
		{name: "wrong value in the environment", env: []string{"SERVERLESSVIDEO_LOG_LEVEL=loud"}, args: []string{"serve"}, says: []string{"log_level", "debug, info, warn, error"}},
		{name: "of a later version", args: []string{"serve", "--bus-url", "nats://x"}, says: []string{"bus.url", "later version"}},
		{name: "no PostgreSQL", args: []string{"serve", "--database-url", "mysql://u:hidden@x/y"}, says: []string{"database.url", "postgres://"}},
		{name: "no e-mail address", args: add("--password-stdin", "--role", "viewer"), says: []string{"--email"}},
		{name: "no role", args: add("--password-stdin", "--email", "a@example.com"), says: []string{"--role"}},
		{name: "unknown role", args: add("--password-stdin", "--email", "a@example.com", "--role", "boss"), says: []string{"boss", "broadcaster"}},
		{name: "password not from standard input", args: add("--email", "a@example.com", "--role", "viewer"), says: []string{"--password-stdin"}},
		{name: "no password", args: add("--password-stdin", "--email", "a@example.com", "--role", "viewer"), says: []string{"no password"}},
		{name: "nothing to simulate", args: []string{"simulate", "--last", "0"}, says: []string{"--last", "1 to 1000"}},
		{name: "too much at once", args: []string{"simulate", "--at-once", "1001"}, says: []string{"--at-once", "1 to 1000"}},
		{name: "no time", args: []string{"history", "rebuild", "--from", "yesterday"}, says: []string{"--from", "yesterday"}},
		{name: "no channel", args: []string{"channel", "rotate-key"}, says: []string{"<id>"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tt.env, tt.stdin, tt.args...)
			if r.code != 2 {
				t.Errorf("exit code %d, want 2", r.code)
			}
			for _, want := range tt.says {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("stderr does not say %q:\n%s", want, r.stderr)
				}
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	if r := run(t, nil, "", "version"); r.code != 0 || !strings.HasPrefix(r.stdout, "serverlessvideo ") || !strings.Contains(r.stdout, "\ncommit ") || !strings.Contains(r.stdout, "\ngo1.") {
		t.Errorf("version: %+v", r)
	}
	r := run(t, nil, "", "serve", "--help")
	for _, want := range []string{"--data-dir", "--webrtc-udp", "$SERVERLESSVIDEO_BUS_LISTEN"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("help: exit code %d, %q is missing:\n%s", r.code, want, r.stdout)
		}
	}
}

// channels returns what `channel list --json` prints.
func channels(t *testing.T, dir string) map[string]bool {
	t.Helper()
	r := run(t, nil, "", "channel", "list", "--data-dir", dir, "--json")
	var list []struct {
		ID       string `json:"id"`
		Username string `json:"username"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.code != 0 {
		t.Fatalf("channel list: %v %+v", err, r)
	}
	ids := map[string]bool{}
	for _, c := range list {
		if c.Username == "" {
			t.Errorf("channel %s has no username", c.ID)
		}
		ids[c.ID] = true
	}
	if len(ids) != len(list) {
		t.Errorf("a channel is there twice: %s", r.stdout)
	}
	return ids
}

// operate runs every operator's command on the node's folder.
func operate(t *testing.T, n *harness.Node, name string) {
	t.Helper()
	before := channels(t, n.Dir)
	broadcaster := n.AddUser(name+"@example.com", "broadcaster", "developer")
	if broadcaster.Channel.ID == "" || broadcaster.Channel.StreamKey == "" || len(broadcaster.Roles) != 2 {
		t.Errorf("user add printed %+v", broadcaster)
	}
	if viewer := n.AddUser(name+"-viewer@example.com", "viewer"); viewer.ID == "" || viewer.Channel.ID != "" {
		t.Errorf("user add of a viewer printed %+v", viewer)
	}
	after := channels(t, n.Dir)
	if len(after) != len(before)+1 || !after[broadcaster.Channel.ID] {
		t.Errorf("channels before %v, after %v", before, after)
	}

	again := run(t, nil, "pw12345678", "user", "add", "--data-dir", n.Dir, "--email", name+"@example.com", "--password-stdin", "--role", "viewer")
	if again.code != 1 || again.stderr == "" {
		t.Errorf("the same address twice: %+v", again)
	}
	short := run(t, nil, "pw", "user", "add", "--data-dir", n.Dir, "--email", name+"2@example.com", "--password-stdin", "--role", "viewer")
	if short.code != 1 || short.stderr == "" {
		t.Errorf("a short password: %+v", short)
	}

	rotated := run(t, nil, "", "channel", "rotate-key", broadcaster.Channel.ID, "--data-dir", n.Dir, "--json")
	var key struct {
		ID        string `json:"id"`
		StreamKey string `json:"streamKey"`
	}
	if err := json.Unmarshal([]byte(rotated.stdout), &key); err != nil || rotated.code != 0 {
		t.Fatalf("rotate-key: %v %+v", err, rotated)
	}
	if key.ID != broadcaster.Channel.ID || key.StreamKey == "" || key.StreamKey == broadcaster.Channel.StreamKey {
		t.Errorf("rotate-key printed %+v, the key was %s", key, broadcaster.Channel.StreamKey)
	}
	if r := run(t, nil, "", "channel", "rotate-key", "nobody", "--data-dir", n.Dir); r.code != 1 || r.stderr == "" {
		t.Errorf("rotate-key of nobody: %+v", r)
	}
}

func TestCommandsOnStoppedThenRunningThenKilledNode(t *testing.T) {
	n := harness.New(t)
	operate(t, n, "stopped")
	n.Start()
	operate(t, n, "running")
	n.Kill()
	// The killed node left admin.json, which says where nobody listens now.
	if _, err := os.Stat(filepath.Join(n.Dir, "admin.json")); err != nil {
		t.Fatal(err)
	}
	operate(t, n, "killed")
	if got := len(channels(t, n.Dir)); got != 3 {
		t.Errorf("%d channels, want 3", got)
	}
	n.Start()
	if got := len(channels(t, n.Dir)); got != 3 {
		t.Errorf("after the restart %d channels, want 3", got)
	}
	// Who was made while the node was stopped can sign in.
	n.SignIn(harness.User{Email: "killed@example.com", Password: "pw12345678"})
}

// check looks into a folder as it is, and mends it on request.
func TestCheck(t *testing.T) {
	n := harness.New(t)
	for _, state := range []string{"stopped", "running", "killed"} {
		look := func(more ...string) result {
			return run(t, nil, "", append([]string{"check", "--data-dir", n.Dir, "--grace", "1ms"}, more...)...)
		}
		if r := look(); r.code != 0 || !strings.Contains(r.stdout, "0 findings") {
			t.Errorf("%s: a check of what is well: %+v", state, r)
		}
		stray := filepath.Join(n.Dir, "objects", "videos", "st-nobodys", "video.mp4")
		if err := os.MkdirAll(filepath.Dir(stray), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(stray, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := look(); r.code != 1 || !strings.Contains(r.stdout, "videos/st-nobodys/") || !strings.Contains(r.stdout, "would delete the objects") || r.stderr == "" {
			t.Errorf("%s: %+v", state, r)
		}
		if r := look("--grace", "1h"); r.code != 0 {
			t.Errorf("%s: what is young counts: %+v", state, r)
		}
		var report struct {
			Objects  int
			Findings []struct {
				Kind, Video string
				Bytes       int64
				Repaired    bool
			}
		}
		r := look("--repair", "--json")
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != 0 || report.Objects != 1 || len(report.Findings) != 1 ||
			report.Findings[0].Kind != "orphan-objects" || report.Findings[0].Video != "st-nobodys" || report.Findings[0].Bytes != 5 || !report.Findings[0].Repaired {
			t.Errorf("%s: %v %+v", state, err, r)
		}
		if _, err := os.Stat(stray); err == nil {
			t.Errorf("%s: it is still there", state)
		}
		switch state {
		case "stopped":
			n.Start()
		case "running":
			n.Kill()
		}
	}
	if r := run(t, nil, "", "check", "--grace", "0s", "--data-dir", n.Dir); r.code != 2 {
		t.Errorf("no grace: %+v", r)
	}
}

// Settings of a command on a stopped node come from file and environment too.
func TestCommandReadsTheNodesSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "elsewhere")
	config := file(t, "data_dir: "+dir+"\n")
	for _, env := range [][]string{{"SERVERLESSVIDEO_CONFIG=" + config}, {"SERVERLESSVIDEO_DATA_DIR=" + dir}} {
		if r := run(t, env, "", "channel", "list"); r.code != 0 {
			t.Errorf("%v: %+v", env, r)
		}
		if _, err := os.Stat(filepath.Join(dir, "app.db")); err != nil {
			t.Errorf("%v: %v", env, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
