package main

import (
	"context"
	"fmt"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
)

type historyCmd struct {
	Rebuild historyRebuildCmd `cmd:"" help:"Make the timelines of videos anew of the archived events."`
}

type historyRebuildCmd struct {
	folderFlags `embed:""`
	From        time.Time `name:"from" placeholder:"TIME" help:"Of events from then on (RFC 3339, such as 2026-11-01T00:00:00Z); by default of all that are archived."`
	Video       string    `name:"video" placeholder:"ID" help:"Of this video alone."`
}

// Run rebuilds and prints what came of it.
func (c *historyRebuildCmd) Run(p *process) error {
	return c.with(p, func(ctx context.Context, ops admin.Operations) error {
		done, err := ops.RebuildHistory(ctx, admin.RebuildRequest{From: c.From, Video: c.Video}, progressTo(p.stderr))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(p.stdout, done)
		}
		_, err = fmt.Fprintf(p.stdout, "made %d timelines anew of %d events from %s to %s\n",
			done.Videos, done.Events, done.Oldest.UTC().Format(time.RFC3339), done.Newest.UTC().Format(time.RFC3339))
		return err
	})
}
