package archive

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/archive/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the archive. All are for admins.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/archive" + path, Summary: summary, Description: description, Tags: []string{"archive"},
		}
	}
	huma.Register(api, op("get-archive", http.MethodGet, "", "How much is kept, and for how long", ""), s.getArchive)
	huma.Register(api, op("list-events", http.MethodGet, "/events", "What happened, newest first",
		"One request reads a bounded part of the archive. Where few events are found in it, the page is short, even empty, and has a nextPage all the same: go on with it."), s.listEvents)
	huma.Register(api, op("get-event", http.MethodGet, "/events/{id}", "An event", ""), s.getEvent)
	huma.Register(api, op("count-event-types", http.MethodGet, "/types", "How many events of each type there were",
		"Counts the newest 200,000 of the range."), s.countTypes)
	huma.Register(api, op("count-matches", http.MethodPost, "/count", "How many events a replay would deliver",
		"One request looks at a bounded part of the range, the oldest event first: add up what the pages say."), s.countMatches)
	created := op("create-replay", http.MethodPost, "/replays", "Replay events to a rule",
		"The events of the range that match the pattern and the rule's own are delivered to it, again where it had them before: as deliveries of their own, with the events' ids and marked with the replay's. It runs in the background, goes on after a restart, and waits while 1,000 deliveries of the rule wait.")
	created.DefaultStatus = http.StatusCreated
	huma.Register(api, created, s.createReplay)
	huma.Register(api, op("list-replays", http.MethodGet, "/replays", "Replays, newest first", "They are kept for 90 days after their end."), s.listReplays)
	huma.Register(api, op("get-replay", http.MethodGet, "/replays/{id}", "A replay", ""), s.getReplay)
	huma.Register(api, op("cancel-replay", http.MethodPost, "/replays/{id}/cancel", "Cancel a replay",
		"What waits of it is withdrawn."), s.cancelReplay)
}

func admin(ctx context.Context) (identity.Principal, error) {
	return identity.Require(ctx, identity.Admin)
}

// ArchiveView is the archive as a whole.
type ArchiveView struct {
	KeepDays int    `json:"keepDays" doc:"how long events are kept; 0: the archive is off"`
	MaxSize  int64  `json:"maxSize" doc:"bytes that they may take; 0: any"`
	Events   int64  `json:"events"`
	Size     int64  `json:"size" doc:"bytes that they take, about"`
	Oldest   string `json:"oldest,omitempty" format:"date-time" doc:"time of the oldest"`
}

type archiveOutput struct{ Body ArchiveView }

func (s *Service) getArchive(ctx context.Context, _ *struct{}) (*archiveOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	totals, err := s.queries().Totals(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading how much is kept: %w", err)
	}
	oldest, err := s.queries().OldestAt(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the oldest event: %w", err)
	}
	v := ArchiveView{KeepDays: int(s.cfg.Keep / (24 * time.Hour)), MaxSize: s.cfg.MaxSize, Events: totals.Events, Size: totals.Size}
	if len(oldest) > 0 {
		v.Oldest = store.Timestamp(oldest[0])
	}
	return &archiveOutput{v}, nil
}

// Range is a range of times.
type Range struct {
	From time.Time `query:"from" doc:"not before; the beginning where it is absent"`
	To   time.Time `query:"to" doc:"before; the end where it is absent"`
}

// bounds returns the range in ms.
func (r Range) bounds() (from, to int64, err error) {
	if from, to = r.From.UnixMilli(), endOf(r.To); from >= to {
		return 0, 0, errs.New(errs.Invalid, "the range is empty: from must be before to")
	}
	return from, to, nil
}

// EventsQuery says which events are wanted.
type EventsQuery struct {
	Range
	Source  string `query:"source" maxLength:"256" doc:"only of this source"`
	Type    string `query:"type" maxLength:"256" doc:"only of this detail-type"`
	About   string `query:"about" maxLength:"128" doc:"only about this video or stream, or about this channel alone"`
	Pattern string `query:"pattern" maxLength:"16384" doc:"only what matches this pattern, JSON as text, as of rules"`
	Offset  string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit   int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page, at most"`
}

type eventList struct{ Body store.List[EventView] }

func (s *Service) listEvents(ctx context.Context, in *EventsQuery) (*eventList, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	page, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	from, to, err := in.bounds()
	if err != nil {
		return nil, err
	}
	p, err := compile("query.pattern", in.Pattern)
	if err != nil {
		return nil, err
	}
	w := &search{
		s: s, filter: filter{source: in.Source, detailType: in.Type, about: in.About, pattern: p}, from: from, before: page.After, limit: page.Limit,
	}
	if w.before.At >= to {
		w.before = store.Key{At: to}
	}
	next, err := w.run(ctx)
	if err != nil {
		return nil, err
	}
	list := store.MakeList(page, w.found, func(sqlc.ArchiveEvent) store.Key { return store.Key{} }, viewEvent)
	if next != nil {
		list.NextPage = next.String()
	}
	return &eventList{list}, nil
}

type eventOutput struct{ Body EventView }

func (s *Service) getEvent(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"128"`
}) (*eventOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	e, err := s.event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &eventOutput{viewEvent(e)}, nil
}

// mostTypesCounted is how many events are counted by type.
const mostTypesCounted = 200_000

// TypeCount is how many events of a type there were.
type TypeCount struct {
	Source     string `json:"source"`
	DetailType string `json:"detailType"`
	Count      int64  `json:"count"`
}

// TypeCounts are the counts of a range.
type TypeCounts struct {
	Complete bool        `json:"complete" doc:"whether all events of the range are counted"`
	Count    int         `json:"count" doc:"types"`
	Data     []TypeCount `json:"data" nullable:"false"`
}

type typesOutput struct{ Body TypeCounts }

func (s *Service) countTypes(ctx context.Context, in *Range) (*typesOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	from, to, err := in.bounds()
	if err != nil {
		return nil, err
	}
	rows, err := s.queries().CountTypes(ctx, sqlc.CountTypesParams{FromAt: from, ToAt: to, Most: mostTypesCounted})
	if err != nil {
		return nil, fmt.Errorf("counting the events: %w", err)
	}
	out := TypeCounts{Count: len(rows), Data: []TypeCount{}}
	total := int64(0)
	for _, row := range rows {
		total += row.Events
		out.Data = append(out.Data, TypeCount{row.Source, row.DetailType, row.Events})
	}
	out.Complete = total < mostTypesCounted
	return &typesOutput{out}, nil
}
