package rules

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the rules. All are for admins.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/rules" + path, Summary: summary, Description: description, Tags: []string{"rules"},
		}
	}
	created := op("create-rule", http.MethodPost, "", "Make a rule",
		"Events that match the pattern go to the target from now on. The answer has the webhook's signing secret; it is shown this once.")
	created.DefaultStatus = http.StatusCreated
	huma.Register(api, created, s.createRule)
	huma.Register(api, op("list-rules", http.MethodGet, "", "The rules, newest first", ""), s.listRules)
	huma.Register(api, op("test-pattern", http.MethodPost, "/test", "Whether a pattern matches an event", ""), s.testPattern)
	huma.Register(api, op("list-rule-targets", http.MethodGet, "/targets", "The plugins and flows that a rule's target may be", ""), s.listTargets)
	huma.Register(api, op("get-rule", http.MethodGet, "/{id}", "A rule", ""), s.getRule)
	huma.Register(api, op("update-rule", http.MethodPut, "/{id}", "Change a rule",
		"Replaces all that the rule says. A rule that becomes a webhook by this gets a secret, shown this once."), s.updateRule)
	huma.Register(api, op("delete-rule", http.MethodDelete, "/{id}", "Delete a rule with its deliveries", ""), s.deleteRule)
	huma.Register(api, op("rotate-rule-secret", http.MethodPost, "/{id}/secret", "Give a webhook a new signing secret",
		"The answer has it; it is shown this once. For 24 hours the one before signs, too."), s.rotateSecret)
	huma.Register(api, op("list-rule-deliveries", http.MethodGet, "/{id}/deliveries", "What became of a rule's events, newest first",
		"Kept are the last 1,000 deliveries that were made and the last 10,000 dead letters, for 30 days."), s.listDeliveries)
	huma.Register(api, op("get-rule-delivery", http.MethodGet, "/{id}/deliveries/{delivery}", "A delivery with its event and its last tries", ""),
		s.getDelivery)
	huma.Register(api, op("list-event-deliveries", http.MethodGet, "/deliveries", "What rules made of some events",
		"The deliveries of up to 50 events, as far as they are kept: at most 100 of each."), s.listOfEvents)
	huma.Register(api, op("redrive-rule-delivery", http.MethodPost, "/{id}/deliveries/{delivery}/redrive", "Try a dead letter anew",
		"It keeps its webhook-id."), s.redriveOne)
	huma.Register(api, op("redrive-dead-letters", http.MethodPost, "/{id}/dead-letters/redrive", "Try all dead letters of a rule anew", ""),
		s.redriveAll)
	huma.Register(api, op("purge-dead-letters", http.MethodDelete, "/{id}/dead-letters", "Delete all dead letters of a rule", ""), s.purgeDead)
}

func admin(ctx context.Context) error {
	_, err := identity.Require(ctx, identity.Admin)
	return err
}

type ruleOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         RuleView
}

func (s *Service) createRule(ctx context.Context, in *struct{ Body RuleInput }) (*ruleOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	input, err := s.checked(in.Body, RuleTarget{})
	if err != nil {
		return nil, err
	}
	r, secret, err := s.add(ctx, input)
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, r, secret)
}

type ruleList struct{ Body store.List[RuleView] }

func (s *Service) listRules(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*ruleList, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.rules(ctx, p)
	if err != nil {
		return nil, err
	}
	views := make([]RuleView, 0, len(rows))
	for _, r := range rows {
		v, err := s.view(ctx, r)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	key := func(v RuleView) store.Key { return store.Key{At: v.created, ID: v.ID} }
	return &ruleList{store.MakeList(p, views, key, func(v RuleView) RuleView { return v })}, nil
}

// RuleTargets are what targets may name.
type RuleTargets struct {
	Plugins []Choice `json:"plugins" nullable:"false" doc:"that take events: their eventHook is onEvent"`
	Flows   []Choice `json:"flows" nullable:"false"`
}

type targetsOutput struct{ Body RuleTargets }

func (s *Service) listTargets(ctx context.Context, _ *struct{}) (*targetsOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	return &targetsOutput{RuleTargets{Plugins: append([]Choice{}, s.cfg.Plugins.ForEvents()...), Flows: s.flows()}}, nil
}

// RulePath names a rule.
type RulePath struct {
	ID string `path:"id" maxLength:"128"`
}

func (s *Service) getRule(ctx context.Context, in *RulePath) (*ruleOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	r, err := s.rule(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, r, "")
}

func (s *Service) updateRule(ctx context.Context, in *struct {
	RulePath
	Body RuleInput
}) (*ruleOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	before, err := s.rule(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	input, err := s.checked(in.Body, targetOf(before))
	if err != nil {
		return nil, err
	}
	r, secret, err := s.update(ctx, in.ID, input)
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, r, secret)
}

func (s *Service) deleteRule(ctx context.Context, in *RulePath) (*struct{}, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	return nil, s.remove(ctx, in.ID)
}

// RuleSecret is a webhook's signing secret.
type RuleSecret struct {
	Secret string `json:"secret" doc:"of Standard Webhooks: whsec_ and 32 bytes in base64"`
}

type secretOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         RuleSecret
}

func (s *Service) rotateSecret(ctx context.Context, in *RulePath) (*secretOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	secret, err := s.rotate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &secretOutput{noStore, RuleSecret{secret}}, nil
}

// PatternTest is a pattern and an event.
type PatternTest struct {
	Pattern string `json:"pattern" maxLength:"16384" doc:"JSON as text"`
	Event   string `json:"event" maxLength:"262144" doc:"the whole event, JSON as text"`
}

// PatternResult says whether they match.
type PatternResult struct {
	Matches bool `json:"matches"`
}

type patternOutput struct{ Body PatternResult }

func (s *Service) testPattern(ctx context.Context, in *struct{ Body PatternTest }) (*patternOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := pattern.CompileAt("body.pattern", in.Body.Pattern)
	places := errs.PlacesOf(err)
	e, err := pattern.Parse([]byte(in.Body.Event))
	if err != nil {
		places = append(places, errs.Place{Location: "body.event", Message: err.Error()})
	}
	if err := errs.At(places...); err != nil {
		return nil, err
	}
	return &patternOutput{PatternResult{p.Match(e)}}, nil
}

type deliveryList struct{ Body store.List[DeliveryView] }

func (s *Service) listDeliveries(ctx context.Context, in *struct {
	RulePath
	State  string `query:"state" enum:"pending,delivered,dead" doc:"only those; dead are the dead letters"`
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*deliveryList, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	if _, err := s.rule(ctx, in.ID); err != nil {
		return nil, err
	}
	rows, err := s.deliveries(ctx, in.ID, in.State, p)
	if err != nil {
		return nil, err
	}
	return &deliveryList{store.MakeList(p, rows, deliveryKey, viewDelivery)}, nil
}

// EventDeliveries are the deliveries of some events.
type EventDeliveries struct {
	Count int             `json:"count"`
	Data  []EventDelivery `json:"data" nullable:"false"`
}

type eventDeliveries struct{ Body EventDeliveries }

func (s *Service) listOfEvents(ctx context.Context, in *struct {
	Events []string `query:"event" required:"true" minItems:"1" maxItems:"50" doc:"ids of events, separated by commas"`
}) (*eventDeliveries, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	all, err := s.ofEvents(ctx, in.Events)
	if err != nil {
		return nil, err
	}
	return &eventDeliveries{EventDeliveries{len(all), all}}, nil
}

// DeliveryPath names a delivery of a rule.
type DeliveryPath struct {
	RulePath
	Delivery string `path:"delivery" maxLength:"128"`
}

type deliveryOutput struct{ Body DeliveryDetail }

func (s *Service) getDelivery(ctx context.Context, in *DeliveryPath) (*deliveryOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	d, err := s.delivery(ctx, in.ID, in.Delivery)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{detailOf(d)}, nil
}

// Count is how many there were.
type Count struct {
	Count int64 `json:"count" minimum:"0"`
}

type countOutput struct{ Body Count }

func (s *Service) redriveOne(ctx context.Context, in *DeliveryPath) (*deliveryOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	n, err := s.redrive(ctx, in.ID, in.Delivery)
	if err != nil {
		return nil, err
	}
	d, err := s.delivery(ctx, in.ID, in.Delivery)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errs.Newf(errs.Conflict, "only dead letters are redriven; this delivery is %s", d.State)
	}
	return &deliveryOutput{detailOf(d)}, nil
}

func (s *Service) redriveAll(ctx context.Context, in *RulePath) (*countOutput, error) {
	return s.onDeadLetters(ctx, in.ID, func() (int64, error) { return s.redrive(ctx, in.ID, "") })
}

func (s *Service) purgeDead(ctx context.Context, in *RulePath) (*countOutput, error) {
	return s.onDeadLetters(ctx, in.ID, func() (int64, error) { return s.purge(ctx, in.ID) })
}

func (s *Service) onDeadLetters(ctx context.Context, id string, do func() (int64, error)) (*countOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	if _, err := s.rule(ctx, id); err != nil {
		return nil, err
	}
	n, err := do()
	if err != nil {
		return nil, err
	}
	return &countOutput{Count{n}}, nil
}
