package rules

import (
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event/pattern"
	"github.com/serverlessvideo/serverlessvideo/internal/rules/sqlc"
)

// RuleTarget is where a rule's events go.
type RuleTarget struct {
	Type   string `json:"type" enum:"webhook,log,plugin,flow,tag"`
	URL    string `json:"url,omitempty" maxLength:"2000" doc:"of a webhook: http or https" example:"https://example.com/hook"`
	Plugin string `json:"plugin,omitempty" maxLength:"50" doc:"of a plugin: its name, one of GET /api/rules/targets"`
	Flow   string `json:"flow,omitempty" maxLength:"50" doc:"of a flow: its name, one of GET /api/rules/targets"`
	Tag    string `json:"tag,omitempty" maxLength:"64" doc:"of a tag: the event tag that videos get, of letters, digits, - and _"`
}

// RuleInput is what a rule says.
type RuleInput struct {
	Name        string     `json:"name" minLength:"1" maxLength:"100" doc:"another one than all other rules have"`
	Description string     `json:"description,omitempty" maxLength:"1000"`
	Enabled     bool       `json:"enabled" doc:"a rule that is off matches nothing, and what waits for it waits on"`
	Pattern     string     `json:"pattern" maxLength:"16384" doc:"the pattern, JSON as text" example:"{\"source\":[\"serverlessVideo.streaming\"]}"`
	Target      RuleTarget `json:"target"`
	MaxTries    int        `json:"maxTries,omitempty" minimum:"1" maximum:"20" default:"12" doc:"tries until an event is a dead letter; 12 last at least 27 hours, each one more 6 hours longer"`
}

// onto returns r with what the input says.
func (in RuleInput) onto(r sqlc.Rule) sqlc.Rule {
	r.Name, r.Description, r.Enabled, r.Pattern = in.Name, in.Description, in.Enabled, in.Pattern
	r.Target, r.Url, r.MaxTries = in.Target.Type, in.Target.URL, int64(in.MaxTries)
	r.Argument = in.Target.Plugin + in.Target.Flow + in.Target.Tag // one of them, as checkTarget holds
	return r
}

// targetOf is the target that a row says.
func targetOf(r sqlc.Rule) RuleTarget {
	t := RuleTarget{Type: r.Target, URL: r.Url}
	switch r.Target {
	case targetPlugin:
		t.Plugin = r.Argument
	case targetFlow:
		t.Flow = r.Argument
	case targetTag:
		t.Tag = r.Argument
	}
	return t
}

// checked returns the input in its one form. A target that the rule has already is
// not asked whether it still can be: rules are switched off, too, whose plugin is
// gone. Errors are errs.Invalid with all places that are wrong.
func (s *Service) checked(in RuleInput, has RuleTarget) (RuleInput, error) {
	var places []errs.Place
	in.Name, in.Target.URL = strings.TrimSpace(in.Name), strings.TrimSpace(in.Target.URL)
	if in.Name == "" {
		places = append(places, errs.Place{Location: "body.name", Message: "a rule needs a name"})
	}
	if in.MaxTries == 0 {
		in.MaxTries = defaultTries
	}
	_, err := pattern.CompileAt("body.pattern", in.Pattern)
	places = append(places, errs.PlacesOf(err)...)
	in.Target.Tag = strings.TrimSpace(in.Target.Tag)
	if place := s.checkTarget(in.Target); place != nil && in.Target != has {
		places = append(places, *place)
	}
	return in, errs.At(places...)
}
