package archive

import (
	"encoding/json"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// EventView is an event as the API and the live view show it.
type EventView struct {
	ID         string `json:"id"`
	At         string `json:"at" format:"date-time" doc:"the event's time, or when it was kept if that was earlier"`
	Source     string `json:"source"`
	DetailType string `json:"detailType"`
	About      string `json:"about,omitempty" doc:"id of the video or stream that it is about, else of the channel"`
	Event      any    `json:"event" doc:"the whole event, with task tokens masked"`
}

func viewEvent(e sqlc.ArchiveEvent) EventView {
	v := EventView{
		ID: e.ID, At: store.Timestamp(e.At), Source: e.Source, DetailType: e.DetailType, About: e.About, Event: json.RawMessage(e.Body),
	}
	if v.About == "-" {
		v.About = ""
	}
	return v
}

// ReplayView is a replay as the API shows it.
type ReplayView struct {
	ID        string `json:"id" doc:"it stands in the deliveries, and in webhooks as webhook-replay"`
	RuleID    string `json:"ruleId"`
	RuleName  string `json:"ruleName" doc:"as it was when the replay began"`
	From      string `json:"from" format:"date-time"`
	To        string `json:"to" format:"date-time" doc:"the first moment that is not part of it"`
	Pattern   string `json:"pattern,omitempty" doc:"which of the events that match the rule's own pattern; absent: all"`
	State     string `json:"state" enum:"running,done,cancelled,failed" doc:"done: all deliveries are queued with the rule"`
	Reason    string `json:"reason,omitempty" doc:"why it failed, or waits"`
	Events    int64  `json:"events" doc:"of the range, when it began"`
	LookedAt  int64  `json:"lookedAt" doc:"events that were looked at"`
	Matched   int64  `json:"matched" doc:"of them matched"`
	Queued    int64  `json:"queued" doc:"deliveries that were made of them"`
	Withdrawn int64  `json:"withdrawn" doc:"deliveries that were taken back when it was cancelled"`
	CreatedBy string `json:"createdBy" doc:"who began it, a user's id"`
	CreatedAt string `json:"createdAt" format:"date-time"`
	EndedAt   string `json:"endedAt,omitempty" format:"date-time"`
}

func viewReplay(r sqlc.ArchiveReplay) ReplayView {
	v := ReplayView{
		ID: r.ID, RuleID: r.RuleID, RuleName: r.RuleName, From: store.Timestamp(r.FromAt), To: store.Timestamp(r.ToAt), Pattern: r.Pattern,
		State: r.State, Reason: r.Reason, Events: r.Events, LookedAt: r.LookedAt, Matched: r.Matched, Queued: r.Queued,
		Withdrawn: r.Withdrawn, CreatedBy: r.CreatedBy, CreatedAt: store.Timestamp(r.CreatedAt),
	}
	if r.EndedAt > 0 {
		v.EndedAt = store.Timestamp(r.EndedAt)
	}
	return v
}
