package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/localca"
)

const (
	streamsEnd   = 20 * time.Second // live streams: the last segments are stored
	flowsEnd     = 10 * time.Second // a step that runs; it runs again at the next start
	consumersEnd = 10 * time.Second // handlers that run; their events come again
	outboxEnd    = 5 * time.Second  // what is not carried now is carried at the next start
)

// Run runs the node until ctx is done or an entrance breaks, and stops it in an
// order in which nothing is lost. The node cannot be run again.
func (a *App) Run(ctx context.Context) error {
	work := newGroup(ctx)
	entrances := newGroup(ctx)
	broken := make(chan error, len(a.listeners)+1)

	err := a.start(ctx, work)
	if err == nil {
		for _, l := range a.listeners {
			entrances.run(func(context.Context) {
				if err := l.serve(); err != nil {
					broken <- err
				}
			})
		}
		a.ready.Store(true)
		a.welcome(ctx)
		select {
		case <-ctx.Done():
		case err = <-broken:
		case <-a.db.Lost():
			err = errs.New(errs.Conflict, "another node has taken the database, so this one ends")
		}
	}
	return errors.Join(err, a.stop(work, entrances))
}

// start lets the work begin: what carries events first, what makes them last.
func (a *App) start(ctx context.Context, work *group) error {
	if err := a.services.plugins.Start(ctx); err != nil {
		return err
	}
	if err := a.flows.Start(ctx); err != nil {
		return err
	}
	for _, c := range a.services.consumers() {
		if err := a.bus.Consume(ctx, c); err != nil {
			return err
		}
	}
	// What the bus keeps for consumers that are no more would stay for ever.
	removed, err := a.bus.Prune(ctx)
	if err != nil {
		return err
	}
	if len(removed) > 0 {
		a.log.Info("consumers that this version does not have are forgotten", "consumers", removed)
	}
	if err := a.services.streaming.Start(ctx); err != nil {
		return fmt.Errorf("finishing the recordings of the last run: %w", err)
	}
	work.run(a.relay().Run)
	for _, run := range a.services.background() {
		work.run(run)
	}
	adminServer, err := admin.Serve(a.cfg.DataDir, &operator{core: a.core, node: a}, a.log)
	if err != nil {
		return err
	}
	a.closeLast("the door for commands", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), requestsEnd)
		defer cancel()
		return adminServer.Close(ctx)
	})
	return nil
}

// stop ends everything: nobody new gets in, live streams are completed,
// what runs lets go, what was said is carried to the bus, and the engines close.
func (a *App) stop(work, entrances *group) error {
	began := time.Now()
	a.ready.Store(false)
	closed := newGroup(context.Background())
	for _, l := range a.listeners {
		closed.run(func(context.Context) { l.close(a.log) })
	}
	a.services.publisher.Close()
	a.services.liveEvents.Close()
	streams, cancel := context.WithTimeout(context.Background(), streamsEnd)
	defer cancel()
	err := a.services.streaming.Shutdown(streams)
	closed.stop()
	entrances.stop()

	consumers, cancel := context.WithTimeout(context.Background(), consumersEnd)
	defer cancel()
	err = errors.Join(err, a.bus.StopConsumers(consumers))
	work.stop()
	err = errors.Join(err, a.flows.Shutdown(flowsEnd))

	outbox, cancel := context.WithTimeout(context.Background(), outboxEnd)
	defer cancel()
	if drained := a.relay().Drain(outbox); drained != nil {
		a.log.Info("some events are carried at the next start", "err", drained)
	}
	err = errors.Join(err, a.closeAll())
	a.log.Info("stopped", "took", time.Since(began).Round(time.Millisecond))
	return err
}

// welcome tells the person at the terminal where the node is, and what is left
// to do.
func (a *App) welcome(ctx context.Context) {
	for _, l := range a.listeners {
		a.log.Info("listening", "for", l.name, "address", l.net.Addr().String())
	}
	a.log.Info("ready", "url", a.cfg.BaseURL(), "media", a.services.streaming.MediaAddress().String(), "data", a.cfg.DataDir)
	if a.bus.Addr() != "" {
		a.log.Info("plugins outside the process connect here", "address", a.bus.Addr())
	}
	link, needed, err := a.accounts.SetupLink(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		a.log.Error("the set-up link cannot be made", "err", err)
	case needed:
		fmt.Fprintf(os.Stdout, "\nMake the first account, admin and broadcaster, within 24 hours:\n%s\n\n", link)
	}
	if base := a.phoneURL(); base != "" {
		localca.Welcome(os.Stdout, base, true)
	}
}
