package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

// Summary is how all flows are.
type Summary struct {
	Counts []Count
	Oldest *Info // of those that are not final; nil when all are
}

// Count is how many flows of a name are in a status.
type Count struct {
	Name   string
	Status Status
	Flows  int64
}

// Summary counts the flows by name and status.
func (e *Engine) Summary(ctx context.Context) (Summary, error) {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return Summary{}, err
	}
	counts, err := e.counts(ctx)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Counts: counts}
	oldest, err := e.list(ctx, []dbos.ListWorkflowsOption{
		dbos.WithFilterStatus(toDBOS(Queued, Running)...), dbos.WithFilterLimit(1),
		dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
	})
	if err == nil && len(oldest) > 0 {
		s.Oldest = &oldest[0]
	}
	return s, err
}

func (e *Engine) counts(ctx context.Context) ([]Count, error) {
	dc, done := e.client(ctx)
	defer done()
	rows, err := dbos.GetWorkflowAggregates(dc, dbos.GetWorkflowAggregatesInput{GroupByName: true, GroupByStatus: true, SelectCount: true})
	if err != nil {
		return nil, fmt.Errorf("counting flows: %w", err)
	}
	// Two states of DBOS may be one of ours.
	var out []Count
	at := map[Count]int{}
	for _, row := range rows {
		name, status := row.Group["name"], row.Group["status"]
		if name == nil || status == nil || row.Count == nil {
			continue
		}
		key := Count{Name: *name, Status: statusOf(dbos.WorkflowStatusType(*status))}
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, key)
		}
		out[i].Flows += *row.Count
	}
	return out, nil
}
