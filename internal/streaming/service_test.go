package streaming_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/rtc"
	"github.com/serverlessvideo/serverlessvideo/internal/streaming/streamtest"
)

const (
	patience = 20 * time.Second
	channel  = "user-1"
	key      = "sk-1"
)

// channels are those of the tests: the channel service has its own tests.
type channels struct {
	mu     sync.Mutex
	epochs map[string]int64
	keys   map[string]string // key to channel
}

func newChannels() *channels {
	return &channels{epochs: map[string]int64{}, keys: map[string]string{key: channel, "sk-2": "user-2"}}
}

func (c *channels) ChannelByKey(_ context.Context, k string) (string, string, error) {
	if id, ok := c.keys[k]; ok {
		return id, "brave-otter", nil
	}
	return "", "", errs.New(errs.NotFound, "no such key")
}

func (c *channels) Channel(_ context.Context, id string) (string, error) {
	for _, known := range c.keys {
		if known == id {
			return "brave-otter", nil
		}
	}
	return "", errs.Newf(errs.NotFound, "there is no channel %q", id)
}

func (c *channels) MayBroadcast(context.Context, string) error { return nil }

func (c *channels) OwnerGone(context.Context, *store.Tx, string) (bool, error) { return false, nil }

func (c *channels) RaiseEpoch(_ context.Context, _ *store.Tx, id string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epochs[id]++
	return c.epochs[id], nil
}

// library is a catalogue that a test fills.
type library struct {
	mu     sync.Mutex
	videos map[string]access
}

type access struct {
	prefix  string
	private bool
	err     error
}

func (l *library) Known(_ context.Context, id string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.videos[id]
	return ok, nil
}

func (l *library) MediaAccess(_ context.Context, id string) (string, string, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.videos[id]
	return channel, a.prefix, a.private, a.err
}

type bus struct {
	mu     sync.Mutex
	events []event.Envelope
	live   func(subject string, data []byte)
}

func (b *bus) Publish(_ context.Context, e event.Envelope) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return nil
}

func (b *bus) SubscribeLive(_ string, fn func(string, []byte)) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = fn
	return func() {}, nil
}

// node is the service behind an HTTP server.
type node struct {
	t       testing.TB
	dir     string
	db      *store.DB
	objects blob.Store
	library *library
	bus     *bus
	service *streaming.Service
	url     string
	signed  *identity.Principal // who is signed in, by cookie elsewhere
	stop    func()
}

func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := map[errs.Code]int{
		errs.Invalid: 400, errs.Unauthenticated: 401, errs.Forbidden: 403, errs.NotFound: 404,
		errs.Conflict: 409, errs.Unsupported: 422, errs.TooMany: 429, errs.Unavailable: 503,
	}[errs.CodeOf(err)]
	if status == 0 {
		status = 500
	}
	http.Error(w, err.Error(), status)
}

func logger() *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	return slog.New(slog.DiscardHandler)
}

// startNode starts a node in a folder. Config needs no addresses.
func startNode(t testing.TB, dir string, cfg streaming.Config) *node {
	t.Helper()
	n, err := openNode(dir, cfg, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.t = t
	t.Cleanup(n.stop)
	return n
}

func openNode(dir string, cfg streaming.Config, udp string) (*node, error) {
	n := &node{dir: dir, library: &library{videos: map[string]access{}}, bus: &bus{}}
	var err error
	if n.db, err = store.Open(context.Background(), store.Config{Path: filepath.Join(dir, "app.db")}); err != nil {
		return nil, err
	}
	if n.objects, err = blob.NewFiles(filepath.Join(dir, "objects")); err != nil {
		return nil, err
	}
	cfg.Node = "node-1"
	cfg.Network = rtc.Network{UDP: udp}
	n.service, err = streaming.New(cfg, streaming.Needs{
		DB: n.db, Objects: n.objects, Channels: newChannels(), Library: n.library, Bus: n.bus,
		Fail: fail, Metrics: prometheus.NewRegistry(), Log: logger(),
	})
	if err != nil {
		return nil, err
	}
	if err := n.service.Start(context.Background()); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	n.service.Routes(mux)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.signed != nil {
			r = r.WithContext(identity.With(r.Context(), *n.signed))
		}
		mux.ServeHTTP(w, r)
	}))
	n.url = server.URL
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			err := n.service.Shutdown(ctx)
			server.CloseClientConnections()
			server.Close()
			if err = errors.Join(err, n.db.Close()); err != nil && n.t != nil {
				n.t.Error(err)
			}
		})
	}
	return n, nil
}

func (n *node) whip() string { return n.url + "/whip/" + channel }

// publish begins to publish; the test may end it, else its end does.
func (n *node) publish(o streamtest.Options) *streamtest.Publisher {
	n.t.Helper()
	p, err := streamtest.Publish(context.Background(), n.whip(), key, o)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = p.Close() })
	return p
}

func (n *node) stopPublisher(p *streamtest.Publisher) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		n.t.Fatal(err)
	}
}

// get fetches a path and returns status, header and body.
func (n *node) get(path string, headers ...string) (int, http.Header, []byte) {
	n.t.Helper()
	req, err := http.NewRequest(http.MethodGet, n.url+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func (n *node) mustGet(path string) []byte {
	n.t.Helper()
	status, _, body := n.get(path)
	if status != http.StatusOK {
		n.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	return body
}

// liveID waits for the live stream and returns its id.
func (n *node) liveID() string {
	n.t.Helper()
	var id string
	eventually(n.t, "a live stream", func() bool {
		for _, l := range n.service.Live() {
			id = l.StreamID
		}
		return id != ""
	})
	return id
}

// waitEnded waits until the stream's events are all in the outbox.
func (n *node) waitEnded(id string) { n.waitState(id, "ended") }

// waitState waits for a state of the stream's row.
func (n *node) waitState(id, state string) {
	n.t.Helper()
	eventually(n.t, id+" is "+state, func() bool {
		var got string
		if err := n.db.Read().QueryRow("SELECT state FROM streams WHERE id = $1", id).Scan(&got); err != nil {
			n.t.Fatal(err)
		}
		return got == state
	})
}

// said lists what was said of a stream, in order, by the outbox's rows.
func (n *node) said(id string) []string {
	n.t.Helper()
	var names []string
	for _, e := range n.outbox() {
		var d struct {
			EventName string `json:"event_name"`
			Status    string `json:"recording_status"`
			StreamID  string `json:"stream_id"`
		}
		if err := e.Decode(&d); err != nil {
			n.t.Fatal(err)
		}
		if d.StreamID == id {
			names = append(names, d.EventName+d.Status)
		}
	}
	return names
}

func (n *node) outbox() []event.Envelope {
	n.t.Helper()
	rows, err := n.db.Read().Query("SELECT body FROM outbox ORDER BY seq")
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var events []event.Envelope
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			n.t.Fatal(err)
		}
		var e event.Envelope
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			n.t.Fatal(err)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		n.t.Fatal(err)
	}
	return events
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// run runs a program and returns what it printed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// clips are made once for all tests of the package.
type clips struct {
	once                   sync.Once
	small, large, flashing *streamtest.Clip
	err                    error
}

var made clips

func material(t testing.TB) *clips {
	t.Helper()
	made.once.Do(func() {
		for _, c := range []struct {
			to      **streamtest.Clip
			picture streamtest.Picture
			seconds int
		}{
			{&made.small, streamtest.Picture{Width: 320, Height: 180}, 2},
			{&made.large, streamtest.Picture{Width: 640, Height: 360}, 2},
			{&made.flashing, streamtest.Picture{Width: 320, Height: 180, Flash: true}, 4},
		} {
			clip, err := streamtest.MakeClip(context.Background(), c.picture, c.seconds)
			*c.to = clip
			made.err = errors.Join(made.err, err)
		}
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
	return &made
}

func copyBody(to io.Writer, resp *http.Response) (int64, error) {
	return io.Copy(to, io.LimitReader(resp.Body, 1<<20))
}

// decode plays a path of the node with ffmpeg, which must find nothing wrong.
// It uses the stream's own time base: frames that a busy machine sent late may
// be nearer to each other than the 1/30 s that ffmpeg would round them to.
func (n *node) decode(path string) {
	n.t.Helper()
	if out := run(n.t, "ffmpeg", "-v", "error", "-i", n.url+path, "-enc_time_base", "-1", "-f", "null", "-"); out != "" {
		n.t.Errorf("ffmpeg on %s: %s", path, out)
	}
}
