package rules_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway/apitest"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestMain(m *testing.M) {
	child() // when this is the process that is to be killed
	goleak.VerifyTestMain(m)
}

const secret = "a secret of the node, 32 bytes long"

// rig is the rules on a database, with an admin's client of their API.
type rig struct {
	*rules.Service
	t     *testing.T
	api   *apitest.Client // nobody
	admin *apitest.Client
	log   *safeBuffer
	stop  func()

	registry *prometheus.Registry
}

// videos are those that are deleted.
type videos struct{ deleted sync.Map }

func (v *videos) Deleted(_ context.Context, videoID string) (bool, error) {
	_, deleted := v.deleted.Load(videoID)
	return deleted, nil
}

// quick is a configuration whose retries come at once and that may reach the
// test's receivers.
func quick(db *store.DB) rules.Config {
	return rules.Config{
		DB: db, Videos: &videos{}, Secret: []byte(secret), Node: "node-1", Plugins: &asked{}, Tagger: &tags{},
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		RetryFirst:    time.Millisecond, RetryMax: 20 * time.Millisecond, Poll: 10 * time.Millisecond,
	}
}

func newRig(t *testing.T, cfg rules.Config) *rig {
	t.Helper()
	r := &rig{t: t, log: &safeBuffer{}}
	cfg.Logger = r.logger()
	r.registry = prometheus.NewRegistry()
	cfg.Metrics = r.registry
	var err error
	if r.Service, err = rules.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.api = apitest.New(t, func(g *gateway.Gateway) { r.Register(g.API()) })
	r.admin = r.api.As(identity.Principal{ID: "root", Roles: identity.Roles{identity.Admin}})
	return r
}

// start runs the worker until the end of the test or stop.
func (r *rig) start() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	r.t.Cleanup(r.stop)
	return r
}

// hear gives events to the consumers, as the bus does.
func (r *rig) hear(events ...event.Envelope) {
	r.t.Helper()
	for _, e := range events {
		for _, c := range r.Consumers() {
			if !c.Filters[0].Match(e) {
				continue
			}
			if err := c.Handle(r.t.Context(), e); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func started(stream string) event.Envelope {
	return event.New(event.StreamStateChange{EventName: event.StreamStart, ChannelName: "c1", StreamID: stream})
}

const allStreams = `{"source":["serverlessVideo.streaming"]}`

// webhook makes a rule with a webhook.
func (r *rig) webhook(name, url string, tries int) rules.RuleView {
	r.t.Helper()
	var v rules.RuleView
	r.admin.Post("/api/rules", rules.RuleInput{
		Name: name, Enabled: true, Pattern: allStreams, Target: rules.RuleTarget{Type: "webhook", URL: url}, MaxTries: tries,
	}).Want(201).JSON(&v)
	if v.Secret == "" {
		r.t.Fatal("the rule has no secret")
	}
	return v
}

func (r *rig) deliveries(rule, state string) []rules.DeliveryView {
	r.t.Helper()
	var list store.List[rules.DeliveryView]
	query := "?limit=100"
	if state != "" {
		query += "&state=" + state
	}
	r.admin.Get("/api/rules/" + rule + "/deliveries" + query).Want(200).JSON(&list)
	return list.Data
}

// await waits until so many of a rule's deliveries are in a state.
func (r *rig) await(rule, state string, n int) []rules.DeliveryView {
	r.t.Helper()
	var got []rules.DeliveryView
	eventually(r.t, func() bool { got = r.deliveries(rule, state); return len(got) == n })
	return got
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// receiver is the other end of a webhook. It holds signatures against the
// secrets that it is told, and answers what answer says.
type receiver struct {
	*httptest.Server
	t      *testing.T
	answer func(n int, w http.ResponseWriter, r *http.Request) // of the nth request, from 1

	mu      sync.Mutex
	secrets []string
	got     []call
}

type call struct {
	id, body string
	signed   []bool // by each of the secrets
	header   http.Header
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rc := &receiver{t: t, answer: answer}
	rc.Server = httptest.NewServer(rc)
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) knows(secret string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.secrets = append(rc.secrets, secret)
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		rc.t.Error(err)
	}
	c := call{id: r.Header.Get("webhook-id"), body: string(body), header: r.Header.Clone()}
	rc.mu.Lock()
	for _, s := range rc.secrets {
		verifier, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			rc.t.Error(err)
		}
		c.signed = append(c.signed, verifier.Verify(body, r.Header) == nil)
	}
	rc.got = append(rc.got, c)
	n := len(rc.got)
	rc.mu.Unlock()
	if rc.answer != nil {
		rc.answer(n, w, r)
	}
}

func (rc *receiver) calls() []call {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return slices.Clone(rc.got)
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "the reason\nof it")
	}
}

func (r *rig) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r.log, nil)) }

// dbExec changes rows behind the service's back.
func dbExec(t *testing.T, db *store.DB, statement string) (n int64, err error) {
	t.Helper()
	err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		done, err := tx.ExecContext(ctx, statement)
		if err == nil {
			n, err = done.RowsAffected()
		}
		return err
	})
	return n, err
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) lines(having string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.b.String()) {
		if strings.Contains(line, having) {
			found = append(found, line)
		}
	}
	return found
}
