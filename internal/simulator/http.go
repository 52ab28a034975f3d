package simulator

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/identity"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator/sqlc"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// Register adds the operations of the simulator. All are for admins.
func (s *Service) Register(api huma.API) {
	op := func(id, method, path, summary, description string, status int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/api/simulations" + path, Summary: summary, Description: description,
			Tags: []string{"simulations"}, DefaultStatus: status,
		}
	}
	huma.Register(api, op("start-simulation", http.MethodPost, "", "Replay the newest recordings",
		"Each goes through post-processing and the plugin lifecycle as a video of its own that admins alone see. "+
			"Only plugins that say they have no effects are asked. When it is over, the videos are removed. One runs at a time.",
		http.StatusCreated), s.startSimulation)
	huma.Register(api, op("list-simulations", http.MethodGet, "", "The simulations, newest first",
		"The results of the last 50 are kept, for 30 days.", http.StatusOK), s.listSimulations)
	huma.Register(api, op("get-simulation", http.MethodGet, "/{id}", "A simulation and what it measured", "", http.StatusOK), s.getSimulation)
	huma.Register(api, op("list-simulation-videos", http.MethodGet, "/{id}/videos", "What a simulation replays and how far it is", "",
		http.StatusOK), s.listVideos)
	huma.Register(api, op("stop-simulation", http.MethodPost, "/{id}/stop", "End a simulation and remove its videos",
		"Its results stay. For one that is over this removes the videos that were kept.", http.StatusAccepted), s.stopSimulation)
	huma.Register(api, op("delete-simulation", http.MethodDelete, "/{id}", "End a simulation, remove its videos and forget its results",
		"It is gone when its videos are.", http.StatusAccepted), s.deleteSimulation)
}

func admin(ctx context.Context) (identity.Principal, error) {
	return identity.Require(ctx, identity.Admin)
}

// SimulationInput says what a simulation does.
type SimulationInput struct {
	Last   int  `json:"last,omitempty" minimum:"1" maximum:"1000" default:"1" doc:"how many of the newest recordings are replayed"`
	AtOnce int  `json:"atOnce,omitempty" minimum:"1" maximum:"1000" default:"4" doc:"how many of them at a time; what is really recorded meanwhile waits behind them"`
	Keep   bool `json:"keep,omitempty" doc:"keep the videos until the simulation is stopped or deleted"`
}

type runOutput struct{ Body SimulationView }

// ByID names a simulation in the path. It is exported for huma to fill it in.
type ByID struct {
	ID string `path:"id" maxLength:"128"`
}

func (s *Service) startSimulation(ctx context.Context, in *struct{ Body SimulationInput }) (*runOutput, error) {
	who, err := admin(ctx)
	if err != nil {
		return nil, err
	}
	run, err := s.Start(ctx, Options{Last: in.Body.Last, AtOnce: in.Body.AtOnce, Keep: in.Body.Keep, StartedBy: who.Username})
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, run)
}

func (s *Service) answer(ctx context.Context, runID string) (*runOutput, error) {
	v, err := s.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	return &runOutput{v}, nil
}

type runList struct{ Body store.List[SimulationView] }

func (s *Service) listSimulations(ctx context.Context, in *struct {
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*runList, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := store.ParsePage(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.q().ListRuns(ctx, sqlc.ListRunsParams{At: p.After.At, LastID: p.After.ID, RowCount: int32(p.Limit) + 1})
	if err != nil {
		return nil, fmt.Errorf("listing the simulations: %w", err)
	}
	views := make([]SimulationView, len(rows))
	for i, r := range rows {
		if views[i], err = s.view(ctx, r); err != nil {
			return nil, err
		}
	}
	key := func(v SimulationView) store.Key { return store.Key{At: v.created, ID: v.ID} }
	return &runList{store.MakeList(p, views, key, func(v SimulationView) SimulationView { return v })}, nil
}

func (s *Service) getSimulation(ctx context.Context, in *ByID) (*runOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	return s.answer(ctx, in.ID)
}

type videoList struct{ Body store.List[SimulatedVideo] }

func (s *Service) listVideos(ctx context.Context, in *struct {
	ByID
	Offset string `query:"offset" maxLength:"256" doc:"nextPage of the page before, unread"`
	Limit  int    `query:"limit" default:"10" minimum:"1" maximum:"100" doc:"rows on a page"`
}) (*videoList, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	p, err := store.ParsePageOldestFirst(in.Offset, in.Limit)
	if err != nil {
		return nil, err
	}
	videos, err := s.Videos(ctx, in.ID, max(0, p.After.At), p.Limit+1)
	if err != nil {
		return nil, err
	}
	key := func(v SimulatedVideo) store.Key { return store.Key{At: int64(v.Number), ID: v.ID} }
	return &videoList{store.MakeList(p, videos, key, func(v SimulatedVideo) SimulatedVideo { return v })}, nil
}

func (s *Service) stopSimulation(ctx context.Context, in *ByID) (*runOutput, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	if err := s.Stop(ctx, in.ID, false); err != nil {
		return nil, err
	}
	return s.answer(ctx, in.ID)
}

func (s *Service) deleteSimulation(ctx context.Context, in *ByID) (*struct{}, error) {
	if _, err := admin(ctx); err != nil {
		return nil, err
	}
	return nil, s.Stop(ctx, in.ID, true)
}
