package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// figure is a value that was measured. All have a bar that is at most what may be
// reached, or none.
type figure struct {
	name, unit string
	value, bar float64
	barred     bool
}

// figures are those of one run.
type figures []figure

// note adds a figure without a bar.
func (f *figures) note(name, unit string, value float64) {
	*f = append(*f, figure{name: name, unit: unit, value: value})
}

// atMost adds a figure with one.
func (f *figures) atMost(name, unit string, value, bar float64) {
	*f = append(*f, figure{name, unit, value, bar, true})
}

// writeTable writes the medians of runs, which have the same figures, beside the
// bars, and every run's values.
func writeTable(to io.Writer, runs []figures) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  figure\tmedian\tbar\t\truns") // Flush has the error
	for i, f := range runs[0] {
		var values []float64
		var texts []string
		for _, r := range runs {
			values = append(values, r[i].value)
			texts = append(texts, fmt.Sprintf("%.2f", r[i].value))
		}
		median := percentile(values, 50)
		bar, verdict := "", ""
		if f.barred {
			bar = fmt.Sprintf("%g", f.bar)
			verdict = "met"
			if median > f.bar {
				verdict = "MISSED"
			}
		}
		_, _ = fmt.Fprintf(w, "  %s\t%.2f %s\t%s\t%s\t%s\n", f.name, median, f.unit, bar, verdict, strings.Join(texts, " "))
	}
	return w.Flush()
}

// percentile returns the value that p of 100 values are not above; 0 of none.
func percentile(values []float64, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
