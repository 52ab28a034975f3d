package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/serverlessvideo/serverlessvideo/sdk"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// rule makes a rule and returns its id.
func rule(t *testing.T, admin *harness.Client, name, eventName string, target map[string]string) string {
	t.Helper()
	status, answer := admin.Do(http.MethodPost, "/api/rules", map[string]any{
		"name": name, "enabled": true, "target": target,
		"pattern": fmt.Sprintf(`{"source":["serverlessVideo.streaming"],"detail":{"event_name":[%q]}}`, eventName),
	})
	var made struct{ ID string }
	if err := json.Unmarshal(answer, &made); status != http.StatusCreated || err != nil {
		t.Fatalf("making the rule %s: %d %s", name, status, answer)
	}
	return made.ID
}

// delivered waits until a rule has delivered one event and nothing else.
func delivered(t *testing.T, admin *harness.Client, ruleID string) {
	t.Helper()
	harness.Eventually(t, "the event is delivered", func() error {
		var list harness.List[struct {
			State string
			Last  struct{ Error string }
		}]
		if err := admin.Get("/api/rules/"+ruleID+"/deliveries", &list); err != nil {
			return err
		}
		if len(list.Data) != 1 || list.Data[0].State != "delivered" {
			return fmt.Errorf("deliveries: %+v", list.Data)
		}
		return nil
	})
}

// TestRuleTargets: a broadcast begins; a rule tells a plugin outside the process,
// which is still busy with it when the node is killed, and another tags the video
// that will come of it.
func TestRuleTargets(t *testing.T) {
	t.Parallel()
	asked, finish := make(chan sdk.Delivery, 1), make(chan struct{})
	var mu sync.Mutex
	took := map[string]int{}
	n, _ := outside(t, "listener", "onEvent", sdk.Events(func(ctx context.Context, d sdk.Delivery) (any, error) {
		select {
		case asked <- d:
		default:
		}
		select {
		case <-finish:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		mu.Lock()
		defer mu.Unlock()
		if took[d.ID]++; took[d.ID] == 1 && d.Rule.Name == "at the end" {
			return nil, errors.New("come again")
		}
		return map[string]bool{"heard": true}, nil
	}))
	n.Start()
	admin := n.SignIn(n.AddUser("root@example.com", "admin"))
	if status, answer := admin.Do(http.MethodPost, "/api/rules", map[string]any{
		"name": "x", "enabled": true, "pattern": `{"source":["a"]}`, "target": map[string]string{"type": "plugin", "plugin": "duration_plugin"},
	}); status != http.StatusBadRequest {
		t.Errorf("a plugin of another hook: %d %s", status, answer)
	}
	toPlugin := map[string]string{"type": "plugin", "plugin": "listener"}
	first := rule(t, admin, "at the start", "Stream Start", toPlugin)
	last := rule(t, admin, "at the end", "Stream End", toPlugin)
	tag := rule(t, admin, "tag", "Stream Start", map[string]string{"type": "tag", "tag": "summer-tour-26"})

	u := n.AddUser("tagged@example.com", "broadcaster")
	p := publish(t, n, u, 12*time.Second)
	id := liveStream(t, n, u)
	stop(t, p)
	select {
	case d := <-asked:
		var detail struct {
			Stream string `json:"stream_id"`
		}
		if err := json.Unmarshal(d.Event.Detail, &detail); err != nil || detail.Stream != id || d.Event.DetailType != "Stream State Change" || d.Rule.ID != first {
			t.Errorf("the plugin was given %+v, %v", d, err)
		}
	case <-time.After(harness.Patience):
		t.Fatal("the plugin is never given the event")
	}
	delivered(t, admin, tag)
	n.SignIn(u).WaitVideo(id, "processing", "valid")
	n.Kill()
	close(finish) // it answers while nobody is there
	n.Start()
	for _, r := range []string{first, last, tag} {
		delivered(t, admin, r)
	}
	n.SignIn(u).WaitVideo(id, "valid")
	var videos harness.List[harness.Video]
	if err := n.Anonymous().Get("/api/videos/summer-tour-26", &videos); err != nil || len(videos.Data) != 1 || videos.Data[0].ID != id {
		t.Errorf("the videos of the tag: %+v, %v", videos.Data, err)
	}
	for _, e := range n.SignIn(u).History(id) {
		if e.Key == "onEvent" || e.Title == "listener" {
			t.Errorf("the video's history tells of a rule's plugin: %+v", e)
		}
	}
}
