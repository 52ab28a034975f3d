package pattern

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Set is many patterns, each with a value of its own, that are matched with one
// event together. What several patterns say of the same field is asked once, and
// a pattern that wants one of a few strings somewhere is asked only when the
// event has one of them there. Match may be called by several goroutines, Add
// only before that.
type Set[T any] struct {
	paths   []path
	checks  []check
	known   map[string]int // checks by their path and how they were written
	members []member[T]
	always  []int // members that are asked of every event
}

// path is a way to a field.
type path struct {
	names []string
	// The members that want a string here, by that string.
	wanted map[string][]int
}

// check is what patterns say of the field at a path.
type check struct {
	path   int
	values *values
	users  int // patterns that say it
}

// member is a pattern with its value.
type member[T any] struct {
	value   T
	whole   *Pattern
	checks  []int
	partial bool // it says more, by $or
}

// Add adds a pattern.
func (s *Set[T]) Add(p *Pattern, value T) {
	if s.known == nil {
		s.known = map[string]int{}
	}
	m := member[T]{value: value, whole: p}
	s.flatten(&m, p.root, nil)
	s.members = append(s.members, m)
	s.index(len(s.members)-1, m.checks)
}

// index notes under which strings a member is found: those of its check that
// the fewest others say, too. Others that come later may spoil the choice, which
// costs time alone.
func (s *Set[T]) index(at int, checks []int) {
	best := -1
	for _, i := range checks {
		if s.checks[i].values.stringsOnly() && (best < 0 || s.checks[i].users < s.checks[best].users) {
			best = i
		}
	}
	if best < 0 {
		s.always = append(s.always, at)
		return
	}
	p := &s.paths[s.checks[best].path]
	if p.wanted == nil {
		p.wanted = map[string][]int{}
	}
	for _, text := range s.checks[best].values.strings {
		if list := p.wanted[text]; len(list) == 0 || list[len(list)-1] != at { // it may be written twice
			p.wanted[text] = append(list, at)
		}
	}
}

// stringsOnly says whether nothing but one of its strings matches.
func (m *values) stringsOnly() bool {
	return len(m.strings) > 0 && len(m.numbers) == 0 && len(m.bools) == 0 && !m.null && len(m.tests) == 0 && !m.absent && !m.present
}

// flatten lists what a pattern says of single fields.
func (s *Set[T]) flatten(m *member[T], o *object, names []string) {
	m.partial = m.partial || len(o.ors) > 0
	for _, f := range o.fields {
		at := append(slices.Clone(names), f.name)
		if f.nested != nil {
			s.flatten(m, f.nested, at)
			continue
		}
		m.checks = append(m.checks, s.check(at, f.values))
	}
}

func (s *Set[T]) check(names []string, v *values) int {
	at := slices.IndexFunc(s.paths, func(p path) bool { return slices.Equal(p.names, names) })
	if at < 0 {
		at = len(s.paths)
		s.paths = append(s.paths, path{names: names})
	}
	key := strconv.Itoa(at) + v.source
	i, ok := s.known[key]
	if !ok {
		i = len(s.checks)
		s.known[key] = i
		s.checks = append(s.checks, check{path: at, values: v})
	}
	s.checks[i].users++
	return i
}

// Match calls found with the value of every pattern that matches, in the order
// in which they were added.
func (s *Set[T]) Match(e Event, found func(T)) {
	q := question{event: e, places: make([]place, len(s.paths)), answers: make([]answer, len(s.checks))}
	for _, i := range s.candidates(&q) {
		if m := &s.members[i]; s.match(m, &q) {
			found(m.value)
		}
	}
}

// candidates returns the members that may match, in their order, each once.
func (s *Set[T]) candidates(q *question) []int {
	all := slices.Clone(s.always)
	for i := range s.paths {
		wanted := s.paths[i].wanted
		if wanted == nil {
			continue
		}
		p := s.place(i, q)
		if p.array {
			// Which of the array's objects counts is for the whole pattern to say.
			for _, list := range wanted {
				all = append(all, list...)
			}
			continue
		}
		all = appendWanted(all, wanted, p.value)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// appendWanted adds the members that want a value, or an array's element.
func appendWanted(all []int, wanted map[string][]int, v any) []int {
	switch v := v.(type) {
	case string:
		return append(all, wanted[v]...)
	case []any:
		for _, element := range v {
			all = appendWanted(all, wanted, element)
		}
	case map[string]any, json.Number, bool, nil: // no string
	}
	return all
}

// question is one event, and what is known of it so far.
type question struct {
	event   Event
	places  []place
	answers []answer
}

// place is what an event has at a path.
type place struct {
	known, there bool
	array        bool // an array of objects lies on the way
	value        any
}

// answer is whether a check matches the event.
type answer uint8

const (
	unknown answer = iota
	yes
	no
	// An array of objects lies on the way. One and the same of them must have all
	// that a pattern says, so that single checks do not decide.
	depends
)

func (s *Set[T]) match(m *member[T], q *question) bool {
	whole := m.partial
	for _, i := range m.checks {
		if q.answers[i] == unknown {
			q.answers[i] = s.ask(&s.checks[i], q)
		}
		switch q.answers[i] {
		case no:
			return false
		case depends:
			whole = true
		}
	}
	return !whole || m.whole.Match(q.event)
}

func (s *Set[T]) place(i int, q *question) place {
	p := &q.places[i]
	if !p.known {
		*p = find(q.event.root, s.paths[i].names)
	}
	return *p
}

func (s *Set[T]) ask(c *check, q *question) answer {
	p := s.place(c.path, q)
	switch {
	case p.array:
		return depends
	case c.values.match(p.value, p.there):
		return yes
	}
	return no
}

func find(object map[string]any, names []string) place {
	last := len(names) - 1
	for _, name := range names[:last] {
		switch v := object[name].(type) {
		case map[string]any:
			object = v
		case []any:
			return place{known: true, array: true}
		default:
			return place{known: true}
		}
	}
	v, there := object[names[last]]
	return place{known: true, there: there, value: v}
}
