package rules_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/store/storetest"
)

// What the consumer does with an event that none of a thousand rules wants:
// masking, encoding, reading it, a look at the version of the rules, matching.
func BenchmarkEventWithoutRule(b *testing.B) {
	db := storetest.Open(b, store.Config{Path: filepath.Join(b.TempDir(), "app.db")})
	cfg := quick(db)
	cfg.Logger, cfg.Metrics = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	s, err := rules.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		_, err := s.Add(b.Context(), rules.RuleInput{
			Name: fmt.Sprint("rule ", i), Enabled: true, Target: rules.RuleTarget{Type: "log"},
			Pattern: fmt.Sprintf(`{"source":["serverlessVideo.streaming"],"detail-type":["Stream State Change"],"detail":{"channel_name":["c%d"]}}`, i),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	e := event.New(event.StreamStateChange{EventName: event.StreamStart, ChannelName: "another", StreamID: "st-1"})
	handle := s.Consumers()[0].Handle
	b.ReportAllocs()
	for b.Loop() {
		if err := handle(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}
