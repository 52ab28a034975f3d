package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
)

type simulateCmd struct {
	folderFlags `embed:""`
	Last        int  `name:"last" default:"1" placeholder:"N" help:"How many of the newest recordings are replayed, 1 to 1000."`
	AtOnce      int  `name:"at-once" default:"4" placeholder:"K" help:"How many of them at a time. What is really recorded meanwhile waits behind them."`
	Keep        bool `name:"keep" help:"Keep the simulated videos until an admin ends the simulation on its page."`
}

const (
	mostSimulated = 1000
	askEvery      = 500 * time.Millisecond
	// removeTime is how long the command waits for the node to remove what was
	// made. The node goes on without it.
	removeTime = 2 * time.Minute
)

// Run replays recordings, shows how they do, and sums up.
func (c *simulateCmd) Run(p *process) error {
	if c.Last < 1 || c.Last > mostSimulated {
		return usageError{fmt.Errorf("--last is 1 to %d, not %d", mostSimulated, c.Last)}
	}
	if c.AtOnce < 1 || c.AtOnce > mostSimulated {
		return usageError{fmt.Errorf("--at-once is 1 to %d, not %d", mostSimulated, c.AtOnce)}
	}
	return c.onRunning(p, func(ctx context.Context, ops admin.Operations) error {
		run, err := ops.StartSimulation(ctx, admin.NewSimulation{Last: c.Last, AtOnce: c.AtOnce, Keep: c.Keep})
		if err != nil {
			return err
		}
		run, err = c.toTheEnd(ctx, p, ops, run)
		if err != nil {
			return fmt.Errorf("%w (what the simulation %s made is removed by a node that runs)", err, run.ID)
		}
		if c.JSON {
			err = writeJSON(p.stdout, run)
		} else {
			err = summary(p.stdout, run)
		}
		return errors.Join(err, judge(run))
	})
}

// toTheEnd follows a simulation until there is nothing more to wait for. When
// the command is interrupted it stops the simulation and waits for that.
func (c *simulateCmd) toTheEnd(ctx context.Context, p *process, ops admin.Operations, run admin.Simulation) (admin.Simulation, error) {
	show := newProgress(p.stderr)
	if c.JSON {
		show = progress(func(admin.Simulation) {})
	}
	until := context.WithoutCancel(ctx)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	interrupted := ctx.Done()
	var late <-chan time.Time
	for {
		show(run)
		if run.State == "kept" || run.State == "removed" {
			return run, nil
		}
		if run.State == "removing" && late == nil {
			late = time.After(removeTime)
		}
		var now admin.Simulation
		var err error
		select {
		case <-tick.C:
			now, err = ops.FollowSimulation(until, run.ID)
		case <-interrupted:
			interrupted = nil
			now, err = ops.StopSimulation(until, run.ID)
		case <-late:
			return run, fmt.Errorf("after %s there still is something of the simulation", removeTime)
		}
		if err != nil {
			return run, err
		}
		run = now
	}
}

// judge says why a simulation is no success.
func judge(run admin.Simulation) error {
	switch n := run.Counts; {
	case run.Ending != "finished":
		return fmt.Errorf("the simulation was %s before its end", run.Ending)
	case n.Failed+n.Dropped > 0:
		return fmt.Errorf("%d of %d videos failed", n.Failed+n.Dropped, run.Total)
	}
	return nil
}
