package scenario

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// hook is what a webhook was sent.
type hook struct{ event, replay string }

// An admin sees an event pass and what its rule makes of it; after a kill it is in
// the archive, and goes to the rule once more.
func TestEventsAreSeenKeptAndReplayed(t *testing.T) {
	t.Parallel()
	hooks := make(chan hook, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			ID string `json:"id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		hooks <- hook{e.ID, r.Header.Get("webhook-replay")}
	}))
	defer receiver.Close()
	n := harness.Start(t, "--rules-allow-networks", "127.0.0.1/32")
	admin := n.SignIn(n.AddUser("admin@example.com", "admin", "broadcaster"))

	rule := post[struct{ ID string }](t, admin, "/api/rules", map[string]any{
		"name": "Keys", "enabled": true, "pattern": `{"detail-type":["StreamKeyRotated"]}`, "target": map[string]string{"type": "webhook", "url": receiver.URL},
	})
	live := &messages{bufio.NewScanner(admin.Stream("/events/live?type=StreamKeyRotated"))}
	live.next(t, "listening")
	post[any](t, admin, "/api/channel/rotate-key", nil)

	var seen, became struct{ ID, EventID, RuleName, State string }
	if err := json.Unmarshal([]byte(live.next(t, "event")), &seen); err != nil {
		t.Fatal(err)
	}
	for became.State != "delivered" {
		if err := json.Unmarshal([]byte(live.next(t, "delivery")), &became); err != nil {
			t.Fatal(err)
		}
	}
	if got := take(t, hooks); got != (hook{event: seen.ID}) || became.EventID != seen.ID || became.RuleName != "Keys" {
		t.Errorf("%s was seen, %+v sent, %+v told", seen.ID, got, became)
	}

	kept := func() error {
		var list harness.List[struct{ ID string }]
		if err := admin.Get("/api/archive/events?type=StreamKeyRotated", &list); err != nil {
			return err
		}
		if list.Count != 1 || list.Data[0].ID != seen.ID {
			return fmt.Errorf("kept is %+v", list)
		}
		return nil
	}
	n.Kill()
	n.Start()
	harness.Eventually(t, "the event is kept", kept)
	made := post[struct{ ID string }](t, admin, "/api/archive/replays", map[string]any{"rule": rule.ID, "from": time.Now().Add(-time.Hour)})
	if got := take(t, hooks); got != (hook{seen.ID, made.ID}) {
		t.Errorf("replay %s sent %+v", made.ID, got)
	}
	if err := kept(); err != nil {
		t.Error(err)
	}
}

// take returns the next hook.
func take(t *testing.T, hooks <-chan hook) hook {
	t.Helper()
	select {
	case h := <-hooks:
		return h
	case <-time.After(harness.Patience):
		t.Fatal("the webhook is not sent anything")
		return hook{}
	}
}

// messages are those of a stream of server-sent events.
type messages struct{ lines *bufio.Scanner }

// next returns the data of the next message, which has a name.
func (m *messages) next(t *testing.T, name string) string {
	t.Helper()
	got := ""
	for m.lines.Scan() {
		if text, ok := strings.CutPrefix(m.lines.Text(), "event: "); ok {
			got = text
		}
		if text, ok := strings.CutPrefix(m.lines.Text(), "data: "); ok {
			if got != name {
				t.Fatalf("%s %s came, want %s", got, text, name)
			}
			return text
		}
	}
	t.Fatalf("the stream ended before a message %s: %v", name, m.lines.Err())
	return ""
}

func post[T any](t *testing.T, c *harness.Client, path string, body any) (out T) {
	t.Helper()
	status, answer := c.Do(http.MethodPost, path, body)
	if status >= 300 {
		t.Fatalf("POST %s: %d %s", path, status, answer)
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
