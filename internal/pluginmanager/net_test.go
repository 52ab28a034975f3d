package pluginmanager_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
)

// Another node hears the answer, and wakes its own lifecycles alone: this one's
// are found by the net.
func TestAnswerHeardElsewhere(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.plugin("slow", "preMetadata", time.Minute, silent)
		r.start()
		r.ready("v1", 60_000)
		token := r.token("preMetadata", "slow")

		ctx := context.Background()
		other, err := flow.Open(ctx, flow.Config{Path: filepath.Join(t.TempDir(), "flow.db"), NodeID: "n2"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := other.Shutdown(10 * time.Second); err != nil {
				t.Error(err)
			}
		}()
		o := r.options
		o.DB, o.Flows, o.Videos, o.Metrics, o.Logger = r.db, other, r, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
		elsewhere, err := pluginmanager.New(o)
		if err != nil {
			t.Fatal(err)
		}
		answer := complete("slow", token, `{"tags":["late"]}`)
		for _, c := range elsewhere.Consumers() {
			for _, f := range c.Filters {
				if f.Match(answer) {
					if err := c.Handle(ctx, answer); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		end := r.complete("v1")
		if got := end.Plugins.Outputs["preMetadata"]; len(got) != 1 || got[0].OutputKey != "plugin-slow" {
			t.Errorf("the lifecycle ended with %v", got)
		}
		if end.Plugins.Status != "" && end.Plugins.Status != event.StatusValid {
			t.Errorf("it ended %s", end.Plugins.Status)
		}
	})
}
