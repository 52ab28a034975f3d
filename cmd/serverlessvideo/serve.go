package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/serverlessvideo/serverlessvideo/internal/app"
	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

type serveCmd struct {
	config.Config `embed:""`
}

// Run runs the node. The first signal stops it cleanly, the second one at once.
func (c *serveCmd) Run(p *process) error {
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	limitGarbage()
	logger := newLogger(p.stderr, c.Config)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process
		s := <-signals
		logger.Info("stopping; a second signal ends the node at once", "signal", s.String())
		cancel()
		<-signals
		logger.Warn("ended at once by a second signal")
		os.Exit(exitFailed)
	}()
	return serve(ctx, c.Config, logger)
}

func serve(ctx context.Context, c config.Config, logger *slog.Logger) error {
	node, err := app.New(ctx, c, logger)
	if err != nil {
		return err
	}
	return node.Run(ctx)
}
