package pluginmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// PluginInfo is a plugin as the API shows it.
type PluginInfo struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Author      string   `json:"author,omitempty"`
	Version     string   `json:"version,omitempty"`
	Tags        []string `json:"tags,omitempty" nullable:"false"`
	EventHook   string   `json:"eventHook" enum:"preValidate,postValidate,preMetadata,postMetadata,onEvent" doc:"onEvent: rules give it events, no lifecycle asks it"`
	TimeLimit   float64  `json:"timeLimit" doc:"seconds that it has for one video"`
	Kind        string   `json:"kind" enum:"builtin,configured"`
	Effects     bool     `json:"effects" doc:"whether something may come of it but its answer; a simulation does not ask it then"`
}

// Register adds the plugin manager's operations to the API.
func (s *Service) Register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-plugins", Method: http.MethodGet, Path: "/api/plugins",
		Summary: "The registered plugins, newest first", Tags: []string{"plugins"},
	}, s.listPlugins)
}

type pluginList struct{ Body store.List[PluginInfo] }

func (s *Service) listPlugins(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*pluginList, error) {
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := sqlc.New(s.db.Read()).ListPlugins(ctx, sqlc.ListPluginsParams{
		At: p.After.At, LastName: p.After.ID, RowCount: int32(p.Limit) + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("listing plugins: %w", err)
	}
	key := func(r sqlc.Plugin) store.Key { return store.Key{At: r.CreatedAt, ID: r.Name} }
	return &pluginList{Body: store.MakeList(p, rows, key, show)}, nil
}

func show(r sqlc.Plugin) PluginInfo {
	var m Manifest
	_ = json.Unmarshal([]byte(r.Manifest), &m) // written by register alone
	return PluginInfo{
		Name: r.Name, Description: m.Description, Author: m.Author, Version: m.Version, Tags: m.Tags,
		EventHook: r.Hook, TimeLimit: (time.Duration(r.TimeLimitMs) * time.Millisecond).Seconds(), Kind: r.Kind,
		Effects: m.hasEffects(),
	}
}
