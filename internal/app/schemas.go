package app

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event/schema"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// schemaPages shows everybody what events look like.
type schemaPages struct{ registry *schema.Registry }

// EventType is a type of event, without its schema.
type EventType struct {
	Name        string `json:"name" doc:"of its schema"`
	Source      string `json:"source" doc:"of plugins with {plugin} in it"`
	DetailType  string `json:"detailType" doc:"of plugins with {hook} and {plugin} in it"`
	Description string `json:"description"`
	When        string `json:"when" doc:"when it is said, in Markdown"`
	Schema      string `json:"schema" doc:"path of its JSON Schema"`
}

// Register adds the operations of the event types.
func (p schemaPages) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-event-types", Method: http.MethodGet, Path: "/api/events/schemas", Tags: []string{"events"},
		Summary: "All types of events, in the order of a video's life", Description: "They are few: all are on one page.",
	}, p.list)
	huma.Register(api, huma.Operation{
		OperationID: "get-event-schema", Method: http.MethodGet, Path: "/api/events/schemas/{name}", Tags: []string{"events"},
		Summary: "The JSON Schema (2020-12) of a type of event, with examples",
	}, p.get)
}

type eventTypes struct{ Body store.List[EventType] }

func (p schemaPages) list(context.Context, *struct{}) (*eventTypes, error) {
	all := store.List[EventType]{Data: []EventType{}}
	for _, t := range p.registry.Types() {
		all.Data = append(all.Data, EventType{
			Name: t.Name, Source: t.Source, DetailType: t.DetailType, Description: t.What, When: t.When, Schema: schema.BasePath + t.Name,
		})
	}
	all.Count = len(all.Data)
	return &eventTypes{all}, nil
}

type eventSchema struct {
	CacheControl string `header:"Cache-Control"`
	Body         json.RawMessage
}

func (p schemaPages) get(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"128"`
}) (*eventSchema, error) {
	t := p.registry.Named(in.Name)
	if t == nil {
		return nil, errs.Newf(errs.NotFound, "there is no event schema %q; /api/events/schemas lists them", in.Name)
	}
	return &eventSchema{"public, max-age=60", t.Schema}, nil
}
