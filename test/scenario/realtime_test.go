package scenario

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/serverlessvideo/serverlessvideo/internal/id"
	"github.com/serverlessvideo/serverlessvideo/test/harness"
)

// heard is what a page has been told, as "type:what happened".
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) add(message []byte) {
	var m struct {
		Type   string `json:"type"`
		Detail struct {
			EventName string `json:"event_name"`
			Recording string `json:"recording_status"`
			Status    string `json:"status"`
		} `json:"detail"`
	}
	if json.Unmarshal(message, &m) != nil {
		m.Type = "no JSON: " + string(message)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, m.Type+":"+m.Detail.EventName+m.Detail.Recording+m.Detail.Status)
}

// wait waits until it was told, whatever follows what.
func (h *heard) wait(t *testing.T, by, what string) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("%s tells %q", by, what), func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.ContainsFunc(h.all, func(s string) bool { return strings.HasPrefix(s, what) }) {
			return fmt.Errorf("only %q is told", h.all)
		}
		return nil
	})
}

// listenMQTT hears a topic as a page does, over WebSocket.
func listenMQTT(t *testing.T, n *harness.Node, topic string) *heard {
	t.Helper()
	h := &heard{}
	options := mqtt.NewClientOptions().
		AddBroker(strings.Replace(n.URL, "http", "ws", 1) + "/mqtt").
		SetClientID(id.New()).SetAutoReconnect(false)
	client := mqtt.NewClient(options)
	if token := client.Connect(); !token.WaitTimeout(harness.Patience) || token.Error() != nil {
		t.Fatal("MQTT:", token.Error())
	}
	t.Cleanup(func() { client.Disconnect(0) })
	token := client.Subscribe(topic, 0, func(_ mqtt.Client, m mqtt.Message) { h.add(m.Payload()) })
	if !token.WaitTimeout(harness.Patience) || token.Error() != nil {
		t.Fatal("MQTT:", token.Error())
	}
	return h
}

// listenSSE hears a topic by server-sent events.
func listenSSE(t *testing.T, n *harness.Node, topic string) *heard {
	t.Helper()
	return listenAs(t, n, http.DefaultClient, topic)
}

// listenAs hears topics, joined by commas, as who has a session.
func listenAs(t *testing.T, n *harness.Node, session *http.Client, topic string) *heard {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/events?topics="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := session.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatal("/events:", resp.Status)
	}
	h := &heard{}
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
				h.add([]byte(strings.TrimSpace(data)))
			}
		}
	})
	t.Cleanup(func() { _ = resp.Body.Close(); reading.Wait() })
	return h
}

// count returns how often it was told what begins so.
func (h *heard) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, s := range h.all {
		if strings.HasPrefix(s, what) {
			n++
		}
	}
	return n
}
