package flowadmin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the flows. All are for admins.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/flows" + path, Summary: summary, Description: description, Tags: []string{"flows"},
		}
	}
	huma.Register(api, op("list-flows", http.MethodGet, "", "The flows, newest first", ""), s.listFlows)
	huma.Register(api, op("summarize-flows", http.MethodGet, "/summary", "How many flows there are, and the nodes that run them", ""), s.getSummary)
	huma.Register(api, op("get-flow", http.MethodGet, "/{id}", "A flow with its steps",
		"Task tokens are masked."), s.getFlow)
	huma.Register(api, op("cancel-flow", http.MethodPost, "/{id}/cancel", "Cancel a flow",
		"Its step is interrupted and no other begins; what its steps did stays done. Within a minute its video is told to have failed. "+
			"409 when it is over already."), s.cancelFlow)
	huma.Register(api, op("retry-flow", http.MethodPost, "/{id}/retry", "Try a flow again",
		"One whose outcome nobody was told goes on; else a new attempt begins, under an id of its own. 409 says why it cannot be tried."), s.retryFlow)
}

func admin(ctx context.Context) error {
	_, err := identity.Require(ctx, identity.Admin)
	return err
}

type flowList struct{ Body store.List[FlowView] }

func (s *Service) listFlows(ctx context.Context, in *struct {
	Name   string   `query:"name" maxLength:"64" doc:"only flows of this name"`
	Status []string `query:"status" enum:"queued,running,done,failed,cancelled,abandoned" maxItems:"6" doc:"only those, separated by commas"`
	Q      string   `query:"q" maxLength:"128" pattern:"^[A-Za-z0-9_.-]*$" doc:"the beginning of an id, or of the id of the video that it works on"`
	Offset string   `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int      `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*flowList, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	f := flow.Filter{Name: in.Name, IDPrefixes: s.prefixes(in.Q), Limit: p.Limit + 1}
	for _, status := range in.Status {
		f.Status = append(f.Status, flow.Status(status))
	}
	if in.Offset != "" {
		f.After = flow.Place{CreatedAt: store.Time(p.After.At), ID: p.After.ID}
	}
	rows, err := s.engine.List(ctx, f)
	if err != nil {
		return nil, err
	}
	key := func(i flow.Info) store.Key { return store.Key{At: i.CreatedAt.UnixMilli(), ID: i.ID} }
	return &flowList{store.MakeList(p, rows, key, s.view)}, nil
}

type summaryOutput struct{ Body SummaryView }

func (s *Service) getSummary(ctx context.Context, _ *struct{}) (*summaryOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	summary, err := s.engine.Summary(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := s.engine.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	return &summaryOutput{s.summary(summary, nodes)}, nil
}

// FlowPath names a flow.
type FlowPath struct {
	ID string `path:"id" maxLength:"256"`
}

type flowOutput struct{ Body FlowDetail }

func (s *Service) getFlow(ctx context.Context, in *FlowPath) (*flowOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	return s.answer(ctx, in.ID)
}

func (s *Service) cancelFlow(ctx context.Context, in *FlowPath) (*flowOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	if err := s.cancel(ctx, in.ID); err != nil {
		return nil, err
	}
	return s.answer(ctx, in.ID)
}

// Retry says from where.
type Retry struct {
	From string `json:"from,omitempty" maxLength:"128" doc:"one of the flow's retry.from; left out: where it stopped, or with what did not pass"`
}

func (s *Service) retryFlow(ctx context.Context, in *struct {
	FlowPath
	Body *Retry
}) (*flowOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	var from string
	if in.Body != nil {
		from = in.Body.From
	}
	id, err := s.retry(ctx, in.ID, from)
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, id)
}

func (s *Service) answer(ctx context.Context, id string) (*flowOutput, error) {
	info, err := s.engine.Status(ctx, id)
	if err != nil {
		return nil, err
	}
	steps, err := s.engine.Timeline(ctx, id)
	if err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx, info)
	if err != nil {
		return nil, err
	}
	return &flowOutput{s.detail(info, steps, plan)}, nil
}
