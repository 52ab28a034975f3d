package flowadmin

import (
	"encoding/json"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
)

// FlowView is a flow as lists show it.
type FlowView struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Status    string        `json:"status" enum:"queued,running,done,failed,cancelled,abandoned" doc:"queued: waits for a node; abandoned: interrupted too often"`
	Outcome   string        `json:"outcome,omitempty" doc:"what it has come to when it is done, in a word: of a lifecycle failed or invalid, when the video did not pass; of post-processing done or failed"`
	Video     string        `json:"video,omitempty" doc:"the id of the video that it works on"`
	Node      string        `json:"node,omitempty" doc:"that runs it, or ran it last"`
	Attempts  int           `json:"attempts" doc:"how often a node has taken it up"`
	CreatedAt string        `json:"createdAt" format:"date-time"`
	UpdatedAt string        `json:"updatedAt" format:"date-time"`
	EndedAt   string        `json:"endedAt,omitempty" format:"date-time"`
	Doing     *ActivityView `json:"doing,omitempty" doc:"what it does now; known of flows that the node which answers runs"`
}

// ActivityView is what a flow does now.
type ActivityView struct {
	Step    string    `json:"step"`
	Since   string    `json:"since" format:"date-time"`
	Waits   bool      `json:"waits" doc:"it waits for something that happens elsewhere, such as a plugin's answer"`
	Until   string    `json:"until,omitempty" format:"date-time" doc:"for how long it waits at most"`
	Tries   int       `json:"tries" doc:"that have begun"`
	NextTry string    `json:"nextTryAt,omitempty" format:"date-time" doc:"when it is tried again; absent while a try runs"`
	Failed  []TryView `json:"failedTries" nullable:"false" doc:"the last 5, oldest first"`
}

// TryView is a try of a step that failed.
type TryView struct {
	At    string `json:"at" format:"date-time"`
	Error string `json:"error"`
}

// StepView is a step that is over.
type StepView struct {
	Name       string    `json:"name"`
	State      string    `json:"state" enum:"done,failed"`
	StartedAt  string    `json:"startedAt" format:"date-time"`
	EndedAt    string    `json:"endedAt" format:"date-time"`
	DurationMS int64     `json:"durationMillis"`
	Tries      int       `json:"tries" doc:"in the run that ended it; 0 when an older version did not count them"`
	Failed     []TryView `json:"failedTries" nullable:"false" doc:"the last 5 before the one that counts, oldest first"`
	Output     any       `json:"output,omitempty" doc:"what it returned, any JSON"`
	Error      string    `json:"error,omitempty" doc:"why it failed"`
}

// RetryView says what trying the flow again would mean.
type RetryView struct {
	Possible bool     `json:"possible"`
	Reason   string   `json:"reason,omitempty" doc:"why it is not, and what would help"`
	NewID    string   `json:"newId,omitempty" doc:"the id of the flow that it would begin; absent when the flow itself would go on"`
	From     []string `json:"from" nullable:"false" doc:"places from which it may be tried again"`
}

// FlowDetail is a flow with all that is kept of it.
type FlowDetail struct {
	FlowView
	Input  any        `json:"input,omitempty" doc:"any JSON"`
	Output any        `json:"output,omitempty" doc:"what it returned, any JSON"`
	Error  string     `json:"error,omitempty" doc:"why it failed"`
	Steps  []StepView `json:"steps" nullable:"false" doc:"in the order they ran"`
	Retry  RetryView  `json:"retry"`
}

// SummaryView is how all flows are.
type SummaryView struct {
	Counts []CountView `json:"counts" nullable:"false"`
	Oldest *FlowView   `json:"oldest,omitempty" doc:"of those that are not over"`
	Nodes  []NodeView  `json:"nodes" nullable:"false"`
}

// CountView is how many flows of a name are in a status.
type CountView struct {
	Name   string `json:"name"`
	Status string `json:"status" enum:"queued,running,done,failed,cancelled,abandoned"`
	Count  int64  `json:"count"`
}

// NodeView is a node that runs flows, or has within the last day.
type NodeView struct {
	ID        string `json:"id"`
	Self      bool   `json:"self" doc:"it is the one that answers"`
	Alive     bool   `json:"alive" doc:"the others take up the flows of a node that is not"`
	ExpiresAt string `json:"leaseExpiresAt" format:"date-time"`
}

func (s *Service) view(i flow.Info) FlowView {
	v := FlowView{
		ID: i.ID, Name: i.Name, Status: string(i.Status), Node: i.Node, Attempts: i.Attempts,
		CreatedAt: showTime(i.CreatedAt), UpdatedAt: showTime(i.UpdatedAt), EndedAt: showTime(i.EndedAt),
	}
	v.Outcome = outcomeOf(i)
	if o := s.owner(i.Name); o != nil {
		v.Video = o.FlowVideo(i.ID)
	}
	if i.Status != flow.Running {
		return v
	}
	if a, ok := s.engine.Activity(i.ID); ok {
		v.Doing = &ActivityView{
			Step: a.Step, Since: showTime(a.Since), Waits: a.Waits, Until: showTime(a.Deadline),
			Tries: a.Tries, NextTry: showTime(a.NextTry), Failed: showTries(a.Failed),
		}
	}
	return v
}

func (s *Service) detail(i flow.Info, steps []flow.StepInfo, plan flow.RetryPlan) FlowDetail {
	d := FlowDetail{
		FlowView: s.view(i), Input: showJSON(i.Input), Output: showJSON(i.Output), Error: i.Error, Steps: make([]StepView, 0, len(steps)),
		Retry: RetryView{Possible: plan.Refusal == "", Reason: plan.Refusal, NewID: plan.NewID, From: append([]string{}, plan.From...)},
	}
	for _, step := range steps {
		v := StepView{
			Name: step.Name, State: "done", StartedAt: showTime(step.StartedAt), EndedAt: showTime(step.EndedAt),
			DurationMS: step.EndedAt.Sub(step.StartedAt).Milliseconds(), Tries: step.Tries, Failed: showTries(step.Failed),
			Output: showJSON(step.Output), Error: step.Error,
		}
		if step.Error != "" {
			v.State = "failed"
		}
		d.Steps = append(d.Steps, v)
	}
	return d
}

func (s *Service) summary(sum flow.Summary, nodes []flow.Node) SummaryView {
	v := SummaryView{Counts: make([]CountView, 0, len(sum.Counts)), Nodes: make([]NodeView, 0, len(nodes))}
	for _, c := range sum.Counts {
		v.Counts = append(v.Counts, CountView{Name: c.Name, Status: string(c.Status), Count: c.Flows})
	}
	for _, n := range nodes {
		v.Nodes = append(v.Nodes, NodeView{ID: n.ID, Self: n.Self, Alive: n.Alive, ExpiresAt: showTime(n.ExpiresAt)})
	}
	if sum.Oldest != nil {
		oldest := s.view(*sum.Oldest)
		v.Oldest = &oldest
	}
	return v
}

// outcomeOf is what the flow returned, if it is a word.
func outcomeOf(i flow.Info) string {
	var word string
	if json.Unmarshal(i.Output, &word) != nil || len(word) > 32 {
		return ""
	}
	return word
}

func showTries(failed []flow.FailedTry) []TryView {
	out := make([]TryView, 0, len(failed))
	for _, f := range failed {
		out = append(out, TryView{At: showTime(f.At), Error: f.Error})
	}
	return out
}

// showJSON masks task tokens; nil stands for nothing.
func showJSON(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return event.MaskedJSON(raw)
}

func showTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
