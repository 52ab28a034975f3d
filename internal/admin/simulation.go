package admin

import (
	"context"
	"os"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// ErrNotRunning is what a command gets that only a running node can do.
var ErrNotRunning = errs.New(errs.Unavailable, "no node runs on this data folder, and this needs one: start it (serverlessvideo serve), or name its folder with --data-dir")

// OnRunning runs fn by the node that runs on the data folder dir. The error wraps
// ErrNotRunning when none does; nothing is made then.
func OnRunning(ctx context.Context, dir string, fn func(Operations) error) error {
	if _, err := os.Stat(dir); err != nil {
		return ErrNotRunning
	}
	return With(ctx, dir, func(context.Context) (Offline, error) { return nil, ErrNotRunning }, fn)
}

// NewSimulation says which simulation to begin.
type NewSimulation struct {
	Last   int  `json:"last"`   // how many of the newest recordings are replayed
	AtOnce int  `json:"atOnce"` // how many of them at a time
	Keep   bool `json:"keep"`   // its videos stay when it has finished
}

// Simulation is a simulation as the API shows it, with its videos.
type Simulation struct {
	ID        string             `json:"id"`
	State     string             `json:"state"` // running, kept, removing, removed
	Ending    string             `json:"ending,omitempty"`
	CreatedAt string             `json:"createdAt"`
	EndedAt   string             `json:"endedAt,omitempty"`
	Asked     int                `json:"asked"`
	AtOnce    int                `json:"atOnce"`
	Keep      bool               `json:"keep"`
	Total     int                `json:"total"`
	Percent   int                `json:"percent"`
	Counts    SimulationCounts   `json:"counts"`
	Measures  SimulationMeasures `json:"measures"`
	Skipped   []string           `json:"skipped"` // plugins that were not asked
	Videos    []SimulationVideo  `json:"videos"`
}

// SimulationCounts are a simulation's videos by where they stand.
type SimulationCounts struct {
	Waiting int `json:"waiting"`
	Working int `json:"working"`
	Valid   int `json:"valid"`
	Invalid int `json:"invalid"`
	Failed  int `json:"failed"`
	Dropped int `json:"dropped"`
}

// SimulationSpread is how long something took, in ms.
type SimulationSpread struct {
	Count int   `json:"count"`
	P50   int64 `json:"p50"`
	P95   int64 `json:"p95"`
	Max   int64 `json:"max"`
}

// SimulationMeasures are what a simulation measured.
type SimulationMeasures struct {
	Processing SimulationSpread `json:"processing"`
	Lifecycle  SimulationSpread `json:"lifecycle"`
	Whole      SimulationSpread `json:"whole"`
	PerMinute  float64          `json:"perMinute"` // videos
	Speed      float64          `json:"speed"`     // seconds of video in a second
}

// SimulationVideo is a simulated video. Times are in ms.
type SimulationVideo struct {
	ID         string `json:"id"`
	Number     int    `json:"number"`
	Original   string `json:"original"`
	Channel    string `json:"channel"`
	Title      string `json:"title,omitempty"`
	Duration   int64  `json:"duration"`
	State      string `json:"state"` // waiting, processing, plugins, valid, invalid, failed, dropped
	Step       string `json:"step,omitempty"`
	Percent    int    `json:"percent"`
	Reason     string `json:"reason,omitempty"`
	Compute    string `json:"compute,omitempty"`
	Processing int64  `json:"processing"`
	Lifecycle  int64  `json:"lifecycle"`
	Whole      int64  `json:"whole"`
}

func startSimulation() operation[NewSimulation, Simulation] {
	return operation[NewSimulation, Simulation]{path: "/simulation/start", run: Operations.StartSimulation}
}

func followSimulation() operation[string, Simulation] {
	return operation[string, Simulation]{path: "/simulation/follow", run: Operations.FollowSimulation, quiet: true}
}

func stopSimulation() operation[string, Simulation] {
	return operation[string, Simulation]{path: "/simulation/stop", run: Operations.StopSimulation}
}

// StartSimulation implements Operations.
func (c *client) StartSimulation(ctx context.Context, n NewSimulation) (Simulation, error) {
	return call(ctx, c, startSimulation(), n)
}

// FollowSimulation implements Operations.
func (c *client) FollowSimulation(ctx context.Context, id string) (Simulation, error) {
	return call(ctx, c, followSimulation(), id)
}

// StopSimulation implements Operations.
func (c *client) StopSimulation(ctx context.Context, id string) (Simulation, error) {
	return call(ctx, c, stopSimulation(), id)
}
