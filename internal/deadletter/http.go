package deadletter

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the dead letters. All are for admins.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/dead-letters" + path, Summary: summary, Description: description, Tags: []string{"dead letters"},
		}
	}
	huma.Register(api, op("list-dead-letters", http.MethodGet, "", "Events that a part of the server could not handle, newest first",
		"Kept for 30 days. What rules could not deliver is listed with each rule."), s.list)
	huma.Register(api, op("count-dead-letters", http.MethodGet, "/count", "How many dead letters there are", ""), s.count)
	huma.Register(api, op("get-dead-letter", http.MethodGet, "/{id}", "A dead letter with its event", "Task tokens are masked."), s.get)
	huma.Register(api, op("redrive-dead-letter", http.MethodPost, "/{id}/redrive", "Give a dead letter to its consumer once more",
		"To nobody else. It is gone when this succeeds; 409 says why it could still not be handled."), s.redriveOne)
	huma.Register(api, op("redrive-all-dead-letters", http.MethodPost, "/redrive", "Give dead letters to their consumers once more",
		"Up to 100 with each request, newest first; go on with nextPage while there is one."), s.redriveMany)
	huma.Register(api, op("delete-dead-letter", http.MethodDelete, "/{id}", "Delete a dead letter", ""), s.deleteOne)
	huma.Register(api, op("purge-all-dead-letters", http.MethodDelete, "", "Delete all dead letters", ""), s.purge)
}

func admin(ctx context.Context) error {
	_, err := identity.Require(ctx, identity.Admin)
	return err
}

// LetterView is a dead letter as admins see it.
type LetterView struct {
	ID         string `json:"id"`
	At         string `json:"at" format:"date-time" doc:"when it was put away"`
	Consumer   string `json:"consumer" doc:"the part of the server that could not handle it"`
	Reason     string `json:"reason" doc:"what went wrong in its last try"`
	EventID    string `json:"eventId"`
	Source     string `json:"source"`
	DetailType string `json:"detailType"`
	About      string `json:"about" doc:"the video, stream or channel; - when none is known"`
	Time       string `json:"time" format:"date-time" doc:"the event's"`
}

// LetterDetail is a dead letter with its event.
type LetterDetail struct {
	LetterView
	Event event.Envelope `json:"event"`
}

func view(l Letter) LetterView { return detail(l).LetterView }

func detail(l Letter) LetterDetail {
	e, err := event.Parse(l.Data)
	if err != nil { // what is no event never becomes one
		e = event.Envelope{DetailType: l.Subject}
	}
	e = e.Masked()
	return LetterDetail{Event: e, LetterView: LetterView{
		ID: strconv.FormatUint(l.Number, 10), At: store.Timestamp(l.At.UnixMilli()), Consumer: l.Consumer, Reason: l.Reason,
		EventID: e.ID, Source: e.Source, DetailType: e.DetailType, About: cmp.Or(e.About(), "-"), Time: store.Timestamp(e.Time.UnixMilli()),
	}}
}

// place of a letter in the list: its number alone.
func place(number uint64) store.Key { return store.Key{At: int64(number)} }

// page reads offset and limit; before is the number below which the page begins.
func page(offset string, limit int) (p store.Page, before uint64, err error) {
	p, err = store.ParsePage(offset, limit)
	if offset != "" {
		before = uint64(max(1, p.After.At))
	}
	return p, before, err
}

type letterList struct{ Body store.List[LetterView] }

func (s *Service) list(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*letterList, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	p, before, err := page(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	all, err := s.letters.Before(ctx, before, p.Limit+1)
	if err != nil {
		return nil, err
	}
	return &letterList{store.MakeList(p, all, func(l Letter) store.Key { return place(l.Number) }, view)}, nil
}

// Counts are how many dead letters there are.
type Counts struct {
	Count     int64            `json:"count" minimum:"0"`
	Consumers map[string]int64 `json:"consumers" doc:"by the part of the server that could not handle them"`
}

type countsOutput struct{ Body Counts }

func (s *Service) count(ctx context.Context, _ *struct{}) (*countsOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	by, err := s.letters.Count(ctx)
	if err != nil {
		return nil, err
	}
	out := Counts{Consumers: by}
	for _, n := range by {
		out.Count += n
	}
	return &countsOutput{out}, nil
}

// ByID names a dead letter in the path. It is exported for huma to fill it in.
type ByID struct {
	ID uint64 `path:"id" minimum:"1"`
}

type letterOutput struct{ Body LetterDetail }

func (s *Service) get(ctx context.Context, in *ByID) (*letterOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	l, err := s.letters.Letter(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &letterOutput{detail(l)}, nil
}

func (s *Service) redriveOne(ctx context.Context, in *ByID) (*struct{}, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	return nil, s.redrive(ctx, in.ID)
}

// Redriven is what became of dead letters.
type Redriven struct {
	NextPage string `json:"nextPage,omitempty" doc:"offset of the next request; absent: these were all"`
	Handled  int    `json:"handled" doc:"these are gone"`
	Failed   int    `json:"failed" doc:"these could still not be handled, and stay"`
}

type redrivenOutput struct{ Body Redriven }

func (s *Service) redriveMany(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the request before, unread"`
}) (*redrivenOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	_, before, err := page(in.Offset, 1)
	if err != nil {
		return nil, err
	}
	done, err := s.redriveAll(ctx, before)
	if err != nil {
		return nil, err
	}
	out := Redriven{Handled: done.handled, Failed: done.failed}
	if done.next > 0 {
		out.NextPage = place(done.next).String()
	}
	return &redrivenOutput{out}, nil
}

func (s *Service) deleteOne(ctx context.Context, in *ByID) (*struct{}, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	if _, err := s.letters.Letter(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, s.letters.Delete(ctx, in.ID)
}

// Purged is how many there were.
type Purged struct {
	Count int64 `json:"count" minimum:"0"`
}

type purgedOutput struct{ Body Purged }

func (s *Service) purge(ctx context.Context, in *struct {
	UpTo uint64 `query:"upTo" minimum:"1" maximum:"9007199254740991" doc:"only those up to this id, so that none goes that nobody has seen"`
}) (*purgedOutput, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	n, err := s.letters.Purge(ctx, cmp.Or(in.UpTo, math.MaxInt64))
	if err != nil {
		return nil, err
	}
	return &purgedOutput{Purged{n}}, nil
}
