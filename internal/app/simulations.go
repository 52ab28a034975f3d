package app

import (
	"context"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/simulator"
	"github.com/serverlessvideo/serverlessvideo/internal/video"
)

// newSimulator makes the simulator of the services whose work it replays.
func (a *App) newSimulator(s *services) *simulator.Service {
	return simulator.New(simulator.Needs{
		DB: a.db, Recordings: recordings{s.videos}, Plugins: s.plugins, Work: s.postprocess,
		Traces: []simulator.Traces{s.postprocess, s.plugins, s.videos, s.history}, Log: a.log,
	}, simulator.Config{})
}

// recordings is what the simulator needs of the catalogue.
type recordings struct{ videos *video.Service }

// LastRecordings returns the newest n.
func (r recordings) LastRecordings(ctx context.Context, n int) ([]simulator.Recording, error) {
	found, err := r.videos.LastRecordings(ctx, n)
	out := make([]simulator.Recording, len(found))
	for i, f := range found {
		out[i] = simulator.Recording(f)
	}
	return out, err
}

// StartSimulation begins a simulation that the command follows.
func (o *operator) StartSimulation(ctx context.Context, n admin.NewSimulation) (admin.Simulation, error) {
	if o.node == nil {
		return admin.Simulation{}, admin.ErrNotRunning
	}
	run, err := o.node.services.simulator.Start(ctx, simulator.Options{Last: n.Last, AtOnce: n.AtOnce, Keep: n.Keep, Followed: true})
	if err != nil {
		return admin.Simulation{}, err
	}
	return o.simulation(ctx, run)
}

// FollowSimulation says how it is.
func (o *operator) FollowSimulation(ctx context.Context, id string) (admin.Simulation, error) {
	if o.node == nil {
		return admin.Simulation{}, admin.ErrNotRunning
	}
	if err := o.node.services.simulator.Follow(ctx, id); err != nil {
		return admin.Simulation{}, err
	}
	return o.simulation(ctx, id)
}

// StopSimulation ends it.
func (o *operator) StopSimulation(ctx context.Context, id string) (admin.Simulation, error) {
	if o.node == nil {
		return admin.Simulation{}, admin.ErrNotRunning
	}
	if err := o.node.services.simulator.Stop(ctx, id, false); err != nil {
		return admin.Simulation{}, err
	}
	return o.simulation(ctx, id)
}

func (o *operator) simulation(ctx context.Context, id string) (admin.Simulation, error) {
	v, err := o.node.services.simulator.Get(ctx, id)
	if err != nil {
		return admin.Simulation{}, err
	}
	videos, err := o.node.services.simulator.Videos(ctx, id, 0, simulator.MaxLast)
	if err != nil {
		return admin.Simulation{}, err
	}
	out := admin.Simulation{
		ID: v.ID, State: v.State, Ending: v.Ending, CreatedAt: v.CreatedAt, EndedAt: v.EndedAt, Asked: v.Asked, AtOnce: v.AtOnce,
		Keep: v.Keep, Total: v.Total, Percent: v.Percent, Counts: admin.SimulationCounts(v.Counts), Skipped: v.Skipped,
		Measures: admin.SimulationMeasures{
			Processing: admin.SimulationSpread(v.Measures.Processing), Lifecycle: admin.SimulationSpread(v.Measures.Lifecycle),
			Whole: admin.SimulationSpread(v.Measures.Whole), PerMinute: v.Measures.PerMinute, Speed: v.Measures.Speed,
		},
		Videos: make([]admin.SimulationVideo, len(videos)),
	}
	for i, one := range videos {
		out.Videos[i] = admin.SimulationVideo(one)
	}
	return out, nil
}
