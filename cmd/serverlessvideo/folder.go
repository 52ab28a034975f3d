package main

import (
	"context"
	"encoding/json"
	"io"
	"os/signal"
	"syscall"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
	"github.com/serverlessvideo/serverlessvideo/internal/app"
	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

// folderFlags are the flags of a command that works on a data folder. All other
// settings come from the environment and the file, as they do for serve.
type folderFlags struct {
	DataDir string `name:"data-dir" default:"./data" placeholder:"DIR" help:"Folder of the node."`
	File    string `name:"config" placeholder:"FILE" help:"YAML file with the node's settings."`
	JSON    bool   `name:"json" help:"Answer in JSON."`
}

// with does work on the folder, by the node that runs on it if there is one.
func (f folderFlags) with(p *process, work func(context.Context, admin.Operations) error) error {
	settings, err := f.settings(p)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	atRest := func(ctx context.Context) (admin.Offline, error) {
		return app.OpenOperator(ctx, settings, newLogger(p.stderr, settings))
	}
	return admin.With(ctx, settings.DataDir, atRest, func(ops admin.Operations) error { return work(ctx, ops) })
}

// onRunning does work that only a running node can do. The work's context ends
// with the first signal; a second one ends the process.
func (f folderFlags) onRunning(p *process, work func(context.Context, admin.Operations) error) error {
	settings, err := f.settings(p)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	return admin.OnRunning(ctx, settings.DataDir, func(ops admin.Operations) error { return work(ctx, ops) })
}

func (f folderFlags) settings(p *process) (config.Config, error) {
	args := []string{"--data-dir=" + f.DataDir}
	if f.File != "" {
		args = append(args, "--config="+f.File)
	}
	settings, err := config.Load(p.environ, args...)
	if err != nil {
		return settings, usageError{err}
	}
	settings.LogLevel = "warn" // what is worth telling of a command is its answer
	return settings, nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
