package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
)

type checkCmd struct {
	folderFlags `embed:""`
	Repair      bool          `name:"repair" help:"Mend what can be mended; nothing that could be a whole recording is deleted."`
	Grace       time.Duration `name:"grace" default:"1h" placeholder:"DURATION" help:"What is younger counts as being made, and is not looked at."`
}

// Run prints what nobody owns. It fails when something is found that is not
// repaired.
func (c *checkCmd) Run(p *process) error {
	if c.Grace <= 0 {
		return usageError{fmt.Errorf("--grace %s: it must be longer than 0s", c.Grace)}
	}
	return c.with(p, func(ctx context.Context, ops admin.Operations) error {
		report, err := ops.Check(ctx, admin.CheckRequest{Repair: c.Repair, Grace: c.Grace}, progressTo(p.stderr))
		if err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(p.stdout, report)
		} else {
			err = c.print(p.stdout, report)
		}
		if err == nil && report.Left > 0 {
			err = fmt.Errorf("%d things are not as they should be", report.Left)
		}
		return err
	})
}

func (c *checkCmd) print(w io.Writer, r admin.CheckReport) error {
	if len(r.Findings) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KIND\tVIDEO\tWHERE\tOBJECTS\tBYTES\tREPAIR")
		for _, f := range r.Findings {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n",
				f.Kind, cmp.Or(f.Video, "-"), cmp.Or(f.Prefix, f.Service, "-"), f.Objects, f.Bytes, c.repair(f))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		told := map[string]bool{}
		for _, f := range r.Findings {
			if !told[f.Kind+f.What] {
				told[f.Kind+f.What] = true
				fmt.Fprintf(w, "%s: %s\n", f.Kind, f.What)
			}
		}
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %d more; run it again when these are repaired\n", r.More)
	}
	_, err := fmt.Fprintf(w, "looked at %d objects (%d bytes) and %d videos: %d findings, %d left\n",
		r.Objects, r.Bytes, r.Videos, len(r.Findings)+r.More, r.Left)
	return err
}

func (c *checkCmd) repair(f admin.Finding) string {
	switch {
	case f.Repaired:
		return "done: " + f.Repair
	case f.Failed != "":
		return "failed: " + f.Failed
	case f.Repair == "":
		return "by hand"
	}
	return "would " + f.Repair
}

// progressTo tells how far something is, a line at most every second.
func progressTo(w io.Writer) func(string) {
	var last time.Time
	return func(what string) {
		if time.Since(last) >= time.Second {
			last = time.Now()
			fmt.Fprintln(w, what)
		}
	}
}
