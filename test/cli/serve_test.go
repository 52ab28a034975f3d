package cli_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/localca"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtmp/rtmptest"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// logs waits until the node has printed what the pattern matches. It is ready
// before it has said everything.
func logs(t *testing.T, n *harness.Node, pattern string) {
	t.Helper()
	expr := regexp.MustCompile(pattern)
	harness.Eventually(t, "the node prints "+pattern, func() error {
		if !expr.MatchString(n.Log()) {
			return errors.New("not yet")
		}
		return nil
	})
}

func TestCleanStop(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			n := harness.Start(t)
			n.Signal(signal)
			if code := n.WaitExit(); code != 0 {
				t.Errorf("exit code %d:\n%s", code, n.Log())
			}
			if _, err := os.Stat(filepath.Join(n.Dir, "admin.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("admin.json is still there: %v", err)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	n := harness.Start(t)
	// Both signals wait for the halted process, so that the second comes while
	// the first is being obeyed.
	n.Signal(syscall.SIGSTOP)
	n.Signal(syscall.SIGTERM)
	n.Signal(syscall.SIGINT)
	n.Signal(syscall.SIGCONT)
	if code := n.WaitExit(); code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, n.Log())
	}
	n.Start() // it finds its folder in order
	if code := n.Stop(); code != 0 {
		t.Errorf("after the restart: exit code %d", code)
	}
}

func TestPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packets.Close() }()
	tcp, udp, free := listener.Addr().String(), packets.LocalAddr().String(), "127.0.0.1:0"
	tests := []struct {
		flag, addr string
		args       []string
	}{
		{"http", tcp, []string{"--http", tcp, "--webrtc-udp", free}},
		{"https", tcp, []string{"--http", free, "--https", tcp, "--webrtc-udp", free}},
		{"webrtc-udp", udp, []string{"--http", free, "--webrtc-udp", udp}},
		{"webrtc-tcp", tcp, []string{"--http", free, "--webrtc-udp", free, "--webrtc-tcp", tcp}},
		{"bus-listen", tcp, []string{"--http", free, "--webrtc-udp", free, "--bus-listen", tcp}},
	}
	for _, tt := range tests {
		t.Run(tt.flag, func(t *testing.T) {
			r := run(t, nil, "", append([]string{"serve", "--data-dir", filepath.Join(t.TempDir(), "d")}, tt.args...)...)
			if r.code != 1 || !strings.Contains(r.stderr, tt.addr) || !strings.Contains(r.stderr, "in use") ||
				strings.HasPrefix(tt.flag, "webrtc") && !strings.Contains(r.stderr, "--"+tt.flag) {
				t.Errorf("exit code %d, want 1 and an error that says that %s is in use:\n%s", r.code, tt.addr, r.stderr)
			}
		})
	}
}

// Even in a folder that others may read, nobody else can read what the node wrote.
func TestFilesArePrivate(t *testing.T) {
	n := harness.New(t)
	if err := os.MkdirAll(n.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n.Start()
	entries, err := os.ReadDir(n.Dir)
	if err != nil || len(entries) < 5 {
		t.Fatalf("the folder has %v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may use %s: %s", e.Name(), info.Mode())
		}
	}
}

func TestFolderInUse(t *testing.T) {
	n := harness.Start(t)
	r := run(t, nil, "", "serve", "--data-dir", n.Dir, "--http", "127.0.0.1:0", "--webrtc-udp", "127.0.0.1:0")
	if r.code != 1 || !strings.Contains(r.stderr, n.Dir) || !strings.Contains(r.stderr, "another") {
		t.Errorf("a second node on the folder: exit code %d\n%s", r.code, r.stderr)
	}
	if got := channels(t, n.Dir); len(got) != 0 { // the first one is unharmed
		t.Errorf("channels: %v", got)
	}
}

// nobody returns a command that runs as somebody who cannot write everywhere,
// and a folder that this user may read.
func nobody(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "serverlessvideo-nobody-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "serverlessvideo")
	data, err := os.ReadFile(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return cmd, dir
}

func TestFolderNotWritable(t *testing.T) {
	for _, name := range []string{"serve", "channel list"} {
		t.Run(name, func(t *testing.T) {
			cmd, dir := nobody(t, append(strings.Fields(name), "--data-dir", "locked/data")...)
			locked := filepath.Join(dir, "locked")
			if err := os.Mkdir(locked, 0o555); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			for _, want := range []string{filepath.Join(locked, "data"), "cannot be written", "--data-dir"} {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("the error does not say %q: %s", want, stderr.String())
				}
			}
		})
	}
}

// TestRTMPPorts: RTMP and RTMPS listen, and say so of a key that is none.
func TestRTMPPorts(t *testing.T) {
	plain, secure := harness.FreeAddress(t), harness.FreeAddress(t)
	n := harness.Start(t, "--rtmp", plain, "--rtmps", secure)
	logs(t, n, `listening.*for=rtmp `)
	logs(t, n, `listening.*for=rtmps `)
	for url, config := range map[string]*tls.Config{
		"rtmp://" + plain + "/live/sk_none":   nil,
		"rtmps://" + secure + "/live/sk_none": {InsecureSkipVerify: true}, // the node's own authority
	} {
		client, err := rtmptest.Dial(t.Context(), url, config)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if err := client.Publish(); err == nil || !strings.Contains(err.Error(), "stream key") {
			t.Errorf("%s: %v", url, err)
		}
		_ = client.Close()
	}
}

func TestHTTPSForPhones(t *testing.T) {
	_, port, _ := net.SplitHostPort(harness.FreeAddress(t))
	addr := "127.0.0.1:" + port
	n := harness.Start(t, "--https", ":"+port)
	if localca.LANAddr().IsValid() {
		logs(t, n, `https://[0-9a-f.:\[\]]+:`+port+`/broadcast`)
		logs(t, n, `[█▀▄]{20}`) // the QR code
	}
	resp, err := http.Get(n.URL + "/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("/ca.crt is no certificate: %v %q", err, ca)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err = (&http.Client{Transport: transport}).Get("https://" + addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("/readyz over HTTPS: %s %s", resp.Proto, resp.Status)
	}
	info, err := os.Stat(filepath.Join(n.Dir, "tls", "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v %v", info, err)
	}
}

func TestSettingsFile(t *testing.T) {
	level := file(t, "log_format: json\n")
	n := harness.Start(t, "--config", level)
	logs(t, n, `(?m)^{"time":.*"level":"INFO"`)
}
