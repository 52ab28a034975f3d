package rules

import (
	"context"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
)

// The targets.
const (
	targetWebhook = "webhook"
	targetLog     = "log"
)

// maxLogged is how much of an event stands in a line of the log, in bytes.
const maxLogged = 8 << 10

// send makes one try of a delivery.
func (s *Service) send(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery) outcome {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if r.Target != targetLog && simulated(d) {
		// It was the log's when the event came.
		return outcome{err: "the event is about a simulated video: it goes into the log alone"}
	}
	switch r.Target {
	case targetWebhook:
		return s.post(ctx, r, d)
	case targetLog:
		s.write(ctx, r, d)
		return outcome{}
	}
	return outcome{err: fmt.Sprintf("this version has no target %q", r.Target)}
}

// simulated says whether a delivery's event is about a simulated video.
func simulated(d sqlc.RuleDelivery) bool {
	e, err := event.Parse([]byte(d.Body))
	return err == nil && e.Simulated()
}

// write puts an event into the log, one line.
func (s *Service) write(ctx context.Context, r sqlc.Rule, d sqlc.RuleDelivery) {
	body := d.Body
	if len(body) > maxLogged {
		body = body[:maxLogged] + "…"
	}
	s.log.InfoContext(ctx, "an event matched a rule", "rule", r.Name, "rule_id", r.ID, "delivery", d.ID,
		"event_id", d.EventID, "source", d.Source, "type", d.DetailType, "event", body)
}
