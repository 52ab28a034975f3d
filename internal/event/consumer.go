package event

import (
	"context"
	"strings"
)

// Filter selects events. An empty field selects all; a field that ends in "*"
// selects what begins with the rest.
type Filter struct {
	Source string
	Type   string
}

// Match says whether the filter selects e.
func (f Filter) Match(e Envelope) bool {
	return match(f.Source, e.Source) && match(f.Type, e.DetailType)
}

func match(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == s
}

// Subject returns the narrowest bus subject that selects at least the filter's
// events.
func (f Filter) Subject() string {
	return "ev." + filterToken(f.Source) + "." + filterToken(f.Type) + ".*"
}

func filterToken(pattern string) string {
	if pattern == "" || strings.HasSuffix(pattern, "*") {
		return "*"
	}
	return Token(pattern)
}

// Consumer is somebody who hears events: durably, at least once, in any order,
// under a name that stays the same over restarts. Handle is called again later
// when it returns an error; it must not do its work twice for one event id.
type Consumer struct {
	Name    string
	Filters []Filter
	Handle  func(ctx context.Context, e Envelope) error
}
