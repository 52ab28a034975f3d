package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/serverlessvideo/serverlessvideo/internal/admin"
)

// progress shows how a simulation is.
type progress func(run admin.Simulation)

// newProgress shows it in place on a terminal, else as lines of what has changed.
func newProgress(w io.Writer) progress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return inPlace(w)
		}
	}
	return inLines(w)
}

// mostLines is how many videos are shown at a time on a terminal.
const mostLines = 10

// inPlace writes over what it wrote before.
func inPlace(w io.Writer) progress {
	lines := 0
	return func(run admin.Simulation) {
		var b strings.Builder
		if lines > 0 {
			fmt.Fprintf(&b, "\x1b[%dA", lines) // up
		}
		b.WriteString("\x1b[J") // clear from here on
		n := run.Counts
		fmt.Fprintf(&b, "%s %3d %%  %s: %d of %d done", bar(run.Percent, 24), run.Percent, phase(run), n.Valid+n.Invalid+n.Failed, run.Total)
		if n.Failed > 0 {
			fmt.Fprintf(&b, ", %d failed", n.Failed)
		}
		b.WriteByte('\n')
		lines = 1
		for _, v := range run.Videos {
			if lines <= mostLines && inWork(v) {
				fmt.Fprintf(&b, "  #%-4d %s %3d %%  %s\n", v.Number, bar(v.Percent, 12), v.Percent, doing(v))
				lines++
			}
		}
		fmt.Fprint(w, b.String())
	}
}

// inLines writes a line when a video has another step, and one for each phase.
func inLines(w io.Writer) progress {
	said := map[string]string{}
	news := func(of, text string) {
		if said[of] != text {
			said[of] = text
			fmt.Fprintln(w, text)
		}
	}
	return func(run admin.Simulation) {
		if said[""] == "" {
			fmt.Fprintf(w, "simulation %s of %s, %d at once\n", run.ID, recordings(run.Total), run.AtOnce)
			said[""] = run.ID
		}
		for _, v := range run.Videos {
			if v.State == "waiting" {
				continue
			}
			text := fmt.Sprintf("#%d %s", v.Number, doing(v))
			if inWork(v) && v.Percent > 0 {
				text += fmt.Sprintf(" %d %%", v.Percent/10*10)
			}
			news(v.ID, text)
		}
		if run.State == "removing" {
			news("removing", "removing what was made")
		}
	}
}

func recordings(n int) string {
	if n == 1 {
		return "1 recording"
	}
	return fmt.Sprintf("%d recordings", n)
}

func inWork(v admin.SimulationVideo) bool { return v.State == "processing" || v.State == "plugins" }

func phase(run admin.Simulation) string {
	switch run.State {
	case "running":
		return "replaying"
	case "removing":
		return "removing what was made"
	}
	return run.State
}

// doing says what a video is at, or what has become of it.
func doing(v admin.SimulationVideo) string {
	switch {
	case v.State == "processing" && v.Step != "":
		return v.Step
	case v.State == "processing":
		return "waits for its turn"
	case v.Whole > 0:
		text := fmt.Sprintf("%s in %s", v.State, seconds(v.Whole))
		if v.Reason != "" {
			text += ": " + v.Reason
		}
		return text
	}
	return v.State
}

func bar(percent, width int) string {
	full := min(max(percent, 0), 100) * width / 100
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// seconds shows ms.
func seconds(ms int64) string {
	return (time.Duration(ms) * time.Millisecond).Round(10 * time.Millisecond).String()
}

// summary says what a simulation measured.
func summary(w io.Writer, run admin.Simulation) error {
	n, m := run.Counts, run.Measures
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "simulation\t%s\n", run.ID)
	fmt.Fprintf(table, "videos\t%d: %d valid, %d invalid, %d failed, %d not finished\n", run.Total, n.Valid, n.Invalid, n.Failed, n.Dropped)
	if run.Total < run.Asked {
		fmt.Fprintf(table, "\t%s asked for, there are no more\n", recordings(run.Asked))
	}
	for _, line := range []struct {
		name string
		took admin.SimulationSpread
	}{{"processing", m.Processing}, {"lifecycle", m.Lifecycle}, {"whole", m.Whole}} {
		if line.took.Count > 0 {
			fmt.Fprintf(table, "%s\tp50 %s, p95 %s, longest %s\n", line.name, seconds(line.took.P50), seconds(line.took.P95), seconds(line.took.Max))
		}
	}
	if m.Whole.Count > 0 {
		fmt.Fprintf(table, "throughput\t%.1f videos a minute, %.1f times as fast as they play\n", m.PerMinute, m.Speed)
	}
	if len(run.Skipped) > 0 {
		fmt.Fprintf(table, "plugins not asked\t%s\n", strings.Join(run.Skipped, ", "))
	}
	switch run.State {
	case "removed":
		fmt.Fprintf(table, "removed\tyes\n")
	case "kept":
		fmt.Fprintf(table, "removed\tno: an admin ends it at /admin/simulations/%s\n", run.ID)
	}
	return table.Flush()
}
