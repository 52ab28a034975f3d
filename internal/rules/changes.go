package rules

import (
	"encoding/json"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
)

// changes begins the subjects of what is said of a delivery when it is added,
// when a try begins and when it ends: rt.delivery.<rule>, an EventDelivery.
const changes = "rt.delivery."

// tell says how deliveries of a rule are now, to those who look.
func (s *Service) tell(ruleName string, deliveries ...sqlc.RuleDelivery) {
	if s.cfg.Live == nil {
		return
	}
	for _, d := range deliveries {
		text, err := json.Marshal(EventDelivery{viewDelivery(d), d.RuleID, ruleName})
		if err == nil {
			err = s.cfg.Live.PublishLive(changes+event.Token(d.RuleID), text)
		}
		if err != nil {
			s.log.Debug("rules: a change of a delivery is not told", "delivery", d.ID, "err", err)
		}
	}
}

// nameOf returns the name of a rule that has matched, as it was when the rules
// were compiled.
func (s *Service) nameOf(rule string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compiled == nil {
		return ""
	}
	return s.compiled.names[rule]
}
