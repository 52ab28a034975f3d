package history

import (
	"cmp"
	"maps"
	"slices"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// run is what is known of one plugin at one hook.
type run struct {
	hook, plugin            string
	asked, answered, failed *fact
	end                     *fact // of the whole lifecycle
}

// plugins returns the runs in the order of hooks and names.
func (s *story) plugins() []run {
	found := map[[2]string]*run{}
	of := func(hook, plugin string) *run {
		k := [2]string{hook, plugin}
		if found[k] == nil {
			found[k] = &run{hook: hook, plugin: plugin}
		}
		return found[k]
	}
	for name, f := range s.facts {
		switch name {
		case pluginFact(asked, f.Hook, f.Plugin):
			of(f.Hook, f.Plugin).asked = &f
		case pluginFact(answered, f.Hook, f.Plugin):
			of(f.Hook, f.Plugin).answered = &f
		case pluginFact(failed, f.Hook, f.Plugin):
			of(f.Hook, f.Plugin).failed = &f
		}
	}
	if end, ok := s.facts[lifecycleComplete]; ok {
		for hook, outcomes := range end.Outcomes {
			for plugin := range outcomes {
				of(hook, plugin)
			}
		}
		for _, r := range found {
			r.end = &end
		}
	}
	runs := make([]run, 0, len(found))
	for _, r := range found {
		runs = append(runs, *r)
	}
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(rankOfHook(a.hook), rankOfHook(b.hook)), cmp.Compare(a.plugin, b.plugin))
	})
	return runs
}

// start is when the plugin was asked or, while that is not known, when it was
// first heard of.
func (r run) start() int64 {
	for _, f := range []*fact{r.asked, r.failed, r.answered, r.end} {
		if f != nil {
			return f.At
		}
	}
	return 0
}

// outcome is how a run ended.
type outcome int

const (
	working outcome = iota
	passed
	refused
	broken
	needless // the lifecycle ended without it
)

// outcome goes by what the lifecycle says in the end; until then by what the
// plugin answered.
func (r run) outcome() outcome {
	verdict := working
	if r.end != nil {
		verdict = needless
		if ok, counts := r.end.Outcomes[r.hook][r.plugin]; counts {
			verdict = verdictOutcome(ok)
		}
	} else if r.answered != nil {
		verdict = r.answered.verdict()
	}
	// At postValidate a plugin that says no is said to have failed, too.
	if r.failed != nil && verdict != refused {
		return broken
	}
	return verdict
}

// verdict is what an answer says. A validator that does not say is about to
// fail: the plugin manager sees to it.
func (f fact) verdict() outcome {
	switch {
	case f.Valid != nil:
		return verdictOutcome(*f.Valid)
	case validates(f.Hook):
		return working
	}
	return passed
}

func verdictOutcome(valid bool) outcome {
	if valid {
		return passed
	}
	return refused
}

// took says how long the plugin took, with a word before; "" when it is not
// known. The time of an answer is the plugin's own: it counts within the
// lifecycle.
func (r run) took(word string, end *fact) string {
	if r.asked == nil || end == nil {
		return ""
	}
	at := end.At
	if r.end != nil {
		at = min(at, r.end.At)
	}
	return word + " " + span(at-r.asked.At)
}

func (r run) entry() entry {
	e := entry{
		at: r.start(), rank: rankHooks + placesOfHook*rankOfHook(r.hook) + 1,
		key: "plugin-" + r.hook + "-" + r.plugin, parent: "hook-" + r.hook, title: r.plugin,
	}
	done := r.answered
	if done == nil {
		done = r.failed
	}
	switch r.outcome() {
	case passed:
		e.icon, e.subtitle = "check", sentence("Passed", r.took("in", r.answered))
		if !validates(r.hook) {
			e.subtitle = sentence("Done", r.took("in", r.answered))
		}
	case refused:
		e.icon, e.subtitle, e.told = "x-circle", sentence("Refused it", r.took("after", done)), r.reason()
	case broken:
		e.icon, e.subtitle, e.told = "alert", sentence("Failed", r.took("after", r.failed)), r.reason()
	case needless:
		e.icon, e.subtitle = "clock", "Not waited for"
		e.description = "It was decided without its answer."
	default:
		e.icon, e.subtitle = "plug", "Working"
	}
	return e
}

func sentence(what, more string) string {
	if more == "" {
		return what
	}
	return what + " " + more
}

// reason is why the plugin refused or failed: as the plugin manager has it, else
// as it said itself.
func (r run) reason() string {
	switch {
	case r.failed != nil:
		return r.failed.Reason
	case r.end != nil && r.end.Hook == r.hook && r.end.Plugin == r.plugin:
		return r.end.Reason
	case r.answered != nil:
		return r.answered.Reason
	}
	return ""
}

func rankOfHook(hook string) int { return slices.Index(hooks(), hook) }

func (s *story) lifecycle() {
	runs := s.plugins()
	s.step(lifecycleStart, rankLifecycleStart, func(fact) entry {
		return entry{icon: "sparkles", title: "Plugins started"}
	})
	byHook := map[string][]run{}
	for _, r := range runs {
		byHook[r.hook] = append(byHook[r.hook], r)
		s.add(r.entry())
	}
	for _, hook := range slices.Sorted(maps.Keys(byHook)) {
		s.add(hookEntry(hook, byHook[hook]))
	}
	s.step(lifecycleComplete, rankLifecycleEnd, func(f fact) entry { return s.ended(f, runs) })
}

func hookEntry(hook string, runs []run) entry {
	first := slices.MinFunc(runs, func(a, b run) int { return cmp.Compare(a.start(), b.start()) })
	e := entry{
		at: first.start(), rank: rankHooks + placesOfHook*rankOfHook(hook), key: "hook-" + hook,
		subtitle: joined(hook, count(len(runs), "plugin")),
	}
	switch hook {
	case "preValidate":
		e.icon, e.title = "shield", "Checks"
	case "postValidate":
		e.icon, e.title = "shield", "Further checks"
	case "preMetadata":
		e.icon, e.title = "eye", "Looking into the video"
	default:
		e.icon, e.title = "tag", "Describing the video"
	}
	return e
}

// ended is the end of the lifecycle.
func (s *story) ended(f fact, runs []run) entry {
	e := entry{icon: "check", title: "Plugins finished", told: f.Reason}
	troubled := 0
	for _, r := range runs {
		if o := r.outcome(); o == broken || o == refused {
			troubled++
		}
	}
	switch {
	case f.Status == event.StatusInvalid:
		e.icon, e.subtitle = "x-circle", by("Refused", f.Plugin)
	case f.Status == event.StatusFailed:
		e.icon, e.subtitle = "alert", by("Failed", f.Plugin)
	case troubled > 0:
		e.subtitle = count(troubled, "plugin") + " had a problem"
	default:
		e.subtitle = "No problem found"
	}
	if took := s.since(f, lifecycleStart); took != "" {
		e.description = "After " + took + "."
	}
	return e
}
