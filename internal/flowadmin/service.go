// Package flowadmin shows the durable flows to admins, and cancels and retries
// them. The engine knows how a flow runs; the service whose flow it is knows what
// it works on and what trying it again would mean.
package flowadmin

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// Owner is the service whose flow it is.
type Owner interface {
	// FlowName returns the name of its flow.
	FlowName() string
	// FlowPrefix begins the ids of the flows that work on a video.
	FlowPrefix(video string) string
	// FlowVideo returns the video that a flow works on.
	FlowVideo(flowID string) string
	// PlanRetry says what trying a flow again would mean.
	PlanRetry(ctx context.Context, info flow.Info) (flow.RetryPlan, error)
	// RetryFlow does it, and returns the id of the flow that goes on or begins.
	// Errors: errs.Conflict, errs.Invalid and errs.NotFound for a wrong from.
	RetryFlow(ctx context.Context, info flow.Info, from string) (string, error)
}

// Service is the administration of flows.
type Service struct {
	engine *flow.Engine
	owners []Owner
}

// New returns the administration of an engine's flows. Its operations (Register)
// must be wired to the API.
func New(engine *flow.Engine, owners ...Owner) *Service {
	return &Service{engine: engine, owners: owners}
}

// owner returns whose flow it is; nil when no service of this version says so.
func (s *Service) owner(name string) Owner {
	for _, o := range s.owners {
		if o.FlowName() == name {
			return o
		}
	}
	return nil
}

// prefixes are the ids that a search begins with: it is of an id or a video.
func (s *Service) prefixes(q string) []string {
	if q == "" {
		return nil
	}
	all := []string{q}
	for _, o := range s.owners {
		all = append(all, o.FlowPrefix(q))
	}
	return all
}

func (s *Service) plan(ctx context.Context, info flow.Info) (flow.RetryPlan, error) {
	o := s.owner(info.Name)
	if o == nil {
		return flow.RetryPlan{Refusal: "This version does not have this flow."}, nil
	}
	return o.PlanRetry(ctx, info)
}

func (s *Service) retry(ctx context.Context, id, from string) (string, error) {
	info, err := s.engine.Status(ctx, id)
	if err != nil {
		return "", err
	}
	o := s.owner(info.Name)
	if o == nil {
		return "", errs.Newf(errs.Conflict, "this version does not have a flow named %q", info.Name)
	}
	return o.RetryFlow(ctx, info, from)
}

func (s *Service) cancel(ctx context.Context, id string) error {
	info, err := s.engine.Status(ctx, id)
	if err != nil {
		return err
	}
	if info.Status.Final() {
		return errs.Newf(errs.Conflict, "only a flow that runs or waits can be cancelled; this one is %s", info.Status)
	}
	return s.engine.Cancel(ctx, id)
}
