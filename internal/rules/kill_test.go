package rules_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

const (
	childPath  = "RULES_TEST_PATH"
	childURL   = "RULES_TEST_URL"
	childLease = "RULES_TEST_LEASE"
)

// child makes deliveries until it is killed, when the environment says so.
func child() {
	cfg := store.Config{Path: os.Getenv(childPath), URL: os.Getenv(childURL)}
	if cfg == (store.Config{}) {
		return
	}
	db, err := store.Open(context.Background(), cfg)
	if err != nil {
		panic(err)
	}
	c := quick(db)
	if c.Lease, err = time.ParseDuration(os.Getenv(childLease)); err != nil {
		panic(err)
	}
	c.Timeout = c.Lease / 2
	c.Logger, c.Metrics = slog.New(slog.NewTextHandler(os.Stderr, nil)), prometheus.NewRegistry()
	s, err := rules.New(c)
	if err != nil {
		panic(err)
	}
	s.Run(context.Background())
}

// A node is killed while the target has the event and has not answered. It is
// sent again under the same id: at once by the same node when it starts, by
// another one when the lease has ended.
func TestKilledBetweenClaimAndResult(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, database store.Config) {
		for node, lease := range map[string]time.Duration{"node-1": time.Hour, "node-2": 2 * time.Second} {
			t.Run(node, func(t *testing.T) {
				victims := make(chan *os.Process, 1)
				rc := newReceiver(t, func(n int, _ http.ResponseWriter, r *http.Request) {
					if n == 1 {
						if err := (<-victims).Kill(); err != nil {
							t.Error(err)
						}
						<-r.Context().Done() // its connection is gone
					}
				})
				db := storetest.Open(t, database)
				cfg := quick(db)
				cfg.Node, cfg.Timeout, cfg.Lease = node, time.Second, 2*time.Second
				r := newRig(t, cfg)
				rule := r.webhook("a", rc.URL, 0)
				rc.knows(rule.Secret)
				r.hear(started("st-" + node))

				victim := exec.CommandContext(t.Context(), os.Args[0])
				victim.Env = append(os.Environ(), childPath+"="+database.Path, childURL+"="+database.URL, childLease+"="+lease.String())
				victim.Stderr = os.Stderr
				if err := victim.Start(); err != nil {
					t.Fatal(err)
				}
				victims <- victim.Process
				if err := victim.Wait(); err == nil {
					t.Fatal("it was not killed")
				}
				if d := r.deliveries(rule.ID, "pending"); len(d) != 1 || d[0].Tries != 1 {
					t.Fatalf("after the kill: %+v", d)
				}

				r.start()
				d := r.await(rule.ID, "delivered", 1)[0]
				calls := rc.calls()
				if len(calls) != 2 || calls[0].id != d.ID || calls[1].id != d.ID || !calls[1].signed[0] || d.Tries != 2 {
					t.Errorf("%+v came in %+v", d, calls)
				}
				r.stop()
				r.admin.Call(http.MethodDelete, "/api/rules/"+rule.ID, nil).Want(204)
			})
		}
	})
}
