// Package harness starts the real program for scenario tests and talks to it as
// a user would: by its commands, over HTTP, and by signals.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for a state before it gives up.
const Patience = 60 * time.Second

// Node is the program, running as `serve` on a data folder of its own.
type Node struct {
	Dir string   // data folder; may be changed while the node does not run
	URL string   // of plain HTTP, without a slash at the end
	Env []string // added to the environment of the next start and of commands, as NAME=value

	t      testing.TB
	binary string // "": Binary, once it is needed
	args   []string
	cmd    *exec.Cmd
	exited chan struct{}
	log    *syncBuffer
}

// New returns a node that is not started yet. Arguments are added to those of
// `serve`; the listeners are on free loopback ports that stay over restarts.
func New(t testing.TB, args ...string) *Node {
	t.Helper()
	addr := FreeAddress(t)
	n := &Node{
		Dir: filepath.Join(t.TempDir(), "data"),
		URL: "http://" + addr,
		t:   t,
		log: &syncBuffer{},
	}
	n.args = append([]string{"--http", addr, "--webrtc-udp", "127.0.0.1:" + freeUDPPort(t)}, args...)
	t.Cleanup(func() {
		n.Kill()
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.Log())
		}
	})
	return n
}

// Use makes another build of the program run from the next start on.
func (n *Node) Use(binary string) { n.binary = binary }

// program is what runs. Without Use it is found, or built, only now.
func (n *Node) program() string {
	n.t.Helper()
	if n.binary == "" {
		n.binary = Binary(n.t)
	}
	return n.binary
}

// UseDatabase lets the node, and commands on its folder, work on a PostgreSQL
// database (storetest.PostgresURL makes one) instead of files.
func (n *Node) UseDatabase(url string) {
	n.Env = append(n.Env, "SERVERLESSVIDEO_DATABASE_URL="+url)
}

// Start is New and Start in one.
func Start(t testing.TB, args ...string) *Node {
	t.Helper()
	n := New(t, args...)
	n.Start()
	return n
}

// Start starts the program and waits until it is ready.
func (n *Node) Start() {
	n.t.Helper()
	n.Launch()
	Eventually(n.t, "the node is ready", func() error {
		select {
		case <-n.exited:
			n.t.Fatalf("the node ended at its start:\n%s", n.Log())
		default:
		}
		return n.Ready()
	})
}

// Launch starts the program and does not wait for it.
func (n *Node) Launch() {
	n.t.Helper()
	n.cmd = exec.Command(n.program(), append([]string{"serve", "--data-dir", n.Dir}, n.args...)...)
	n.cmd.Env = append(os.Environ(), n.Env...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(n.cmd, n.exited)
}

// Exited is closed when the program that was started last has ended.
func (n *Node) Exited() <-chan struct{} { return n.exited }

// Ready returns why the program cannot serve now, nil when it can.
func (n *Node) Ready() error {
	resp, err := http.Get(n.URL + "/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", resp.Status)
	}
	return nil
}

// Kill ends the program as a power cut would, if it runs.
func (n *Node) Kill() {
	if n.Running() {
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
}

// Stop asks the program to end and returns its exit code.
func (n *Node) Stop() int {
	n.t.Helper()
	n.Signal(syscall.SIGTERM)
	return n.WaitExit()
}

// Signal sends a signal to the program.
func (n *Node) Signal(s os.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// WaitExit waits for the end of the program and returns its exit code.
func (n *Node) WaitExit() int {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(Patience):
		n.t.Fatalf("the node does not end; its log:\n%s", n.Log())
	}
	return n.cmd.ProcessState.ExitCode()
}

// Running says whether the program runs.
func (n *Node) Running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// PID is the process id of the running program.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Log returns what the program has printed since New.
func (n *Node) Log() string { return n.log.String() }

// Command runs another command of the program and returns what it printed.
func (n *Node) Command(stdin string, args ...string) (stdout string, err error) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.program(), args...)
	cmd.Env = append(os.Environ(), n.Env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String(), nil
}

// User is what `user add` prints.
type User struct {
	ID       string   `json:"id"`
	Email    string   `json:"email"`
	Roles    []string `json:"roles"`
	Password string   `json:"-"`
	Channel  struct {
		ID        string `json:"id"`
		StreamKey string `json:"streamKey"`
	} `json:"channel"`
}

// AddUser makes a user by the command, on the node as it is, running or not.
func (n *Node) AddUser(email string, roles ...string) User {
	n.t.Helper()
	const password = "pw12345678"
	args := []string{"user", "add", "--data-dir", n.Dir, "--email", email, "--password-stdin", "--json"}
	for _, r := range roles {
		args = append(args, "--role", r)
	}
	out, err := n.Command(password, args...)
	if err != nil {
		n.t.Fatal(err)
	}
	var u User
	if err := json.Unmarshal([]byte(out), &u); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
	u.Password = password
	return u
}

// WHIP is the ingest address of a user's channel.
func (n *Node) WHIP(u User) string { return n.URL + "/whip/" + u.Channel.ID }

// Eventually waits until try returns nil.
func Eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// FreeAddress returns a loopback address whose TCP port nobody uses now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return free(t, func(addr string) (io.Closer, error) { return net.Listen("tcp", addr) })
}

func freeUDPPort(t testing.TB) string {
	t.Helper()
	addr := free(t, func(addr string) (io.Closer, error) { return net.ListenPacket("udp", addr) })
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// free looks for a loopback address that can be listened on. It is below the ports
// that systems give to connections, of which other tests make many: one could have
// it while the node is down between two starts.
func free(t testing.TB, listen func(addr string) (io.Closer, error)) string {
	t.Helper()
	var err error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(20_000))
		var l io.Closer
		if l, err = listen(addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatalf("no port is free: %v", err)
	return ""
}

// Binary returns the program: the one that TEST_BINARY names,
// which `make test` has built with the web app, else one built now.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("TEST_BINARY"); path != "" {
		return path
	}
	return Build(t)
}

var builds struct {
	mu    sync.Mutex
	paths map[string]string // by flags
}

// Build builds the program with flags of `go build`, once in a test process.
func Build(t testing.TB, flags ...string) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	key := strings.Join(flags, " ")
	if path := builds.paths[key]; path != "" {
		return path
	}
	dir, err := os.MkdirTemp("", "serverlessvideo-test-*")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "serverlessvideo")
	args := append(append([]string{"build"}, flags...), "-o", path, "github.com/serverlessvideo/serverlessvideo/cmd/serverlessvideo")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if builds.paths == nil {
		builds.paths = map[string]string{}
	}
	builds.paths[key] = path
	return path
}

// RemoveBuilds removes what Build has made. It is for TestMain, which knows that
// nobody needs it any more.
func RemoveBuilds() {
	builds.mu.Lock()
	defer builds.mu.Unlock()
	for key, path := range builds.paths {
		_ = os.RemoveAll(filepath.Dir(path))
		delete(builds.paths, key)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var _ io.Writer = (*syncBuffer)(nil)
