package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	password     = "pw12345678"
)

// node is the program, serving on a data folder of its own.
type node struct {
	dir, http, https, rtmp string // a folder and addresses
	binary                 string
	cmd                    *exec.Cmd
	exited                 chan struct{}
	log                    *os.File
}

// broadcaster is somebody with a channel.
type broadcaster struct {
	email, channel, key string
}

// startNode starts the program without sidecars and returns when it is ready.
func startNode(ctx context.Context, b *bench) (*node, error) {
	dir, err := os.MkdirTemp(b.dir, "node-")
	if err != nil {
		return nil, err
	}
	n := &node{dir: filepath.Join(dir, "data"), binary: b.binary, exited: make(chan struct{})}
	udp, err := freeUDP()
	for _, address := range []*string{&n.http, &n.https, &n.rtmp} {
		if err == nil {
			*address, err = freeTCP()
		}
	}
	if err != nil {
		return nil, err
	}
	if n.log, err = os.CreateTemp(b.logs, "node-*.log"); err != nil {
		return nil, err
	}
	n.cmd = exec.CommandContext(ctx, b.binary, "serve", "--data-dir", n.dir, "--http", n.http, "--https", n.https, "--rtmp", n.rtmp,
		"--webrtc-udp", udp, "--streaming-ffmpeg", filepath.Join(dir, "no-ffmpeg"))
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	go func() {
		_ = n.cmd.Wait()
		close(n.exited)
	}()
	if err := n.ready(ctx); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if status, _, _ := get(ctx, http.DefaultClient, n.url("/readyz")); status == http.StatusOK {
			return nil
		}
		select {
		case <-n.exited:
			words, _ := os.ReadFile(n.log.Name())
			return fmt.Errorf("the server ended at its start:\n%s", words)
		default:
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("the server does not get ready: %w", err)
		}
	}
}

// stop ends the program and removes its folder.
func (n *node) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case <-n.exited:
	case <-t.C:
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
	return errors.Join(n.log.Close(), os.RemoveAll(filepath.Dir(n.dir)))
}

func (n *node) pid() int { return n.cmd.Process.Pid }

func (n *node) url(path string) string { return "http://" + n.http + path }

// cpu is what the node takes for a time, in percent of a core.
func (n *node) cpu(ctx context.Context, window time.Duration) (float64, error) {
	return cpuOver(ctx, n.pid(), window)
}

// add makes a broadcaster.
func (n *node) add(ctx context.Context, i int) (broadcaster, error) {
	b := broadcaster{email: fmt.Sprintf("load%d@example.com", i)}
	cmd := exec.CommandContext(ctx, n.binary, "user", "add", "--data-dir", n.dir, "--email", b.email, "--password-stdin", "--json",
		"--role", "broadcaster")
	cmd.Stdin = strings.NewReader(password)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return b, fmt.Errorf("adding a user: %w: %s", err, words.Bytes())
	}
	var made struct {
		Channel struct{ ID, StreamKey string }
	}
	err = json.Unmarshal(out, &made)
	b.channel, b.key = made.Channel.ID, made.Channel.StreamKey
	return b, err
}

// counter reads the sum of a metric over its labels.
func (n *node) counter(ctx context.Context, name string) (float64, error) {
	_, body, err := get(ctx, http.DefaultClient, n.url("/metrics"))
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(body)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &value); err != nil {
			return 0, err
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("/metrics has no %s", name)
	}
	return sum, nil
}

// maxAnswer bounds what a client reads: a segment of 4 s at 20 Mbit/s.
const maxAnswer = 10 << 20

// get reads an answer whole.
func get(ctx context.Context, client *http.Client, url string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}

// getOK is get for what must be there.
func getOK(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	status, body, err := get(ctx, client, url)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", url, status, body)
	}
	return body, err
}

func freeTCP() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func freeUDP() (string, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), c.Close()
}
