// Package failpoint lets the crash suite make a node die, fail or dawdle at a
// named place: between a commit and what follows from it, say. A place says its
// name; what happens there is said by the environment variable FAILPOINTS.
//
// All of it exists only in binaries built with the tag failpoints. In every other
// one Pass, Fail and Int are empty and cost nothing (docs/decisions/0012).
package failpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind is what happens at a place.
type Kind string

// The kinds.
const (
	Kill  Kind = "kill"  // the process ends at once, as by kill -9
	Error Kind = "error" // the place fails; Text says why
	Delay Kind = "delay" // the place takes Text longer, a duration
	Value Kind = "value" // the number there is Text instead of the product's
	Jump  Kind = "jump"  // the clock of the wall jumps by Text, a duration
)

// Action is one thing that happens at a place.
type Action struct {
	Name        string
	Of          []string // only where all of it is found in what it is done of
	Kind        Kind
	Text        string
	First, Last int // passings at which it happens, from 1; Last 0: for ever
}

// Set is a list of actions that counts their passings.
type Set struct {
	mu      sync.Mutex
	actions []Action
	passed  []int
}

// Parse reads the form name[(of)]=kind[:text][@first[-[last]]], several separated
// by semicolons:
//
//	relay.published=kill@3                   dies when it passes for the third time
//	blob.put=error:no space left@1-20        fails twenty times
//	consumer.handle(rules&st-1)=error:poison fails always, with what has rules and st-1 in it
//	flow.step=delay:50ms
func Parse(text string) (*Set, error) {
	s := &Set{}
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		a, err := parseAction(part)
		if err != nil {
			return nil, fmt.Errorf("failpoint %q: %w", part, err)
		}
		s.actions = append(s.actions, a)
	}
	s.passed = make([]int, len(s.actions))
	return s, nil
}

func parseAction(part string) (Action, error) {
	name, what, found := strings.Cut(part, "=")
	if !found || name == "" {
		return Action{}, errors.New("it is written as name=kind")
	}
	a := Action{Name: name, First: 1}
	if before, of, inner := strings.Cut(name, "("); inner {
		a.Name, a.Of = before, strings.Split(strings.TrimSuffix(of, ")"), "&")
	}
	what, when, limited := cutLast(what, "@")
	if limited {
		first, last, open := strings.Cut(when, "-")
		var err error
		if a.First, err = strconv.Atoi(first); err != nil {
			return a, errors.New("after @ stands a number")
		}
		switch {
		case !open:
			a.Last = a.First
		case last != "":
			if a.Last, err = strconv.Atoi(last); err != nil {
				return a, errors.New("after - stands a number")
			}
		}
	}
	kind, argument, _ := strings.Cut(what, ":")
	a.Kind, a.Text = Kind(kind), argument
	return a, a.check()
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (a Action) check() error {
	switch a.Kind {
	case Kill, Error:
		return nil
	case Delay, Jump:
		_, err := time.ParseDuration(a.Text)
		return err
	case Value:
		_, err := strconv.Atoi(a.Text)
		return err
	}
	return fmt.Errorf("%q is not one of kill, error, delay, value, jump", a.Kind)
}

// Hit returns what happens at a place that is passed now.
func (s *Set) Hit(name string, of ...string) []Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []Action
	for i, a := range s.actions {
		if a.Name != name || !a.concerns(of) {
			continue
		}
		s.passed[i]++
		if n := s.passed[i]; n >= a.First && (a.Last == 0 || n <= a.Last) {
			due = append(due, a)
		}
	}
	return due
}

func (a Action) concerns(of []string) bool {
	for _, wanted := range a.Of {
		if !slices.ContainsFunc(of, func(o string) bool { return strings.Contains(o, wanted) }) {
			return false
		}
	}
	return true
}
