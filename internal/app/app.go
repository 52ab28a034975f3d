// Package app is the composition root: it builds what a node needs of a
// configuration, joins the services, and owns every lifetime and the order in
// which they end.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/blob"
	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/config"
	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/flow"
	"github.com/serverlessvideo/serverlessvideo/internal/gateway"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

// App is a node, built and not yet running.
type App struct {
	*core
	lock      *admin.Lock
	objects   *blob.Files
	bus       *bus.Bus
	flows     *flow.Engine
	plugins   []pluginmanager.Plugin // outside the process, as the manager
	onBus     []bus.Plugin           // and as the bus know them
	registry  *prometheus.Registry
	services  *services
	gateway   *gateway.Gateway
	listeners []*listener
	ready     atomic.Bool

	closers []closer // of what New opened, in that order
}

type closer struct {
	what  string
	close func() error
}

// New builds a node on its data folder. It opens everything, the addresses
// too, so that what cannot work is told before anything begins. Run runs it.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	a := &App{registry: newRegistry()}
	if err := a.open(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, a.closeAll())
	}
	return a, nil
}

func (a *App) open(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	var err error
	if a.lock, err = admin.Acquire(cfg.DataDir); err != nil {
		return err
	}
	a.closeLast("the data folder's lock", a.lock.Release)
	if a.core, err = openCore(ctx, cfg, log); err != nil {
		return err
	}
	a.closeLast("the database", a.db.Close)
	if err := a.openEngines(ctx); err != nil {
		return err
	}
	if a.services, err = a.newServices(ctx); err != nil {
		return err
	}
	if a.gateway, err = a.newGateway(); err != nil {
		return err
	}
	return a.openListeners()
}

func (a *App) openEngines(ctx context.Context) error {
	var err error
	if a.objects, err = blob.NewFiles(a.folder.objects()); err != nil {
		return err
	}
	if err := a.objects.CleanTemporary(); err != nil {
		return fmt.Errorf("cleaning the object store: %w", err)
	}
	if err := a.readPlugins(); err != nil {
		return err
	}
	a.bus, err = bus.Open(ctx, bus.Config{
		Dir: a.folder.bus(), Listen: a.cfg.Bus.Listen, Plugins: a.onBus, Secret: a.secret, Logger: a.log, Schemas: a.schemas,
	})
	if err != nil {
		return err
	}
	a.closeLast("the bus", func() error { return a.bus.Close(context.Background()) })
	a.realtime.set(a.bus)
	if err := a.registry.Register(a.bus.Metrics()); err != nil {
		return err
	}
	a.flows, err = flow.Open(ctx, a.flowConfig())
	if err != nil {
		return err
	}
	a.closeLast("the flows", func() error { return a.flows.Shutdown(flowsEnd) })
	return nil
}

// flowConfig says where flows are kept, for a node and for a folder at rest.
func (c *core) flowConfig() flow.Config {
	return flow.Config{
		Path: c.folder.flowDB(), URL: c.cfg.Database.URL, NodeID: c.nodeID, Logger: c.log,
		Keep: c.cfg.Flows.Keep, KeepFailed: c.cfg.Flows.KeepFailed,
	}
}

// closeLast notes how to close what was opened now: before all that was opened
// earlier.
func (a *App) closeLast(what string, closeIt func() error) {
	a.closers = append(a.closers, closer{what, closeIt})
}

// closeAll closes what was opened, the last first.
func (a *App) closeAll() error {
	var failures []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i].close(); err != nil {
			failures = append(failures, fmt.Errorf("closing %s: %w", a.closers[i].what, err))
		}
	}
	a.closers = nil
	return errors.Join(failures...)
}

// isReady says why the node cannot serve now; nil when it can.
func (a *App) isReady(ctx context.Context) error {
	if !a.ready.Load() {
		return errs.New(errs.Unavailable, "the node is starting or stopping")
	}
	if err := a.db.Read().PingContext(ctx); err != nil {
		return errs.Wrap(err, errs.Unavailable, "the database does not answer")
	}
	return a.bus.Ready()
}

// relay carries events from the database to the bus.
func (a *App) relay() *store.Relay {
	return &store.Relay{DB: a.db, Holder: a.nodeID, Publish: a.bus.Relay, PublishAll: a.bus.RelayAll, Logger: a.log}
}
