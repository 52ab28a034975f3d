package postprocess

import (
	"context"
	"fmt"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// FlowName returns the name of the service's flow.
func (s *Service) FlowName() string { return flowName }

// FlowPrefix begins the ids of a video's flows, those of all its attempts.
func (s *Service) FlowPrefix(video string) string { return flowPrefix + video }

// FlowVideo returns the video that one of the service's flows works on.
func (s *Service) FlowVideo(flowID string) string {
	video, _, _ := strings.Cut(strings.TrimPrefix(flowID, flowPrefix), ".")
	return video
}

// PlanRetry says what trying a flow again would mean: one whose outcome was not
// told yet goes on; after that it is another attempt, which begins at the beginning.
func (s *Service) PlanRetry(ctx context.Context, info flow.Info) (flow.RetryPlan, error) {
	row, err := s.jobRow(ctx, s.FlowVideo(info.ID))
	if errs.CodeOf(err) == errs.NotFound {
		return flow.RetryPlan{Refusal: "The recording is not known any more: its video was deleted."}, nil
	}
	if err != nil {
		return flow.RetryPlan{}, err
	}
	j := jobOf(row)
	switch {
	case !info.Status.Final():
		return flow.RetryPlan{Refusal: "It is not over yet."}, nil
	case info.ID != j.flowID():
		return flow.RetryPlan{Refusal: fmt.Sprintf("A newer attempt was begun: %s.", j.flowID())}, nil
	case row.State == failed:
		j.Attempt = j.attempt() + 1
		return flow.RetryPlan{NewID: j.flowID()}, nil
	case row.State == done || info.Status == flow.Done:
		return flow.RetryPlan{Refusal: "It is done: the MP4 has been made."}, nil
	}
	steps, err := s.flows.Timeline(ctx, info.ID)
	if err != nil {
		return flow.RetryPlan{}, err
	}
	var plan flow.RetryPlan
	for _, step := range steps {
		plan.From = append(plan.From, step.Name)
	}
	return plan, nil
}

// RetryFlow tries a flow again as planned, and returns the id of the flow that
// goes on or begins. from names a step of a flow that goes on; "" means where it
// stopped.
func (s *Service) RetryFlow(ctx context.Context, info flow.Info, from string) (string, error) {
	plan, err := s.PlanRetry(ctx, info)
	switch {
	case err != nil:
		return "", err
	case plan.Refusal != "":
		return "", errs.New(errs.Conflict, plan.Refusal)
	case plan.NewID == "":
		return info.ID, s.goOn(ctx, info.ID, from)
	case from != "":
		return "", errs.New(errs.Invalid, "That it failed has been told: a new attempt begins at its first step. Leave \"from\" out.")
	}
	j, begun, err := s.beginAgain(ctx, s.FlowVideo(info.ID))
	if err != nil {
		return "", err
	}
	if !begun {
		return "", errs.New(errs.Conflict, "Somebody else has just begun another attempt.")
	}
	if err := s.start(ctx, j); err != nil {
		s.log.Warn("post-processing: an attempt begins later", "video", j.ID, "err", err)
	}
	return j.flowID(), nil
}

// goOn lets a flow without an outcome go on, unless Reconcile has given it one
// meanwhile: of the two, who comes second sees what the first one did.
func (s *Service) goOn(ctx context.Context, flowID, from string) error {
	if err := s.flows.RetryFrom(ctx, flowID, from); err != nil {
		return err
	}
	said, err := store.Stepped(ctx, s.db, flowID, outcome)
	if err != nil || !said {
		return err
	}
	if err := s.flows.Cancel(ctx, flowID); err != nil {
		return err
	}
	return errs.New(errs.Conflict, "That it failed has been told just now: retry once more, and a new attempt begins.")
}
