package publisher_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a publisher on a real bus behind a real HTTP server.
type rig struct {
	*publisher.Service
	bus      *bus.Bus
	server   *httptest.Server
	sessions *sessions
	videos   *videos
}

// videos are those that are not public.
type videos struct {
	mu     sync.Mutex
	hidden map[string]error // why: nil, or that it cannot be told
}

func (v *videos) hide(id string, why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hidden[id] = why
}

// Public says whether a video is not hidden.
func (v *videos) Public(_ context.Context, id string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	why, hidden := v.hidden[id]
	return !hidden, why
}

// sessions are who is signed in with which cookie.
type sessions struct {
	mu   sync.Mutex
	user map[string]string
}

func (s *sessions) set(cookie, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user[cookie] = user
}

func (s *sessions) authenticate(_ context.Context, r *http.Request) (identity.Principal, bool, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return identity.Principal{}, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	user := s.user[c.Value]
	return identity.Principal{ID: user}, user != "", nil
}

func start(t testing.TB, change func(*publisher.Config)) *rig {
	t.Helper()
	b, err := bus.Open(context.Background(), bus.Config{Dir: t.TempDir(), MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := &rig{bus: b, videos: &videos{hidden: map[string]error{}}, sessions: &sessions{user: map[string]string{"cookie-of-ann": "ann", "cookie-of-bob": "bob"}}}
	cfg := publisher.Config{
		Bus: b, Videos: r.videos, PublicURL: "https://video.example.com", Authenticate: r.sessions.authenticate,
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			status := map[errs.Code]int{errs.Invalid: 400, errs.Forbidden: 403, errs.TooMany: 429, errs.Unavailable: 503}[errs.CodeOf(err)]
			http.Error(w, errs.MessageOf(err), status)
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	if r.Service, err = publisher.New(cfg); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	r.Routes(mux)
	// As the gateway does: the user is in the context.
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if who, ok, _ := r.sessions.authenticate(q.Context(), q); ok {
			q = q.WithContext(identity.With(q.Context(), who))
		}
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(func() {
		r.Close()
		r.server.Close()
	})
	return r
}

// say says events as they come out of the outbox. Most of these are not whole:
// who is told what does not depend on the rest.
func (r *rig) say(t testing.TB, details ...event.Detail) {
	t.Helper()
	for _, d := range details {
		if err := r.bus.Relay(context.Background(), event.New(d)); err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func (r *rig) wsURL() string { return "ws" + strings.TrimPrefix(r.server.URL, "http") + "/mqtt" }

// received is a message as a page sees it.
type received struct {
	topic string
	Type  string         `json:"type"`
	Body  map[string]any `json:"detail"`
}

func receive(topic string, payload []byte) received {
	m := received{topic: topic}
	if err := json.Unmarshal(payload, &m); err != nil {
		m.Type = fmt.Sprintf("not a message: %s", payload)
	}
	return m
}

// next waits for a message.
func next(t testing.TB, from <-chan received) received {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return received{}
	}
}

func nothing(t testing.TB, from <-chan received) {
	t.Helper()
	select {
	case m := <-from:
		t.Errorf("got %+v, want nothing", m)
	case <-time.After(100 * time.Millisecond):
	}
}

// options are of a paho client that does not come back.
func (r *rig) options(cookie string) *paho.ClientOptions {
	header := http.Header{}
	if cookie != "" {
		header.Set("Cookie", "session="+cookie)
	}
	return paho.NewClientOptions().AddBroker(r.wsURL()).SetHTTPHeaders(header).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(5 * time.Second)
}

func connect(t testing.TB, o *paho.ClientOptions) paho.Client {
	t.Helper()
	c := paho.NewClient(o)
	if err := wait(c.Connect()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func wait(token paho.Token) error {
	if !token.WaitTimeout(5 * time.Second) {
		return errors.New("no answer in 5 s")
	}
	return token.Error()
}

func subscribe(t testing.TB, c paho.Client, topics ...string) <-chan received {
	t.Helper()
	got := make(chan received, 2000)
	for _, topic := range topics {
		if err := wait(c.Subscribe(topic, 0, func(_ paho.Client, m paho.Message) { got <- receive(m.Topic(), m.Payload()) })); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// get opens a stream of server-sent events.
func (r *rig) get(t testing.TB, topics, cookie string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.server.URL+"/events?topics="+topics, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: "session", Value: cookie})
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// listen reads a stream's events and comments until it ends.
func listen(t testing.TB, res *http.Response) (events <-chan received, comments <-chan string) {
	t.Helper()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %s, type %s", res.Status, res.Header.Get("Content-Type"))
	}
	got, said := make(chan received, 2000), make(chan string, 2000)
	ready := make(chan struct{})
	go func() {
		defer close(got)
		defer close(said)
		lines := bufio.NewScanner(res.Body)
		var topic string
		for once := false; lines.Scan(); {
			line := lines.Text()
			switch {
			case strings.HasPrefix(line, ": "):
				if !once {
					once = true
					close(ready)
				}
				said <- line
			case strings.HasPrefix(line, "event: "):
				topic = strings.TrimPrefix(line, "event: ")
			case strings.HasPrefix(line, "data: "):
				got <- receive(topic, []byte(strings.TrimPrefix(line, "data: ")))
			}
		}
	}()
	<-ready
	return got, said
}
