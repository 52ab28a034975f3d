package main

import (
	"io"
	"log/slog"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

// newLogger returns the log that the settings ask for.
func newLogger(w io.Writer, c config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // config.Check has refused it before
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
