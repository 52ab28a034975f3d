package history

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// TimelineStep is something that happened to a video.
type TimelineStep struct {
	Type        string `json:"type" enum:"service"`
	CreatedAt   string `json:"createdAt" format:"date-time"`
	VideoID     string `json:"videoId"`
	Key         string `json:"key" doc:"unique in the video's history"`
	Parent      string `json:"parent,omitempty" doc:"key of the step that it belongs to, a plugin's hook"`
	Icon        string `json:"icon" enum:"live,video,stop,database,gear,film,play,sparkles,shield,eye,tag,plug,check,check-circle,x-circle,alert,clock"`
	Title       string `json:"title"`
	Subtitle    string `json:"subtitle" doc:"may be empty"`
	Description string `json:"description" doc:"may be empty; what plugins and programs say is for the owner and admins"`
}

// TimelineMetric is something that was measured of a video.
type TimelineMetric struct {
	Type      string `json:"type" enum:"metric"`
	CreatedAt string `json:"createdAt" format:"date-time"`
	VideoID   string `json:"videoId"`
	Key       string `json:"key" doc:"unique in the video's history"`
	Label     string `json:"label"`
	Value     string `json:"value" doc:"for people, with its unit: 12 s, 4.2 MB"`
}

// TimelineEntry is a TimelineStep or a TimelineMetric.
type TimelineEntry struct{ content any }

// MarshalJSON writes the one that it is.
func (e TimelineEntry) MarshalJSON() ([]byte, error) { return json.Marshal(e.content) }

// Schema describes both, told apart by their type.
func (TimelineEntry) Schema(r huma.Registry) *huma.Schema {
	step := r.Schema(reflect.TypeFor[TimelineStep](), true, "")
	metric := r.Schema(reflect.TypeFor[TimelineMetric](), true, "")
	return &huma.Schema{
		OneOf: []*huma.Schema{step, metric},
		Discriminator: &huma.Discriminator{
			PropertyName: "type", Mapping: map[string]string{"service": step.Ref, "metric": metric.Ref},
		},
	}
}

type timeline struct {
	CacheControl string `header:"Cache-Control"`
	Body         store.List[TimelineEntry]
}

// Register adds the history's operation to the API.
func (s *Service) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "get-video-history", Method: http.MethodGet, Path: "/api/video/{id}/history",
		Summary: "What happened to a video, oldest first",
		Description: "The steps and metrics of the video's timeline, oldest first. Who may read the video may read its history. " +
			"A step changes while what it tells of goes on: a plugin's works, then has passed.",
		Tags: []string{"videos"},
	}, s.getHistory)
}

func (s *Service) getHistory(ctx context.Context, in *struct {
	ID     string `path:"id" maxLength:"128"`
	Offset string `query:"offset" maxLength:"512" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*timeline, error) {
	page, err := store.ParsePageOldestFirst(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	if err := s.access.MayRead(ctx, in.ID); err != nil {
		return nil, err
	}
	channel, facts, err := s.facts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rows := tell(facts)
	for len(rows) > 0 && rows[0].place().Compare(page.After) <= 0 {
		rows = rows[1:]
	}
	full := governs(ctx, channel)
	return &timeline{
		CacheControl: "private, no-cache",
		Body:         store.MakeList(page, rows, entry.place, func(e entry) TimelineEntry { return show(in.ID, e, full) }),
	}, nil
}

// governs says whether who asks is the channel's owner or an admin.
func governs(ctx context.Context, channel string) bool {
	p, ok := identity.From(ctx)
	return ok && (p.ID == channel || p.Roles.Has(identity.Admin))
}

func show(video string, e entry, full bool) TimelineEntry {
	at := store.Timestamp(e.at)
	if e.metric() {
		return TimelineEntry{TimelineMetric{
			Type: "metric", CreatedAt: at, VideoID: video, Key: e.key, Label: e.label, Value: e.value,
		}}
	}
	description := e.description
	if full {
		description = strings.TrimSpace(description + " " + e.told)
	}
	return TimelineEntry{TimelineStep{
		Type: "service", CreatedAt: at, VideoID: video, Key: e.key, Parent: e.parent,
		Icon: e.icon, Title: e.title, Subtitle: e.subtitle, Description: description,
	}}
}
