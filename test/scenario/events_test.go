package scenario

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/event/eventtest"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// TestEventsOfALife hears all events of a life through a rule's webhook, from
// the account to the deletion: every one keeps its schema, and the examples in
// docs/events.md are what is said. `make examples` makes them of this.
func TestEventsOfALife(t *testing.T) {
	t.Parallel()
	manifest := filepath.Join(t.TempDir(), "plugin.json")
	silent := `{"name":"silent_plugin","description":"Never answers.","eventHook":"postMetadata","time_limit":1}`
	if err := os.WriteFile(manifest, []byte(silent), 0o600); err != nil {
		t.Fatal(err)
	}
	n := harness.New(t, "--rules-allow-networks", "127.0.0.1/32")
	// For commands, too: their configuration is held to the same rules.
	n.Env = append(n.Env, "SERVERLESSVIDEO_PLUGINS="+manifest+"=nobody-connects-with-this", "SERVERLESSVIDEO_BUS_LISTEN="+harness.FreeAddress(t))
	n.Start()
	ear := listenWebhook(t, n)

	u := n.AddUser("ann@example.com", "broadcaster")
	p := publish(t, n, u, 18*time.Second)
	id := liveStream(t, n, u)
	ear.wait(t, "Recording-State-Change.recording-start")
	beacon := map[string]string{"streamId": id, "viewer": "viewer-0001"}
	if status, body := n.Anonymous().Do(http.MethodPost, "/api/viewers/"+u.ID, beacon); status != http.StatusNoContent {
		t.Errorf("watching: %d %s", status, body)
	}
	p.Cut()
	ear.wait(t, "Stream-State-Change.starvation-start")
	p.Resume()
	stop(t, p)
	owner := n.SignIn(u)
	v := owner.WaitVideo(id, "valid")
	if _, err := n.Command("", "channel", "rotate-key", "--data-dir", n.Dir, u.ID); err != nil {
		t.Error(err)
	}
	if status, body := owner.Do(http.MethodDelete, "/api/video/"+id, nil); status != http.StatusNoContent {
		t.Errorf("deleting: %d %s", status, body)
	}
	change(t, ear.admin, http.MethodPost, u, "/suspend", map[string]string{"reason": "an example"}, http.StatusOK)
	change(t, ear.admin, http.MethodDelete, u, "", nil, http.StatusNoContent)
	for _, name := range []string{
		"BroadcastUserCreated", "ChannelUpdated", "StreamKeyRotated", "ViewCountUpdated",
		"Stream-State-Change.stream-start", "Stream-State-Change.ingest-configuration", "Stream-State-Change.starvation-start",
		"Stream-State-Change.starvation-end", "Stream-State-Change.stream-end",
		"Recording-State-Change.recording-start", "Recording-State-Change.recording-end",
		"MP4ProcessingStarted", "MP4ProcessingComplete", "recording-ready",
		"LifeCycleStarted", "plugin-invocation", "plugin-complete", "Plugin-failed", "LifeCycleComplete",
		"VideoStatusUpdated", "VideoDeleted", "UserSuspended", "UserDeleted",
	} {
		eventtest.Example(t, name, ear.wait(t, name), v.Author.Username, "brave-otter-42")
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// ear is a webhook that holds what it hears to the schemas, and keeps the first
// event of every kind.
type ear struct {
	t        *testing.T
	registry *schema.Registry
	admin    *harness.Client

	mu    sync.Mutex
	first map[string]event.Envelope
}

// listenWebhook has a rule of a new admin send all events of the product.
func listenWebhook(t *testing.T, n *harness.Node) *ear {
	t.Helper()
	e := &ear{t: t, registry: schema.New(), first: map[string]event.Envelope{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.admin = n.SignIn(n.AddUser("admin@example.com", "admin"))
	status, body := e.admin.Do(http.MethodPost, "/api/rules", map[string]any{
		"name": "all", "enabled": true, "pattern": `{"source":[{"prefix":"serverlessVideo."}]}`,
		"target": map[string]string{"type": "webhook", "url": server.URL},
	})
	if status != http.StatusCreated {
		t.Fatalf("the rule: %d %s", status, body)
	}
	return e
}

func (e *ear) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		e.t.Error(err)
		return
	}
	heard, err := event.Parse(body)
	if err == nil {
		err = e.registry.Check(heard)
	}
	of := e.registry.Of(heard)
	if err != nil || of == nil {
		e.t.Errorf("%v: %s", err, body)
		return
	}
	name := of.Name + variant(heard)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.first[name]; !known {
		e.first[name] = heard
	}
}

// variant tells the states apart that one type of event has.
func variant(e event.Envelope) string {
	var d struct {
		EventName string `json:"event_name"`
		Recording string `json:"recording_status"`
	}
	if e.Source != event.SourceStreaming || e.Decode(&d) != nil {
		return ""
	}
	return "." + strings.ToLower(event.Token(d.EventName+d.Recording))
}

// wait returns the first event of a name.
func (e *ear) wait(t *testing.T, name string) event.Envelope {
	t.Helper()
	var found event.Envelope
	harness.Eventually(t, name+" is heard", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		var ok bool
		if found, ok = e.first[name]; !ok {
			return fmt.Errorf("only %d kinds of events were heard", len(e.first))
		}
		return nil
	})
	return found
}
