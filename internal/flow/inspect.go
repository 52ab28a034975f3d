package flow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// Status is where a flow stands.
type Status string

// The states of a flow. The last four are final.
const (
	Queued    Status = "queued" // interrupted or woken, waits to be taken up by a node
	Running   Status = "running"
	Done      Status = "done"
	Failed    Status = "failed" // its function returned an error
	Cancelled Status = "cancelled"
	Abandoned Status = "abandoned" // crashed its node too often to be tried again
)

// Final says whether nothing more will happen to the flow.
func (s Status) Final() bool { return s != Queued && s != Running }

func statusOf(s dbos.WorkflowStatusType) Status {
	switch s {
	case dbos.WorkflowStatusPending:
		return Running
	case dbos.WorkflowStatusSuccess:
		return Done
	case dbos.WorkflowStatusError:
		return Failed
	case dbos.WorkflowStatusCancelled:
		return Cancelled
	case dbos.WorkflowStatusMaxRecoveryAttemptsExceeded:
		return Abandoned
	}
	return Queued
}

func (s Status) dbos() []dbos.WorkflowStatusType {
	switch s {
	case Running:
		return []dbos.WorkflowStatusType{dbos.WorkflowStatusPending}
	case Done:
		return []dbos.WorkflowStatusType{dbos.WorkflowStatusSuccess}
	case Failed:
		return []dbos.WorkflowStatusType{dbos.WorkflowStatusError}
	case Cancelled:
		return []dbos.WorkflowStatusType{dbos.WorkflowStatusCancelled}
	case Abandoned:
		return []dbos.WorkflowStatusType{dbos.WorkflowStatusMaxRecoveryAttemptsExceeded}
	}
	return []dbos.WorkflowStatusType{dbos.WorkflowStatusEnqueued, dbos.WorkflowStatusDelayed}
}

// Info is what is known of one flow.
type Info struct {
	ID        string
	Name      string
	Status    Status
	Node      string // who runs it or ran it last
	Attempts  int    // how often a node has taken it up
	CreatedAt time.Time
	UpdatedAt time.Time
	EndedAt   time.Time       // zero while it is not final
	Input     json.RawMessage // of one flow only, not in lists
	Output    json.RawMessage // when it is done
	Error     string          // why it failed
}

// StepInfo is one finished step of a flow.
type StepInfo struct {
	Name      string
	StartedAt time.Time
	EndedAt   time.Time
	Output    json.RawMessage // what it returned, nil when it failed
	Error     string          // why it failed
	Tries     int             // since the last start; 0 when an older build did not count them
	Failed    []FailedTry     // the last of the tries before, oldest first

	number int // DBOS's
}

// Filter selects flows; an empty field selects all.
type Filter struct {
	Name       string
	IDPrefixes []string // one of them
	Status     []Status
	Limit      int // 100 when zero
	After      Place
}

// Place is where a flow stands in a list.
type Place struct {
	CreatedAt time.Time
	ID        string
}

// ties is how many flows may begin in the same millisecond without one of them
// being left out where a list is cut.
const ties = 64

// List returns the flows that the filter selects, newest first, that stand
// behind After. A list that goes on there stays right while flows are added.
func (e *Engine) List(ctx context.Context, f Filter) ([]Info, error) {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	// DBOS orders by time alone.
	opts := []dbos.ListWorkflowsOption{
		dbos.WithFilterLimit(f.Limit + ties), dbos.WithFilterSortDesc(),
		dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(true),
	}
	after := f.After != Place{}
	if after {
		opts = append(opts, dbos.WithFilterCreatedBefore(f.After.CreatedAt))
	}
	if f.Name != "" {
		opts = append(opts, dbos.WithFilterName(f.Name))
	}
	if len(f.IDPrefixes) > 0 {
		opts = append(opts, dbos.WithFilterWorkflowIDPrefix(f.IDPrefixes...))
	}
	if len(f.Status) > 0 {
		opts = append(opts, dbos.WithFilterStatus(toDBOS(f.Status...)...))
	}
	found, err := e.list(ctx, opts)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Info) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
	})
	if after {
		found = slices.DeleteFunc(found, func(i Info) bool {
			return cmp.Or(i.CreatedAt.Compare(f.After.CreatedAt), strings.Compare(i.ID, f.After.ID)) >= 0
		})
	}
	return found[:min(len(found), f.Limit)], nil
}

func toDBOS(statuses ...Status) []dbos.WorkflowStatusType {
	var all []dbos.WorkflowStatusType
	for _, s := range statuses {
		all = append(all, s.dbos()...)
	}
	return all
}

// Status returns one flow, NotFound when there is none under that id.
func (e *Engine) Status(ctx context.Context, id string) (Info, error) {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return Info{}, err
	}
	found, err := e.list(ctx, []dbos.ListWorkflowsOption{
		dbos.WithFilterWorkflowIDs(id), dbos.WithFilterLoadInput(true), dbos.WithFilterLoadOutput(true),
	})
	if err != nil {
		return Info{}, err
	}
	if len(found) == 0 {
		return Info{}, noFlow(id)
	}
	return found[0], nil
}

func (e *Engine) list(ctx context.Context, opts []dbos.ListWorkflowsOption) ([]Info, error) {
	dc, done := e.client(ctx)
	defer done()
	rows, err := dbos.ListWorkflows(dc, opts...)
	if err != nil {
		return nil, fmt.Errorf("listing flows: %w", err)
	}
	out := make([]Info, len(rows))
	for i, row := range rows {
		out[i] = Info{
			ID: row.ID, Name: row.Name, Status: statusOf(row.Status), Node: row.ExecutorID, Attempts: row.Attempts,
			CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
			Input: rawJSON(row.Input), Output: rawJSON(row.Output),
		}
		if !row.CompletedAt.IsZero() {
			out[i].EndedAt = row.CompletedAt.UTC()
		}
		if row.Error != nil {
			out[i].Error = row.Error.Error()
		}
	}
	return out, nil
}

// ownStep begins the names of what DBOS records beside our steps, such as the
// answers of Patched.
const ownStep = "DBOS."

// Timeline returns the finished steps of a flow in the order they ran.
func (e *Engine) Timeline(ctx context.Context, id string) ([]StepInfo, error) {
	if _, err := e.Status(ctx, id); err != nil {
		return nil, err
	}
	return e.steps(ctx, id)
}

func (e *Engine) steps(ctx context.Context, id string) ([]StepInfo, error) {
	dc, done := e.client(ctx)
	defer done()
	rows, err := dbos.GetWorkflowSteps(dc, id)
	if err != nil {
		return nil, fmt.Errorf("the steps of flow %s: %w", id, err)
	}
	out := make([]StepInfo, 0, len(rows))
	for _, s := range rows {
		if strings.HasPrefix(s.StepName, ownStep) {
			continue
		}
		step := StepInfo{Name: s.StepName, StartedAt: s.StartedAt.UTC(), EndedAt: s.CompletedAt.UTC(), number: s.StepID}
		var rec record
		if err := json.Unmarshal(rawJSON(s.Output), &rec); err != nil {
			return nil, fmt.Errorf("step %s of flow %s: %w", s.StepName, id, err)
		}
		step.Output, step.Tries, step.Failed = rec.Value, rec.Tries, rec.Failed
		if rec.Error != nil {
			step.Error = rec.Error.Text
		}
		out = append(out, step)
	}
	return out, nil
}

// Cancel ends a flow for good: its running step is interrupted, no other step
// begins. What its steps did stays done. A flow that is final stays as it is.
func (e *Engine) Cancel(ctx context.Context, id string) error {
	if err := errors.Join(ctx.Err(), e.ready()); err != nil {
		return err
	}
	err := e.exclusively(ctx, func() error { // a flow that waits may just be woken
		dc, done := e.client(ctx)
		defer done()
		return dbos.CancelWorkflow(dc, id)
	})
	if errors.Is(err, dbos.ErrNonExistentWorkflow) {
		return noFlow(id)
	}
	if err != nil {
		return fmt.Errorf("cancelling flow %s: %w", id, err)
	}
	// The row says so first: a run that sees its context end finds it.
	e.interrupt(id)
	return nil
}

// interrupt ends what this node has of a flow. A run that parks meanwhile sees
// its context or is seen.
func (e *Engine) interrupt(id string) {
	e.interruptRuns(id)
	e.waits.letGo(id)
}

func (e *Engine) interruptRuns(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for x := range e.active[id] {
		x.cancel(errCancelled)
	}
}

// interruptCancelled ends the runs of flows that another node cancelled, and
// forgets flows that wait here without a run and are not this node's any more. It
// matters on a shared database only.
func (e *Engine) interruptCancelled(ctx context.Context) {
	if e.cfg.URL == "" {
		return
	}
	waiting := e.waits.all()
	var ids []string
	for _, p := range waiting {
		ids = append(ids, p.id)
	}
	e.mu.Lock()
	for id := range e.active {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	rows, err := e.list(ctx, []dbos.ListWorkflowsOption{
		dbos.WithFilterWorkflowIDs(ids...), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
	})
	if err != nil {
		if ctx.Err() == nil && e.dbos.Err() == nil {
			e.log.Warn("cannot see which flows were cancelled", "err", err)
		}
		return
	}
	ours := map[string]bool{}
	for _, info := range rows {
		ours[info.ID] = info.Status == Running && info.Node == e.cfg.NodeID
		if info.Status == Cancelled {
			e.interrupt(info.ID)
		}
	}
	// A run finds out at its next step; what waits without one would never.
	e.waits.unpark(slices.DeleteFunc(waiting, func(p *parked) bool { return ours[p.id] })...)
}

// client returns DBOS under a context that ends with ctx. It has none of ctx's
// values: within a flow DBOS would count the call as one of its steps.
func (e *Engine) client(ctx context.Context) (dbos.Context, func()) {
	dc, cancel := dbos.WithCancel(e.dbos)
	stop := context.AfterFunc(ctx, cancel)
	return dc, func() { stop(); cancel() }
}

func noFlow(id string) error { return errs.Newf(errs.NotFound, "there is no flow %q", id) }

// rawJSON returns a stored value. DBOS hands it out as the text of its JSON.
func rawJSON(v any) json.RawMessage {
	text, ok := v.(string)
	if !ok || text == "" {
		return nil
	}
	return json.RawMessage(text)
}
