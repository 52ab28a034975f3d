package hlstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// FollowReport is what Follow saw.
type FollowReport struct {
	Playlists, Segments, Parts, Hints int // answers that were checked
	Length                            time.Duration
	Broken                            []Broken // by rule
}

// Broken is a rule that was broken on one playlist, once or more often.
type Broken struct {
	Rule     Rule
	Where    string // URL
	Detail   string // of the first time
	Count    int
	Playlist string // as it was the first time; empty when none was at fault
}

// String is for people to read.
func (r FollowReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checked %d playlists, %d segments, %d parts and %d hints in %v\n",
		r.Playlists, r.Segments, r.Parts, r.Hints, r.Length.Round(time.Millisecond))
	for _, x := range r.Broken {
		fmt.Fprintf(&b, "\nBROKEN %s (%s), %d times at %s\n  rule:  %s\n  found: %s\n",
			x.Rule.ID, x.Rule.Source, x.Count, x.Where, x.Rule.Text, strings.ReplaceAll(x.Detail, "\n", "\n         "))
		if x.Playlist != "" {
			fmt.Fprintf(&b, "  playlist:\n    %s\n", strings.ReplaceAll(strings.TrimSpace(x.Playlist), "\n", "\n    "))
		}
	}
	if len(r.Broken) == 0 {
		b.WriteString("no rule is broken\n")
	}
	return b.String()
}

// journal collects what the goroutines of Follow find.
type journal struct {
	except []string

	mu     sync.Mutex
	report FollowReport
}

// note adds findings at a URL; playlist is the text that they are about.
func (j *journal) note(where string, playlist []byte, err error) {
	if err == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range FindingsOf(err) {
		if slices.Contains(j.except, f.Rule) {
			continue
		}
		same := func(b Broken) bool { return b.Rule.ID == f.Rule && b.Where == where }
		if i := slices.IndexFunc(j.report.Broken, same); i >= 0 {
			j.report.Broken[i].Count++
			continue
		}
		j.report.Broken = append(j.report.Broken, Broken{
			Rule: ruleOf(f.Rule), Where: where, Detail: f.Detail, Count: 1, Playlist: string(playlist),
		})
	}
}

func ruleOf(id string) Rule {
	for _, r := range Rules() {
		if r.ID == id {
			return r
		}
	}
	return Rule{ID: id}
}

// count adds to a number of the report.
func (j *journal) count(n *int) {
	j.mu.Lock()
	*n++
	j.mu.Unlock()
}

// done returns the report in the order of the rules.
func (j *journal) done(began time.Time) FollowReport {
	j.mu.Lock()
	defer j.mu.Unlock()
	order := map[string]int{}
	for i, r := range Rules() {
		order[r.ID] = i
	}
	slices.SortStableFunc(j.report.Broken, func(a, b Broken) int { return order[a.Rule.ID] - order[b.Rule.ID] })
	j.report.Length = time.Since(began)
	return j.report
}
