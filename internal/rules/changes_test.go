package rules_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/rules"
)

// told keeps what is said of deliveries.
type told struct {
	mu  sync.Mutex
	all []string
}

func (l *told) PublishLive(subject string, data []byte) error {
	var d rules.EventDelivery
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	status := 0
	if d.Last != nil {
		status = d.Last.Status
	}
	l.all = append(l.all, fmt.Sprintf("%s %s of %s: %s, try %d, trying %t, last %d", subject, d.RuleName, d.EventID, d.State, d.Tries, d.Trying, status))
	return nil
}

func (l *told) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Who looks at events sees their deliveries made, tried and ended.
func TestChangesAreTold(t *testing.T) {
	live := &told{}
	cfg := quick(sqlite(t))
	cfg.Live = live
	r := newRig(t, cfg)
	rc := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(503)
		}
	})
	rule := r.webhook("a rule", rc.URL, 0)
	e := started("st-1")
	r.hear(e, e)
	r.start()
	r.await(rule.ID, "delivered", 1)
	r.stop()
	of := "rt.delivery." + rule.ID + " a rule of " + e.ID + ": "
	want := []string{
		of + "pending, try 0, trying false, last 0", of + "pending, try 1, trying true, last 0", of + "pending, try 1, trying false, last 503",
		of + "pending, try 2, trying true, last 503", of + "delivered, try 2, trying false, last 200",
	}
	if got := live.get(); !slices.Equal(got, want) {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
}

func TestDeliveriesOfEvents(t *testing.T) {
	r := newRig(t, quick(sqlite(t)))
	for _, name := range []string{"a", "b"} {
		r.webhook(name, "https://example.com/", 0)
	}
	one, two := started("st-1"), started("st-2")
	r.hear(one, two)
	var got rules.EventDeliveries
	r.admin.Get("/api/rules/deliveries?event=" + two.ID + ",none").Want(200).JSON(&got)
	if got.Count != 2 || got.Data[0].EventID != two.ID || got.Data[0].RuleName+got.Data[1].RuleName != "ab" && got.Data[0].RuleName+got.Data[1].RuleName != "ba" || got.Data[0].Replay != "" {
		t.Errorf("%+v", got)
	}
	r.admin.Get("/api/rules/deliveries").Want(400)
}
