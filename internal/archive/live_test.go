package archive_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/archive"
	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
)

// counting is a bus that knows how many listen to it.
type counting struct {
	*bus.Bus
	hearing atomic.Int32
}

func (c *counting) SubscribeEvents(fn func(e event.Envelope)) (func(), error) {
	return c.counted(c.Bus.SubscribeEvents(fn))
}

func (c *counting) SubscribeLive(subject string, fn func(subject string, data []byte)) (func(), error) {
	return c.counted(c.Bus.SubscribeLive(subject, fn))
}

func (c *counting) counted(stop func(), err error) (func(), error) {
	if err != nil {
		return nil, err
	}
	c.hearing.Add(1)
	return func() { stop(); c.hearing.Add(-1) }, nil
}

// liveRig is the live view behind a real gateway, on a real bus.
type liveRig struct {
	t     *testing.T
	bus   *counting
	live  *archive.Live
	http  *httptest.Server
	roles atomic.Pointer[identity.Roles]
}

func newLiveRig(t *testing.T, change ...func(*archive.LiveConfig)) *liveRig {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := &liveRig{t: t, bus: &counting{Bus: b}}
	r.roles.Store(&identity.Roles{identity.Admin})
	authenticate := func(context.Context, *http.Request) (identity.Principal, bool, error) {
		roles := *r.roles.Load()
		return identity.Principal{ID: "root", Roles: roles}, roles != nil, nil
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg := archive.LiveConfig{Bus: r.bus, Authenticate: authenticate, Fail: gateway.Fail, Logger: log}
	for _, f := range change {
		f(&cfg)
	}
	if r.live, err = archive.NewLive(cfg); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Logger: log, Authenticate: authenticate})
	if err != nil {
		t.Fatal(err)
	}
	r.live.Routes(g.Mux())
	r.http = httptest.NewServer(g.Handler())
	t.Cleanup(func() { r.live.Close(); r.http.Close() })
	return r
}

// page is an admin's open page.
type page struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

func (r *liveRig) open(query url.Values) *page {
	r.t.Helper()
	response, err := r.http.Client().Get(r.http.URL + "/events/live?" + query.Encode())
	if err != nil {
		r.t.Fatal(err)
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	p := &page{r.t, bufio.NewScanner(response.Body), sync.OnceFunc(func() { _ = response.Body.Close() })}
	p.lines.Buffer(nil, 1<<20)
	r.t.Cleanup(p.close)
	if name, _ := p.next(); name != "listening" {
		r.t.Fatalf("it begins with %q", name)
	}
	return p
}

// next returns the next message; "" is the end of the stream.
func (p *page) next() (name, data string) {
	for p.lines.Scan() {
		line := p.lines.Text()
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			data = text
		}
		if line == "" && name != "" {
			return name, data
		}
	}
	return "", ""
}

func (r *liveRig) publish(events ...event.Envelope) {
	r.t.Helper()
	for _, e := range events {
		if err := r.bus.Publish(r.t.Context(), e); err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestEventsAreSeenAsTheyPass(t *testing.T) {
	r := newLiveRig(t)
	if n := r.bus.hearing.Load(); n != 0 {
		t.Fatalf("%d subscriptions while nobody looks", n)
	}
	all := r.open(nil)
	streams := r.open(url.Values{"source": {event.SourceStreaming}, "type": {"Stream State Change"}, "about": {"st-2"}})
	many := r.open(url.Values{"pattern": {`{"detail":{"view_count":[{"numeric":[">",10]}]}}`}})
	if n := r.bus.hearing.Load(); n != 2 {
		t.Errorf("%d subscriptions for all pages", n)
	}
	answer := event.PluginComplete{Plugin: "p", TaskToken: "brave-otter", Message: json.RawMessage("{\n\"a\": 1}")}
	r.publish(at(hour(), "a", started("st-1")), at(hour(), "b", started("st-2")), at(hour(), "c", views("st-2", 3)), at(hour(), "d", views("st-2", 30)), at(hour(), "e", answer))
	if err := r.bus.PublishLive("rt.delivery.ru-1", []byte("{\"id\":\n\"msg_1\"}")); err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]struct {
		page *page
		want string
	}{"all": {all, "abcde"}, "of a stream": {streams, "b"}, "by pattern": {many, "d"}} {
		got, delivered := "", false
		for !delivered || len(got) < len(p.want) { // they come on two subscriptions, in any order
			name, data := p.page.next()
			if name == "delivery" {
				if data != `{"id":"msg_1"}` {
					t.Errorf("%s: a delivery %s", what, data)
				}
				delivered = true
				continue
			}
			var v archive.EventView
			if err := json.Unmarshal([]byte(data), &v); err != nil || name != "event" {
				t.Fatalf("%s: %s %s: %v", what, name, data, err)
			}
			if strings.Contains(data, "brave-otter") {
				t.Errorf("a token is shown: %s", data)
			}
			got += v.ID
		}
		if got != p.want {
			t.Errorf("%s: %s, want %s", what, got, p.want)
		}
	}
	for _, p := range []*page{all, streams, many} {
		p.close()
	}
	eventually(t, func() bool { return r.bus.hearing.Load() == 0 })
	r.open(nil)
	if n := r.bus.hearing.Load(); n != 2 {
		t.Errorf("%d subscriptions after somebody came back", n)
	}
}

func TestWhoMayLook(t *testing.T) {
	r := newLiveRig(t)
	for _, c := range []struct {
		roles identity.Roles
		query string
		code  int
	}{
		{nil, "", 401}, {identity.Roles{identity.Developer, identity.Broadcaster}, "", 403},
		{identity.Roles{identity.Admin}, "?pattern=" + url.QueryEscape(`{"a":1}`), 400},
	} {
		r.roles.Store(&c.roles)
		response, err := r.http.Client().Get(r.http.URL + "/events/live" + c.query)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.code || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v %s: %d %s", c.roles, c.query, response.StatusCode, response.Header.Get("Content-Type"))
		}
	}
}

func TestTooManyLook(t *testing.T) {
	r := newLiveRig(t, func(c *archive.LiveConfig) { c.MaxViewers = 2 })
	first := r.open(nil)
	r.open(nil)
	status := func() int {
		response, err := r.http.Client().Get(r.http.URL + "/events/live")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if code := status(); code != 503 {
		t.Errorf("the third: %d", code)
	}
	first.close()
	eventually(t, func() bool { return status() == 200 })
}

// One whose session ends, or that is an admin no more, sees no more.
func TestSessionsEnd(t *testing.T) {
	r := newLiveRig(t, func(c *archive.LiveConfig) { c.SessionCheck = 5 * time.Millisecond })
	for _, left := range []identity.Roles{nil, {identity.Viewer}} {
		r.roles.Store(&identity.Roles{identity.Admin})
		p := r.open(nil)
		r.roles.Store(&left)
		if name, _ := p.next(); name != "" {
			t.Errorf("%v: it went on with %s", left, name)
		}
	}
}

// A page that does not read is cut, and holds up nobody.
func TestSlowPagesAreCut(t *testing.T) {
	r := newLiveRig(t, func(c *archive.LiveConfig) { c.MaxQueue, c.WriteDeadline = 8, time.Hour })
	r.open(nil) // and read no more
	long := strings.Repeat("x", 100_000)
	eventually(t, func() bool {
		r.publish(event.New(event.PluginComplete{Plugin: "p", Message: json.RawMessage(fmt.Sprintf("%q", long))}))
		return r.bus.hearing.Load() == 0
	})
}

func TestCloseSendsPagesAway(t *testing.T) {
	r := newLiveRig(t)
	p := r.open(nil)
	r.live.Close()
	if name, _ := p.next(); name != "" {
		t.Errorf("it went on with %s", name)
	}
	if n := r.bus.hearing.Load(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
	response, err := r.http.Client().Get(r.http.URL + "/events/live")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 503 {
		t.Errorf("after the end: %d", response.StatusCode)
	}
}

func TestHeartbeat(t *testing.T) {
	r := newLiveRig(t, func(c *archive.LiveConfig) { c.Heartbeat = 5 * time.Millisecond })
	p := r.open(nil)
	for p.lines.Scan() {
		if p.lines.Text() == ": still here" {
			return
		}
	}
	t.Error("no heartbeat")
}

func TestLiveNeeds(t *testing.T) {
	if _, err := archive.NewLive(archive.LiveConfig{}); err == nil {
		t.Error("no error")
	}
}
