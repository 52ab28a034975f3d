package rules

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// mostCounted is how far deliveries are counted for an overview.
const mostCounted = 1000

const noStore = "no-store"

// RuleView is a rule as the API shows it.
type RuleView struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Enabled     bool       `json:"enabled"`
	Pattern     string     `json:"pattern" doc:"JSON as text, as it was written"`
	Target      RuleTarget `json:"target"`
	MaxTries    int64      `json:"maxTries"`
	CreatedAt   string     `json:"createdAt" format:"date-time"`
	UpdatedAt   string     `json:"updatedAt" format:"date-time"`
	Waiting     int64      `json:"waiting" doc:"deliveries that wait for a try, counted up to 1,000"`
	Dead        int64      `json:"dead" doc:"dead letters, counted up to 1,000"`
	Secret      string     `json:"secret,omitempty" doc:"the webhook's signing secret, in the answer that makes it alone"`

	created int64
}

func (s *Service) view(ctx context.Context, r sqlc.Rule) (RuleView, error) {
	waiting, unmade, err := s.counts(ctx, r.ID)
	if err != nil {
		return RuleView{}, fmt.Errorf("counting the deliveries of rule %s: %w", r.ID, err)
	}
	return RuleView{
		ID: r.ID, Name: r.Name, Description: r.Description, Enabled: r.Enabled, Pattern: r.Pattern,
		Target: targetOf(r), MaxTries: r.MaxTries,
		CreatedAt: store.Timestamp(r.CreatedAt), UpdatedAt: store.Timestamp(r.UpdatedAt), Waiting: waiting, Dead: unmade, created: r.CreatedAt,
	}, nil
}

func (s *Service) answer(ctx context.Context, r sqlc.Rule, secret string) (*ruleOutput, error) {
	v, err := s.view(ctx, r)
	v.Secret = secret
	return &ruleOutput{noStore, v}, err
}

// DeliveryView is what became of an event that matched a rule.
type DeliveryView struct {
	ID         string `json:"id" doc:"the webhook-id, the same for every try"`
	EventID    string `json:"eventId"`
	Replay     string `json:"replay,omitempty" doc:"the replay that it is of; absent of an event as it happened"`
	Source     string `json:"source"`
	DetailType string `json:"detailType"`
	State      string `json:"state" enum:"pending,delivered,dead"`
	CreatedAt  string `json:"createdAt" format:"date-time" doc:"when it matched"`
	Tries      int64  `json:"tries" doc:"since it matched, or was redriven"`
	Trying     bool   `json:"trying" doc:"a try runs now"`
	NextTryAt  string `json:"nextTryAt,omitempty" format:"date-time" doc:"while it is pending"`
	EndedAt    string `json:"endedAt,omitempty" format:"date-time" doc:"when it was delivered or given up"`

	Last *AttemptView `json:"last,omitempty" doc:"the last try"`
}

// AttemptView is one try of a delivery.
type AttemptView struct {
	At         string `json:"at" format:"date-time"`
	Status     int    `json:"status,omitempty" doc:"of HTTP; absent when there was no answer"`
	DurationMS int64  `json:"durationMillis"`
	Error      string `json:"error,omitempty" doc:"why it failed; absent when it did not"`
}

// EventDelivery is a delivery as those see it who look at its event.
type EventDelivery struct {
	DeliveryView
	RuleID   string `json:"ruleId"`
	RuleName string `json:"ruleName"`
}

// DeliveryDetail is a delivery with all that is kept of it.
type DeliveryDetail struct {
	DeliveryView
	Attempts []AttemptView `json:"attempts" nullable:"false" doc:"the last 5 tries, oldest first"`
	Event    any           `json:"event" doc:"what is sent, with task tokens masked"`
}

func deliveryKey(d sqlc.RuleDelivery) store.Key { return store.Key{At: d.CreatedAt, ID: d.ID} }

func viewDelivery(d sqlc.RuleDelivery) DeliveryView {
	v := DeliveryView{
		ID: d.ID, EventID: d.Event, Replay: d.Replay, Source: d.Source, DetailType: d.DetailType, State: d.State,
		CreatedAt: store.Timestamp(d.CreatedAt), Tries: d.Tries, Trying: d.State == pending && d.LeasedUntil > store.Now(),
	}
	if d.State == pending {
		v.NextTryAt = store.Timestamp(max(d.DueAt, d.LeasedUntil))
	} else {
		v.EndedAt = store.Timestamp(d.EndedAt)
	}
	if all := attemptsOf(d.Attempts); len(all) > 0 {
		last := viewAttempt(all[len(all)-1])
		v.Last = &last
	}
	return v
}

func detailOf(d sqlc.RuleDelivery) DeliveryDetail {
	v := DeliveryDetail{DeliveryView: viewDelivery(d), Attempts: []AttemptView{}, Event: json.RawMessage(d.Body)}
	for _, a := range attemptsOf(d.Attempts) {
		v.Attempts = append(v.Attempts, viewAttempt(a))
	}
	return v
}

func viewAttempt(a attempt) AttemptView {
	return AttemptView{At: store.Timestamp(a.At), Status: a.Status, DurationMS: a.DurationMS, Error: a.Error}
}
