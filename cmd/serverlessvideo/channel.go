package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
)

type channelCmd struct {
	List      channelListCmd   `cmd:"" help:"List all channels."`
	RotateKey channelRotateCmd `cmd:"" name:"rotate-key" help:"Give a channel a new stream key; the old one ends at once."`
}

type channelListCmd struct {
	folderFlags `embed:""`
}

// Run prints the channels, one a line.
func (c *channelListCmd) Run(p *process) error {
	return c.with(p, func(ctx context.Context, ops admin.Operations) error {
		channels, err := ops.ListChannels(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			if channels == nil {
				channels = []admin.Channel{}
			}
			return writeJSON(p.stdout, channels)
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tUSERNAME\tLIVE")
		for _, ch := range channels {
			fmt.Fprintf(table, "%s\t%s\t%t\n", ch.ID, ch.Username, ch.Live)
		}
		return table.Flush()
	})
}

type channelRotateCmd struct {
	folderFlags `embed:""`
	ID          string `arg:"" help:"The channel's id, as channel list shows it."`
}

// Run prints the new stream key.
func (c *channelRotateCmd) Run(p *process) error {
	return c.with(p, func(ctx context.Context, ops admin.Operations) error {
		key, err := ops.RotateKey(ctx, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(p.stdout, key)
		}
		fmt.Fprintf(p.stdout, "stream key %s\n", key.StreamKey)
		return nil
	})
}
